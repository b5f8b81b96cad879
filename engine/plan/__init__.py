"""A graph made to stream: rules, memory, the program, and workspaces that run it."""

from __future__ import annotations

from .carriers import from_carrier, to_carrier
from .certificate import Certificate, certify
from .compile import compile_graph
from .lift import lift_state
from .program import Port, Program
from .rules import OPERATORS
from .workspace import BACKENDS, StatePool, Workspace

__all__ = [
    "BACKENDS",
    "OPERATORS",
    "Certificate",
    "Port",
    "Program",
    "StatePool",
    "Workspace",
    "certify",
    "compile_graph",
    "from_carrier",
    "lift_state",
    "to_carrier",
]
