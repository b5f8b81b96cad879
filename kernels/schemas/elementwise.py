"""Element-wise kernels: one family of each number of inputs."""

from __future__ import annotations

from ..contract import Choice, Float, Kernel
from ..opcodes import Binary, Unary
from .loops import loop, loop_out

UNARY = Kernel("unary", (Choice("operator", Unary), Float("alpha"), Float("beta"), loop("x"), loop_out()))
BINARY = Kernel("binary", (Choice("operator", Binary), loop("a"), loop("b"), loop_out()))
WHERE = Kernel("where", (loop("condition"), loop("a"), loop("b"), loop_out()))
