"""What the body of a Loop or Scan reads from around it, and how to rename that."""

from __future__ import annotations

from collections.abc import Callable, Iterable

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


def rename_captures(graph: GraphProto, rename: Callable[[str], str]) -> None:
    """Rename, in place, what `graph` reads from around it.

    An ONNX subgraph may not define a name that its surroundings define, so no local name is hit.
    """
    for node in graph.node:
        node.input[:] = [rename(name) if name else "" for name in node.input]
        for inner in subgraphs(node):
            rename_captures(inner, rename)
    for value in graph.output:
        value.name = rename(value.name)
