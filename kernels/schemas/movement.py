"""Data movement: y = x, y = a number, y = x at indices."""

from __future__ import annotations

from ..contract import Float, Kernel, Tensor
from .loops import loop, loop_out

COPY = Kernel("copy", (loop("x"), loop_out()))
FILL = Kernel("fill", (loop_out(), Float("value")))
GATHER = Kernel(
    "gather",  # y[o, i, n] = x[o, indices[i], n]; an index below 0 gives 0.0 (zero padding)
    (Tensor("x", 3), Tensor("indices", 1, "dense", dtype="int32"), Tensor("y", 3, written=True)),
)
