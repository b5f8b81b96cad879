"""Pooling that keeps where its values came from, and its inverse; axes: batch, channels, depth, height, width."""

from __future__ import annotations

from ..contract import Int, Kernel, Tensor

MAX_POOL_POSITIONS = Kernel(
    "max_pool_positions",
    (
        Tensor("x", 5),  # [batch, channels, depth, height, width]
        Tensor("y", 5, written=True),  # the largest elements
        Tensor("positions", 5, written=True, dtype="carrier"),  # int64: theirs in the whole of x
        *(Int(f"kernel_{axis}") for axis in ("depth", "height", "width")),
        *(Int(f"stride_{axis}") for axis in ("depth", "height", "width")),
        *(Int(f"dilation_{axis}") for axis in ("depth", "height", "width")),
        *(Int(f"pad_{side}") for side in ("front", "top", "left")),
        Int("column_major"),  # 1: positions count along the depth first, then the height, then the width
    ),
)
PLACE = Kernel(
    "place",  # y[positions[i]] = x[i], in order; positions outside y are left out
    (Tensor("x", 1, "dense"), Tensor("positions", 1, "dense", dtype="carrier"), Tensor("y", 1, "dense", written=True)),
)
