"""Pooling; names of axes: batch, channels, height, width."""

from __future__ import annotations

from ..contract import Int, Kernel, Tensor
from .window import window_fields


def _pool(name: str) -> Kernel:
    return Kernel(
        name,
        (
            Tensor("x", 4),
            Tensor("y", 4, written=True),
            *window_fields(2),
            Int("pad_bottom"),
            Int("pad_right"),
            Int("count_include_pad"),  # average only: 1 counts padding (not what ceil_mode adds) in the divisor
        ),
    )


MAX_POOL = _pool("max_pool")
AVERAGE_POOL = _pool("average_pool")
