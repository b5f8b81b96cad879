"""Layer normalisation that an exporter wrote out as nine nodes: made one LayerNormalization."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..ir import Graph, Node
from .rewriter import Rewriter

WRITTEN_OUT = "written_out"
"""Attribute of a node that was folded: its operator set may be older than LayerNormalization, the 17th's."""


@dataclass(frozen=True)
class _Found:
    """A written-out normalisation, without scale and bias."""

    x: str
    axis: int
    epsilon: float


def fold_layer_norms(graph: Graph) -> Graph:
    """Return the graph with (x - mean) / sqrt(variance + epsilon) scale + bias over the last axes as one node.

    The difference is squared by Pow or Mul; scale and bias are constants and may be absent. Nothing but these nodes
    may read what lies between.
    """
    patterns, work, types = _Patterns(graph), Rewriter(graph), graph.types
    nodes = []
    for node in graph.nodes:
        found = patterns.scaled(node)
        if found is None or types[found[0].x].dtype != np.float32:  # narrow floats are rounded after each step
            nodes.append(node)
            continue
        norm, scale, bias = found
        x = types[norm.x]
        name = scale or work.add_constant(f"{node.outputs[0]}.scale", np.ones(x.shape[norm.axis :], x.dtype))
        attributes = {"axis": norm.axis, "epsilon": norm.epsilon, "stash_type": 1, WRITTEN_OUT: True}
        inputs = (norm.x, name, bias) if bias else (norm.x, name)
        nodes.append(Node("LayerNormalization", node.name, inputs, node.outputs, attributes, node.opset))
    # The quotient and the product that the last of the nodes takes in are read by nobody now.
    return work.finish(nodes)


class _Patterns:
    """Finds the pieces, from the last node backwards."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._producers = graph.producers()
        self._kept = graph.kept_names()
        self._readers = graph.consumers()

    def scaled(self, node: Node) -> tuple[_Found, str, str] | None:
        """A normalisation that ends at `node`, with the names of its scale and bias ('' if absent)."""
        if node.op == "Add":
            for value, bias in (node.inputs, node.inputs[::-1]):
                product = self._made_by(value, "Mul")
                if product is not None and self._repeats(bias, node):
                    found = self._multiplied(product)
                    if found is not None:
                        return *found, bias
        if node.op == "Mul":
            found = self._multiplied(node)
            if found is not None:
                return *found, ""
        if node.op == "Div":
            norm = self._normalised(node)
            return None if norm is None else (norm, "", "")
        return None

    def _multiplied(self, node: Node) -> tuple[_Found, str] | None:
        """A scaled normalisation and its scale."""
        for value, scale in (node.inputs, node.inputs[::-1]):
            quotient = self._made_by(value, "Div")
            if quotient is not None and self._repeats(scale, node):
                norm = self._normalised(quotient)
                if norm is not None:
                    return norm, scale
        return None

    def _normalised(self, quotient: Node) -> _Found | None:
        """(x - mean) / sqrt(variance + epsilon)."""
        about, root = quotient.inputs
        difference, square_root = self._producers.get(about), self._made_by(root, "Sqrt")
        if difference is None or difference.op != "Sub" or square_root is None or about in self._kept:
            return None
        total = self._made_by(square_root.inputs[0], "Add")
        if total is None:
            return None
        for value, number in (total.inputs, total.inputs[::-1]):
            epsilon, variance = self._number(number), self._made_by(value, "ReduceMean")
            if epsilon is not None and variance is not None:
                return self._checked(difference, variance, epsilon)
        return None

    def _checked(self, difference: Node, variance: Node, epsilon: float) -> _Found | None:
        """Whether mean and variance are over the same last axes of x, and nothing else reads what lies between."""
        x, mean = difference.inputs[0], self._made_by(difference.inputs[1], "ReduceMean")
        about = difference.outputs[0]
        square = self._made_by(variance.inputs[0], "Pow") or self._made_by(variance.inputs[0], "Mul")
        if mean is None or mean.inputs[0] != x or square is None or square.inputs[0] != about:
            return None
        squares = square.inputs[1] == about if square.op == "Mul" else self._number(square.inputs[1]) == 2
        readers = {id(reader) for reader in self._readers[about]}
        axes = self._last_axes(mean)
        if not squares or axes is None or axes != self._last_axes(variance) or len(readers) != 2:
            return None
        return _Found(x, axes, epsilon)

    def _last_axes(self, node: Node) -> int | None:
        """The first of the axes that a ReduceMean takes, if it takes all from there on and keeps them."""
        shape = self._graph.types[node.inputs[0]].shape
        axes = node.attributes.get("axes")
        if len(node.inputs) > 1 and node.inputs[1]:
            constant = self._graph.constants.get(node.inputs[1])
            axes = None if constant is None else constant.tolist()
        if not axes or not node.attributes.get("keepdims", 1):
            return None
        taken = sorted({axis % len(shape) for axis in axes})
        return taken[0] if taken == list(range(taken[0], len(shape))) else None

    def _made_by(self, name: str, op: str) -> Node | None:
        """The node that makes a value that one node alone reads, if it is of that operator."""
        node = self._producers.get(name)
        if node is None or node.op != op or name in self._kept:
            return None
        return node if len({id(reader) for reader in self._readers[name]}) == 1 else None

    def _number(self, name: str) -> float | None:
        array = self._graph.constants.get(name)
        return float(array.item()) if array is not None and array.size == 1 else None

    def _repeats(self, name: str, node: Node) -> bool:
        """Whether a constant broadcasts to the node's other input without making it larger."""
        array = self._graph.constants.get(name)
        shape = self._graph.types[node.outputs[0]].shape
        same = all(self._graph.types[other].shape == shape for other in node.inputs if other != name)
        return array is not None and array.dtype.kind == "f" and same and array.ndim <= len(shape)
