"""Names that no other value or node has."""

from __future__ import annotations

from collections.abc import Iterable

from onnx import GraphProto

from .limits import subgraphs


class Names:
    """Names that are taken, and new ones beside them."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = set(taken)
        self._numbers: dict[str, int] = {}

    def add(self, name: str) -> None:
        """Take a name, whether somebody has it or not."""
        self._taken.add(name)

    def new(self, name: str) -> str:
        """Take and return `name`, with a number behind it if somebody has it."""
        own = name
        while own in self._taken:
            # Counting goes on where it stopped: an unrolled loop asks for the same name once a step.
            number = self._numbers[name] = self._numbers.get(name, 1) + 1
            own = f"{name}_{number}"
        self._taken.add(own)
        return own


def names_of(graph: GraphProto) -> set[str]:
    """Return the names of a graph's own values and of every value in the bodies of its loops."""
    names = {value.name for value in graph.input} | {tensor.name for tensor in graph.initializer}
    for node in graph.node:
        names.update(node.output)
        if node.op_type in ("Loop", "Scan"):
            for body in subgraphs(node):
                names |= names_of(body)
    return names
