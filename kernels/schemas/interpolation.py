"""Interpolation along one axis by any number of neighbours."""

from __future__ import annotations

from math import prod

from ..contract import Kernel, Tensor

INTERPOLATE = Kernel(
    "interpolate",  # y[o, j, i] = sum over t of weights[j, t] x[o, positions[j, t], i]
    (
        Tensor("x", 3),  # [outer, size, inner]
        Tensor("positions", 2, "dense", dtype="int32"),  # [output size, taps]
        Tensor("weights", 2, "dense"),  # [output size, taps]
        Tensor("y", 3, written=True),  # [outer, output size, inner]
    ),
    multiply_adds=lambda o: prod(o["y"].shape) * o["weights"].shape[1],
)
