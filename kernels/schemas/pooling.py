"""Pooling; names of axes: batch, channels, height, width."""

from __future__ import annotations

from ..contract import Int, Kernel, Tensor


def _pool(name: str) -> Kernel:
    return Kernel(
        name,
        (
            Tensor("x", 4),
            Tensor("y", 4, written=True),
            Int("kernel_height"),
            Int("kernel_width"),
            Int("stride_height"),
            Int("stride_width"),
            Int("dilation_height"),
            Int("dilation_width"),
            Int("pad_top"),
            Int("pad_left"),
            Int("pad_bottom"),
            Int("pad_right"),
            Int("count_include_pad"),  # average only: 1 counts padding (not what ceil_mode adds) in the divisor
        ),
    )


MAX_POOL = _pool("max_pool")
AVERAGE_POOL = _pool("average_pool")
