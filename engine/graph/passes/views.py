"""Nodes that change nothing: removed; and chains of Transpose: made one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ..ir import STREAM_DOMAIN, Graph, Node
from ..prune import prune, substitute

Rule = Callable[[Graph, Node], bool]


def _always(graph: Graph, node: Node) -> bool:
    """For operators that are the identity whenever their output type is their input's."""
    return True


def _ascending(graph: Graph, node: Node) -> bool:
    """A Slice that keeps every element is the identity unless it reverses."""
    if node.opset < 10:
        return True
    if len(node.inputs) < 5 or not node.inputs[4]:
        return True
    steps = graph.constants.get(node.inputs[4])
    return steps is not None and bool((steps > 0).all())


def _sorted(graph: Graph, node: Node) -> bool:
    """A Transpose is the identity if its permutation is."""
    order = permutation(graph, node)
    return order == sorted(order)


def _single(graph: Graph, node: Node) -> bool:
    """Concat and the like of one input."""
    return len(node.inputs) == 1


def _no_pads(graph: Graph, node: Node) -> bool:
    """A Pad that adds and takes nothing; one that shifts keeps the shape too."""
    pads = node.attributes.get("pads") if node.opset < 11 else graph.constants.get(node.inputs[1])
    return pads is not None and not np.any(pads)


IDENTITY_IF: dict[str, Rule] = {
    "Cast": _always,
    "CastLike": _always,
    "Reshape": _always,
    "Flatten": _always,
    "Squeeze": _always,
    "Unsqueeze": _always,
    "Expand": _always,
    "Tile": _always,
    "Identity": _always,
    "Slice": _ascending,
    "Transpose": _sorted,
    "Concat": _single,
    "Sum": _single,
    "Max": _single,
    "Min": _single,
    "Mean": _single,
    "Pad": _no_pads,
}
"""Operators that are the identity if they keep the type and the rule holds."""


def permutation(graph: Graph, node: Node) -> list[int]:
    """Return a Transpose's order of axes; ONNX's default reverses them."""
    rank = len(graph.types[node.inputs[0]].shape)
    return list(node.attributes.get("perm") or range(rank - 1, -1, -1))


def drop_identities(graph: Graph) -> Graph:
    """Return the graph without nodes that hand their first input on as it is."""
    kept = graph.kept_names()
    same: dict[str, str] = {}
    nodes = []
    for node in graph.nodes:
        node = substitute(node, same)
        rule = IDENTITY_IF.get(node.op) if node.domain != STREAM_DOMAIN else None
        if (
            rule is not None
            and node.outputs[0] not in kept
            and graph.types[node.inputs[0]] == graph.types[node.outputs[0]]
            and rule(graph, node)
        ):
            same[node.outputs[0]] = node.inputs[0]
        else:
            nodes.append(node)
    return prune(replace(graph, nodes=nodes))


def merge_transposes(graph: Graph) -> Graph:
    """Return the graph with a Transpose of a Transpose made one; a pair that cancels disappears."""
    makers: dict[str, Node] = {}
    nodes = []
    for node in graph.nodes:
        if node.op == "Transpose":
            order = permutation(graph, node)
            before = makers.get(node.inputs[0])
            if before is not None:
                inner = permutation(graph, before)
                order = [inner[axis] for axis in order]
                node = replace(node, inputs=before.inputs)
            node = replace(node, attributes={**node.attributes, "perm": order})
            makers[node.outputs[0]] = node
        nodes.append(node)
    return drop_identities(replace(graph, nodes=nodes))
