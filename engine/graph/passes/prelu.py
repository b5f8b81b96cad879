"""PRelu that an exporter wrote out as a choice: Where(x > 0, x, slope x)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..ir import Graph, Node
from ..prune import prune

_ABOVE = {"Greater": True, "GreaterOrEqual": True, "Less": False, "LessOrEqual": False}


def fold_prelus(graph: Graph) -> Graph:
    """Return the graph with a choice between x and a finite constant times x, by x's sign, made a PRelu.

    At 0 both sides are 0, so it does not matter which one a comparison gives it to.
    """
    producers = graph.producers()
    nodes = [_folded(graph, producers, node) or node for node in graph.nodes]
    return prune(replace(graph, nodes=nodes))


def _folded(graph: Graph, producers: dict[str, Node], node: Node) -> Node | None:
    """The PRelu that a Where stands for, or None."""
    comparison = producers.get(node.inputs[0]) if node.op == "Where" else None
    if comparison is None or comparison.op not in _ABOVE:
        return None
    x, zero = comparison.inputs
    above = _ABOVE[comparison.op]
    if x in graph.constants:
        x, zero, above = zero, x, not above
    kept, scaled = node.inputs[1:] if above else node.inputs[:0:-1]
    product = producers.get(scaled)
    if kept != x or not _is_zero(graph, zero) or product is None or product.op != "Mul" or x not in product.inputs:
        return None
    slope = product.inputs[1 - product.inputs.index(x)]
    array = graph.constants.get(slope)
    shape = graph.types[x].shape
    if array is None or array.dtype.kind != "f" or not np.isfinite(array).all() or array.ndim > len(shape):
        return None
    if graph.types[node.outputs[0]].shape != shape or graph.types[x].dtype != np.float32:
        return None
    return replace(node, op="PRelu", inputs=(x, slope), attributes={})


def _is_zero(graph: Graph, name: str) -> bool:
    array = graph.constants.get(name)
    return array is not None and array.size > 0 and not array.any()
