"""Products of every carrier, for integers and doubles, and determinants: exact before fast."""

from __future__ import annotations

from math import prod

from ..contract import Kernel, Tensor

MATMUL_GENERAL = Kernel(
    "matmul_general",  # y[b, c] = a[b, c] @ b[b, c]; sums in int64 where y is int64, else in float64
    (
        Tensor("a", 4, dtype="carrier"),
        Tensor("b", 4, dtype="carrier"),
        Tensor("y", 4, written=True, dtype="carrier"),
    ),
    multiply_adds=lambda o: prod(o["y"].shape) * o["a"].shape[3],
)
DETERMINANT = Kernel(
    "determinant",  # y[b] = det x[b], in float64
    (
        Tensor("x", 3, dtype="carrier"),  # [batch, n, n], float32 or float64
        Tensor("y", 1, written=True, dtype="carrier"),  # [batch]
        Tensor("scratch", 1, "dense", written=True),  # one matrix of float64
    ),
    scratch=lambda o: 2 * o["x"].shape[1] ** 2,
    multiply_adds=lambda o: o["x"].shape[0] * o["x"].shape[1] ** 3 // 3,
)
