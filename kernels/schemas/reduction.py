"""Reductions and the softmax family."""

from __future__ import annotations

from ..contract import Choice, Int, Kernel, Tensor
from ..opcodes import Reduce

REDUCE = Kernel(
    "reduce",  # over the last three axes of x
    (Choice("operator", Reduce), Tensor("x", 6), Tensor("y", 3, written=True)),
)
SOFTMAX = Kernel("softmax", (Tensor("x", 3), Tensor("y", 3, written=True), Int("logarithm")))  # over the middle axis
