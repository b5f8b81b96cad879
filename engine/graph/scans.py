"""A Scan as one node, or a Loop that is like one: its body is bound once for all steps; fusing a graph unrolls it.

That is how the streaming planner sees it, where the number of steps is what differs from one binding to the next.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from ..errors import LimitError, ModelError
from .ir import Graph, Node, TensorType
from .prune import substitute

OPSET = 17
"""Operator set of the nodes that unrolling adds."""


class Walk(NamedTuple):
    """How a Scan goes over a value, or puts one together: an element of it, without the axis, a step."""

    axis: int
    """Counted from the first."""
    backwards: bool


@dataclass(frozen=True)
class Scan:
    """Attribute `scan` of a Scan, or of a Loop that is like one, that is kept whole as one node.

    The node's inputs are the initial states, the values that it goes over, then what the body reads from around it;
    its outputs are the last states, then the values that it puts together.
    """

    body: Graph
    """One step: its inputs and outputs are those of the node in the same order, elements in the place of values."""
    states: int
    inputs: tuple[Walk, ...]
    outputs: tuple[Walk, ...]
    most_steps: int
    """More are not unrolled: the graph would have too many nodes."""

    @property
    def captures(self) -> int:
        """Position of the first of the node's inputs that its body reads from around it."""
        return self.states + len(self.inputs)


def walks(axes: Sequence[int] | None, directions: Sequence[int] | None, ranks: Sequence[int]) -> tuple[Walk, ...]:
    """How each value is gone over, by a Scan's attributes; None: along the first axis, forwards.

    ranks: of the values.
    """
    count = len(ranks)
    return tuple(
        Walk(axis % rank if -rank <= axis < rank else axis, bool(backwards))
        for axis, backwards, rank in zip(axes or [0] * count, directions or [0] * count, ranks, strict=True)
    )


def common_length(name: str, types: Iterable[TensorType], over: Iterable[Walk]) -> int:
    """How many steps a Scan takes. Raises ModelError if its inputs do not agree, IndexError if an axis is not there."""
    lengths = {tensor.shape[walk.axis] for tensor, walk in zip(types, over, strict=True)}
    if len(lengths) != 1:
        raise ModelError(f"Scan '{name}': its inputs have the lengths {sorted(lengths)}; one for all would work")
    return lengths.pop()


def whole_scans(graph: Graph) -> dict[str, int]:
    """Name of each Scan that was kept whole -> how many steps it takes in this graph."""
    return {node.name: _steps(node, graph.types) for node in graph.nodes if "scan" in node.attributes}


def unroll_scans(graph: Graph, names: Container[str] | None = None) -> Graph:
    """Return the graph with Scans replaced by the nodes of their bodies, once a step; the given one is not changed.

    Args:
        graph: may hold Scans that were kept whole.
        names: of those to unroll; None: all, also those in bodies.

    Raises:
        LimitError: one takes more steps than the limit on nodes lets it.
    """
    if not whole_scans(graph):
        return graph
    result = replace(graph, nodes=[], constants=dict(graph.constants), types=dict(graph.types))
    waiting = deque(graph.nodes)
    while waiting:
        node = waiting.popleft()
        if "scan" in node.attributes and (names is None or node.name in names):
            waiting.extendleft(reversed(list(_Unrolled(node, result).nodes())))
        else:
            result.nodes.append(node)
    return result


def _steps(node: Node, types: Mapping[str, TensorType]) -> int:
    scan: Scan = node.attributes["scan"]
    return common_length(node.name, (types[name] for name in node.inputs[scan.states : scan.captures]), scan.inputs)


class _Unrolled:
    """The steps of one Scan; constants and types are added to the graph."""

    def __init__(self, node: Node, graph: Graph) -> None:
        self._node, self._graph = node, graph
        self._scan: Scan = node.attributes["scan"]
        self._length = _steps(node, graph.types)
        if self._length > self._scan.most_steps:
            raise LimitError(
                f"{node}: {self._length} steps at once would be too many nodes, {self._scan.most_steps} would work; "
                "raise Limits(nodes=...)"
            )

    def nodes(self) -> Iterator[Node]:
        """The nodes of all steps, and those that put the outputs together."""
        scan, body, node = self._scan, self._scan.body, self._node
        states = node.inputs[: scan.states]
        captured = node.inputs[scan.captures :]
        stacks: list[list[str]] = [[] for _ in scan.outputs]
        for step in range(self._length):
            label = f"{node.name}/{step}"
            elements = []
            for name, walk in zip(node.inputs[scan.states : scan.captures], scan.inputs, strict=True):
                elements.append(f"{label}/element{len(elements)}")
                yield from self._element(name, walk, step, elements[-1])
            names = dict(zip(body.inputs, (*states, *elements, *captured), strict=True))
            for inner in body.nodes:
                for name in filter(None, inner.outputs):
                    names[name] = f"{label}/{name}"
                    self._graph.types[names[name]] = body.types[name]
                outputs = tuple(names[name] if name else "" for name in inner.outputs)
                yield replace(substitute(inner, names), name=f"{label}/{inner.name}", outputs=outputs)
            results = [names[name] for name in body.outputs]
            states = tuple(results[: scan.states])
            for stack, name in zip(stacks, results[scan.states :], strict=True):
                stack.append(name)
        for name, output in zip(states, node.outputs, strict=False):
            if output:
                yield Node("Identity", output, (name,), (output,), {}, OPSET)
        for stack, walk, output in zip(stacks, scan.outputs, node.outputs[scan.states :], strict=False):
            if output:
                yield from self._stacked(stack[::-1] if walk.backwards else stack, walk.axis, output)

    def _element(self, name: str, walk: Walk, step: int, element: str) -> Iterator[Node]:
        """What a step gets of a value: a constant of a constant."""
        place = self._length - 1 - step if walk.backwards else step
        if name in self._graph.constants:
            self._constant(element, self._graph.constants[name].take(place, walk.axis))
            return
        tensor = self._graph.types[name]
        shape = tensor.shape[: walk.axis] + tensor.shape[walk.axis + 1 :]
        self._graph.types[element] = TensorType(shape, tensor.dtype)
        index = self._constant(f"{self._node.name}/place{place}", np.array(place, np.int64))
        yield Node("Gather", element, (name, index), (element,), {"axis": walk.axis}, OPSET)

    def _stacked(self, values: Sequence[str], axis: int, output: str) -> Iterator[Node]:
        """Values of all steps side by side along a new axis."""
        tensor = self._graph.types[output]
        shape = (*tensor.shape[:axis], 1, *tensor.shape[axis + 1 :])
        axes = self._constant(f"{output}/axes", np.array([axis], np.int64))
        rows = [f"{output}/{step}" for step in range(len(values))]
        for value, row in zip(values, rows, strict=True):
            self._graph.types[row] = TensorType(shape, tensor.dtype)
            yield Node("Unsqueeze", row, (value, axes), (row,), {}, OPSET)
        yield Node("Concat", output, tuple(rows), (output,), {"axis": axis}, OPSET)

    def _constant(self, name: str, array: np.ndarray) -> str:
        self._graph.constants[name] = array
        self._graph.types[name] = TensorType(array.shape, array.dtype)
        return name
