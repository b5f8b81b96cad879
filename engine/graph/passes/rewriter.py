"""What the fusing passes share: a graph's wiring, and merging a node into the one before it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np

from ..ir import Graph, Node, TensorType
from ..prune import prune

CONVOLUTIONS = frozenset({"Conv", "ConvTranspose"})
PRODUCTS = frozenset({"MatMul", "Gemm"})

BIAS_INPUT = 2
SLOPE_INPUT = 3


class Rewriter:
    """A graph's nodes by what they make, kept up to date while neighbours are merged; works on a copy."""

    def __init__(self, graph: Graph) -> None:
        self.graph = replace(graph, nodes=list(graph.nodes), constants=dict(graph.constants), types=dict(graph.types))
        self._kept = graph.kept_names()
        self._producers = graph.producers()
        self._uses = Counter(name for node in graph.nodes for name in node.reads)
        self._merged: dict[str, Node] = {}

    def only_producer(self, name: str, readers: int = 1) -> Node | None:
        """Return the node that makes `name`, if it makes nothing else and nobody but so many readers see it.

        None, too, for what is not float32: narrow floats are rounded after each operator, and the kernels that take
        biases and activations in know no other type.
        """
        node = self._producers.get(name)
        if node is None or name in self._kept or self._uses.get(name) != readers:
            return None
        if self.graph.types[name].dtype != np.float32:
            return None
        return node if [output for output in node.outputs if output] == [name] else None

    def constant(self, name: str) -> np.ndarray | None:
        """Return a floating-point constant's value; None for anything else."""
        array = self.graph.constants.get(name) if name else None
        return array if array is not None and array.dtype.kind == "f" else None

    def add_value(self, base: str, kind: TensorType) -> str:
        """Declare a new value named after `base`; return its name, which nothing else has."""
        name, number = base, 2
        while name in self.graph.types:
            name, number = f"{base}_{number}", number + 1
        self.graph.types[name] = kind
        return name

    def add_constant(self, base: str, array: np.ndarray) -> str:
        """Define a new constant named after `base`; return its name."""
        array = np.asarray(array, order="C")
        array.setflags(write=False)
        name = self.add_value(base, TensorType(array.shape, array.dtype))
        self.graph.constants[name] = array
        return name

    def merge(self, producer: Node, node: Node, inputs: tuple[str, ...], attributes: dict[str, Any]) -> Node:
        """Let `producer`, with other inputs and attributes, make what `node` made. `node` disappears."""
        for name in producer.reads:
            self._uses[name] -= 1
        merged = replace(producer, inputs=inputs, attributes=attributes, outputs=node.outputs)
        for name in merged.reads:
            self._uses[name] = self._uses.get(name, 0) + 1
        # The merged node stands where the later of the two stood: everything that it reads exists there.
        self._merged[producer.outputs[0]] = merged
        self._producers[node.outputs[0]] = merged
        return merged

    def absorb(self, producer: Node, node: Node, inputs: tuple[str, ...], attributes: dict[str, Any]) -> Node:
        """Let `node`, with other inputs and attributes, do `producer`'s work too. `producer` disappears."""
        merged = replace(node, inputs=inputs, attributes=attributes)
        self._merged[producer.outputs[0]] = merged
        self._producers[node.outputs[0]] = merged
        for name in producer.reads:
            self._uses[name] -= 1
        self._uses[inputs[0]] = self._uses.get(inputs[0], 0) + 1
        return merged

    def finish(self, nodes: list[Node]) -> Graph:
        """Return the rewritten graph: `nodes` in order, without producers that were merged into later nodes."""
        alive = [node for node in nodes if node.outputs[0] not in self._merged]
        return prune(replace(self.graph, nodes=alive))


def output_channels(node: Node, graph: Graph) -> int:
    """Return the length of the axis that a bias or slope runs over: channels, or a product's last axis."""
    shape = graph.types[node.outputs[0]].shape
    return shape[1] if node.op in CONVOLUTIONS else shape[-1]


def per_channel(array: np.ndarray, node: Node, graph: Graph) -> np.ndarray | None:
    """Return `array` as `[channels]` if, broadcast to the node's output, it varies only over channels; else None."""
    rank = len(graph.types[node.outputs[0]].shape)
    channels = output_channels(node, graph)
    if array.ndim > rank:
        return None
    padded = (1,) * (rank - array.ndim) + array.shape
    axis = 1 if node.op in CONVOLUTIONS else rank - 1
    if any(dim != 1 for other, dim in enumerate(padded) if other != axis) or padded[axis] not in (1, channels):
        return None
    return np.broadcast_to(array.reshape(-1), (channels,))


def has_matrix(node: Node, graph: Graph) -> bool:
    """Return whether a MatMul multiplies by a constant matrix `[k, n]` and leaves the last axis to its columns."""
    right = node.inputs[1]
    return right in graph.constants and graph.constants[right].ndim == 2
