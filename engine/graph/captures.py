"""What the branches of an If and the bodies of a Loop or Scan read from around them."""

from __future__ import annotations

from collections.abc import Iterable

from onnx import GraphProto, NodeProto

from .limits import subgraphs


def captured_names(nodes: Iterable[NodeProto]) -> tuple[str, ...]:
    """Return the outer values that the subgraphs of these nodes read, in order of first use."""
    found: dict[str, None] = {}
    for node in nodes:
        for graph in subgraphs(node):
            _search(graph, frozenset(), found)
    return tuple(found)


def _search(graph: GraphProto, known: frozenset[str], found: dict[str, None]) -> None:
    """Collect the names that `graph` reads and neither it nor the graphs around it (`known`) define."""
    local = known.union(
        (value.name for value in graph.input),
        (tensor.name for tensor in graph.initializer),
        (name for node in graph.node for name in node.output),
    )
    for node in graph.node:
        found.update((name, None) for name in node.input if name and name not in local)
        for inner in subgraphs(node):
            _search(inner, local, found)
    found.update((value.name, None) for value in graph.output if value.name not in local)
