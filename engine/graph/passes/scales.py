"""Numbers that parts of a matrix product are multiplied by: taken into the columns of its matrix.

Attention makes queries, keys and values in one product, cuts them apart, and multiplies queries or keys by one number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from ..ir import Graph, Node
from ..prune import prune
from .rewriter import BIAS_INPUT, Rewriter, has_matrix
from .unfold import MOVES, Move

_LARGEST = 1 << 20
"""Elements of a product whose columns are followed one by one."""

_FIRST_SLICE_BY_INPUTS = 10


def _sliced(graph: Graph, node: Node, places: np.ndarray) -> np.ndarray | None:
    if node.opset < _FIRST_SLICE_BY_INPUTS or any(name and name not in graph.constants for name in node.inputs[1:]):
        return None
    starts, ends = (graph.constants[name].tolist() for name in node.inputs[1:3])
    more = [graph.constants[name].tolist() if name else None for name in node.inputs[3:]]
    axes = more[0] if more and more[0] is not None else range(len(starts))
    steps = more[1] if len(more) > 1 and more[1] is not None else [1] * len(starts)
    if min(steps, default=1) < 1:
        return None
    cuts = [slice(None)] * places.ndim
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        cuts[axis] = slice(start, end, step)
    return places[tuple(cuts)]


_MOVES: dict[str, Move] = MOVES | {"Slice": _sliced}


class _Use(NamedTuple):
    """What reads elements of a product, moved about or not."""

    node: Node | None
    """None: the graph's caller, or the next step."""
    name: str
    columns: frozenset[int]


def fold_scales(graph: Graph) -> Graph:
    """Return the graph without products of one number and columns of a MatMul that nothing else reads.

    The columns of its constant matrix, and of its bias, are multiplied by the number instead, in float64. Between the
    two nothing but moves may stand: Reshape, Transpose, Slice and their like.
    """
    work = Rewriter(graph)
    consumers, kept = graph.consumers(), graph.kept_names()
    renamed: dict[str, str] = {}
    scaled: dict[int, Node] = {}
    for product in graph.nodes:
        if product.op != "MatMul" or "activation" in product.attributes or not has_matrix(product, graph):
            continue
        if work.constant(product.inputs[1]) is None or graph.types[product.outputs[0]].size > _LARGEST:
            continue
        uses = _uses(graph, consumers, kept, product)
        factors = np.ones(graph.types[product.outputs[0]].shape[-1])
        for use in uses:
            factor = _factor(work, consumers, kept, use)
            if factor is not None and not any(use.columns & other.columns for other in uses if other is not use):
                factors[list(use.columns)] = factor
                assert use.node is not None  # it has a factor
                renamed[use.node.outputs[0]] = use.name
        if (factors != 1).any():
            scaled[id(product)] = _scaled(work, product, factors)
    nodes = [scaled.get(id(node), node) for node in graph.nodes if node.outputs[0] not in renamed]
    moved = [replace(node, inputs=tuple(renamed.get(name, name) for name in node.inputs)) for node in nodes]
    return prune(replace(work.graph, nodes=moved))


def _uses(graph: Graph, consumers: Mapping[str, Sequence[Node]], kept: set[str], product: Node) -> list[_Use]:
    """Who reads which columns of a product, behind all moves."""
    shape = graph.types[product.outputs[0]].shape
    uses: list[_Use] = []
    pending = [(product.outputs[0], np.broadcast_to(np.arange(1, shape[-1] + 1), shape))]  # 0 is a pad's zero
    while pending:
        name, places = pending.pop()
        columns = frozenset((np.unique(places[places > 0]) - 1).tolist())
        if name in kept:
            uses.append(_Use(None, name, columns))
        for node in consumers.get(name, ()):
            follows = node.op in _MOVES and node.inputs[0] == name
            moved = _MOVES[node.op](graph, node, places) if follows else None
            if moved is None:
                uses.append(_Use(node, name, columns))
            else:
                pending.append((node.outputs[0], moved))
    return uses


def _factor(work: Rewriter, consumers: Mapping[str, Sequence[Node]], kept: set[str], use: _Use) -> float | None:
    """The number that a use multiplies by, if it does nothing else and may go."""
    node, types = use.node, work.graph.types
    if node is None or node.op not in ("Mul", "Div") or (node.op == "Div" and node.inputs[0] != use.name):
        return None
    result = node.outputs[0]
    number = work.constant(node.inputs[1 - node.inputs.index(use.name)])
    if number is None or number.size != 1 or result in kept or types[result] != types[use.name]:
        return None
    if any(result not in reader.inputs for reader in consumers.get(result, ())):
        return None
    value = float(number.item())
    if not np.isfinite(value) or value == 0:
        return None
    return value if node.op == "Mul" else 1 / value


def _scaled(work: Rewriter, product: Node, factors: np.ndarray) -> Node:
    """The product with its matrix's columns and its bias multiplied by factors [columns]."""
    inputs = list(product.inputs)
    for index in range(1, min(len(inputs), BIAS_INPUT + 1)):
        if inputs[index]:
            values = work.graph.constants[inputs[index]]
            inputs[index] = work.add_constant(f"{inputs[index]}.scaled", (values * factors).astype(values.dtype))
    return replace(product, inputs=tuple(inputs))
