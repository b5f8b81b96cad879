"""Neighbours that a network gathers for a 1x1 convolution by hand: made the window of the convolution.

Exporters write `unfold` as a Pad, Gathers, a Transpose and a Reshape, which move every element several times before a
1x1 convolution adds them up. A convolution over a window of as many taps reads them where they are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ..ir import Graph, Node
from ..prune import prune
from .rewriter import Rewriter
from .views import permutation

_LARGEST = 1 << 20
"""Elements of a value whose moves are followed one by one."""

Move = Callable[[Graph, Node, np.ndarray], "np.ndarray | None"]


def _reshaped(graph: Graph, node: Node, places: np.ndarray) -> np.ndarray | None:
    return places.reshape(graph.types[node.outputs[0]].shape)


def _transposed(graph: Graph, node: Node, places: np.ndarray) -> np.ndarray | None:
    return places.transpose(permutation(graph, node))


def _gathered(graph: Graph, node: Node, places: np.ndarray) -> np.ndarray | None:
    indices = graph.constants.get(node.inputs[1])
    return None if indices is None else np.take(places, indices, axis=node.attributes.get("axis", 0))


def _padded(graph: Graph, node: Node, places: np.ndarray) -> np.ndarray | None:
    """Zeros around all axes; other values, modes and axes are not followed."""
    pads = node.attributes.get("pads") if node.opset < 11 else graph.constants.get(node.inputs[1])
    value = node.attributes.get("value", 0.0)
    if len(node.inputs) > 2 and node.inputs[2]:
        value = graph.constants.get(node.inputs[2], 1)
    axes = len(node.inputs) > 3 and node.inputs[3]
    if pads is None or np.min(pads) < 0 or np.any(value) or axes or node.attributes.get("mode") != "constant":
        return None
    return np.pad(places, np.reshape(pads, (2, -1)).T)


MOVES: dict[str, Move] = {
    "Reshape": _reshaped,
    "Squeeze": _reshaped,
    "Unsqueeze": _reshaped,
    "Transpose": _transposed,
    "Gather": _gathered,
    "Pad": _padded,
}
"""Operator -> where each element of its output comes from, given that of its input; 0 is a zero."""


def convolve_unfolded(graph: Graph) -> Graph:
    """Return the graph with a 1x1 Conv of unfolded neighbours made a Conv whose window takes them in.

    The moves between must be read by nobody else, and amount to
    unfolded[n, c taps + k, ..., w] = x[n, c, ..., w + k - before], 0 outside.
    """
    work = Rewriter(graph)
    nodes = [_folded(work, node) or node for node in graph.nodes]
    return prune(replace(work.graph, nodes=nodes))


def _folded(work: Rewriter, node: Node) -> Node | None:
    """The Conv over windows of x that a 1x1 Conv stands for, or None."""
    graph = work.graph
    weights = work.constant(node.inputs[1]) if node.op == "Conv" else None
    if weights is None or weights.ndim < 3 or weights.shape[2:].count(1) != weights.ndim - 2:
        return None
    plain = node.attributes.get("group", 1) == 1 and set(node.attributes.get("strides", [1])) == {1}
    if not plain or any(node.attributes.get("pads") or []):
        return None
    moves: list[Node] = []
    found: tuple[str, int, int] | None = None
    mover = work.only_producer(node.inputs[0])
    while mover is not None and mover.op in MOVES:
        moves.insert(0, mover)
        window = _window(graph, moves, node.inputs[0])
        found = found if window is None else (mover.inputs[0], *window)
        mover = work.only_producer(mover.inputs[0])
    if found is None:
        return None
    x, taps, before = found
    spatial = weights.ndim - 2
    name = work.add_constant(
        f"{node.inputs[1]}.window",
        weights.reshape(len(weights), -1, taps).reshape(len(weights), -1, *[1] * (spatial - 1), taps),
    )
    pads = [*[0] * (spatial - 1), before, *[0] * (spatial - 1), taps - 1 - before]
    attributes = node.attributes | {"kernel_shape": [*[1] * (spatial - 1), taps], "pads": pads}
    return replace(node, inputs=(x, name, *node.inputs[2:]), attributes=attributes)


def _window(graph: Graph, moves: list[Node], unfolded: str) -> tuple[int, int] | None:
    """(taps, taps before the place itself) if the moves gather windows along the last axis; None if they do not."""
    before, after = graph.types[moves[0].inputs[0]], graph.types[unfolded]
    if before.size > _LARGEST or len(before.shape) != len(after.shape) or len(before.shape) < 3:
        return None
    batch, channels, *places = before.shape
    taps = after.shape[1] // channels
    if taps < 2 or after.shape != (batch, channels * taps, *places):
        return None
    numbers = np.arange(1, before.size + 1).reshape(before.shape)
    moved: np.ndarray | None = numbers
    for move in moves:
        moved = MOVES[move.op](graph, move, moved)
        if moved is None:
            return None
    for offset in range(taps):
        edges = [(0, 0)] * (numbers.ndim - 1)
        padded = np.pad(numbers, [*edges, (offset, taps - 1 - offset)])
        windows = np.stack([padded[..., k : k + places[-1]] for k in range(taps)], axis=2)
        if np.array_equal(windows.reshape(after.shape), moved):
            return taps, offset
    return None
