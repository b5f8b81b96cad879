"""Names that no other value or node has."""

from __future__ import annotations

from onnx import GraphProto

from .limits import subgraphs


def unique(name: str, used: set[str]) -> str:
    """Return `name`, with a number behind it if it is taken."""
    if name not in used:
        return name
    number = 2
    while f"{name}_{number}" in used:
        number += 1
    return f"{name}_{number}"


def names_of(graph: GraphProto) -> set[str]:
    """Return the names of a graph's own values and of every value in the bodies of its loops."""
    names = {value.name for value in graph.input} | {tensor.name for tensor in graph.initializer}
    for node in graph.node:
        names.update(node.output)
        if node.op_type in ("Loop", "Scan"):
            for body in subgraphs(node):
                names |= names_of(body)
    return names
