"""The bits of float32 as integers."""

from __future__ import annotations

from ..contract import Kernel
from .loops import loop, loop_out

BITS = Kernel(
    "bits",  # float32 -> int64: its 32 bits, as a signed integer; int64 -> float32: the float of the low 32 bits
    (loop("x", "carrier"), loop_out("carrier")),
)
