"""Resizing."""

from __future__ import annotations

from math import prod

from ..contract import Int, Kernel, Tensor

RESIZE_LINEAR = Kernel(
    "resize_linear",  # separable: each output is a blend of two rows by two columns
    (
        Tensor("x", 4),
        Tensor("rows", 2, "dense", dtype="int32"),  # [output height, 2]: first and second source row
        Tensor("row_weights", 1, "dense"),  # [output height]: weight of the second
        Tensor("columns", 2, "dense", dtype="int32"),  # [output width, 2]
        Tensor("column_weights", 1, "dense"),
        Int(
            "near"
        ),  # 1: PANEL output columns in a row always read PANEL columns in a row, from their first one's first
        Tensor("y", 4, written=True),
        Tensor("scratch", 1, "dense", written=True),
    ),
    scratch=lambda o: 2 * o["y"].shape[3],
    multiply_adds=lambda o: 4 * prod(o["y"].shape),
)
