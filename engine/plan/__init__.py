"""A graph made to stream: rules, memory, the program, and workspaces that run it."""

from __future__ import annotations

from .backends import BACKENDS, named_backend
from .carriers import from_carrier, to_carrier
from .compile import compile_graph
from .program import Program
from .rules import OPERATORS
from .target import Target
from .workspace import SharedArena, Slot, StatePool, Workspace

__all__ = [
    "BACKENDS",
    "OPERATORS",
    "Program",
    "SharedArena",
    "Slot",
    "StatePool",
    "Target",
    "Workspace",
    "compile_graph",
    "from_carrier",
    "named_backend",
    "to_carrier",
]
