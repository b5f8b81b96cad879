"""Pooling that keeps where its values came from, and its inverse; axes: batch, channels, depth, height, width."""

from __future__ import annotations

from ..contract import Int, Kernel, Tensor
from .window import window_fields

MAX_POOL_POSITIONS = Kernel(
    "max_pool_positions",
    (
        Tensor("x", 5),  # [batch, channels, depth, height, width]
        Tensor("y", 5, written=True),  # the largest elements
        Tensor("positions", 5, written=True, dtype="carrier"),  # int64: theirs in the whole of x
        *window_fields(3),
        Int("column_major"),  # 1: positions count along the depth first, then the height, then the width
    ),
)
PLACE = Kernel(
    "place",  # y[positions[i]] = x[i], in order; positions outside y are left out
    (Tensor("x", 1, "dense"), Tensor("positions", 1, "dense", dtype="carrier"), Tensor("y", 1, "dense", written=True)),
)
