"""A graph made to stream: rules, memory, the program, and workspaces that run it."""

from __future__ import annotations

from .carriers import from_carrier, to_carrier
from .compile import compile_graph
from .program import Port, Program
from .rules import OPERATORS
from .workspace import BACKENDS, SharedArena, Slot, StatePool, Workspace

__all__ = [
    "BACKENDS",
    "OPERATORS",
    "Port",
    "Program",
    "SharedArena",
    "Slot",
    "StatePool",
    "Workspace",
    "compile_graph",
    "from_carrier",
    "to_carrier",
]
