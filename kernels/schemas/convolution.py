"""Convolutions; names of axes: batch, channels, depth (of volumes), height, width."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import Any

from .. import windows, winograd
from ..contract import Int, Kernel, Layout, Tensor
from .activation import ACTIVATION
from .window import window_fields, window_of


def _conv(
    name: str,
    scratch: Callable[[Mapping[str, Any]], int] | None = None,
    x: Layout = "any",
    y: Layout = "any",
    axes: int = 2,
    blocks: tuple[Int, ...] = (),
) -> Kernel:
    def multiply_adds(operands: Mapping[str, Any]) -> int:
        inputs = operands["x"].shape[1] // operands["groups"]
        return prod(operands["y"].shape) * inputs * prod(window_of(operands, axes).kernel)

    return Kernel(
        name,
        (
            Tensor("x", axes + 2, x),  # [batch, channels, (depth,) height, width]
            Tensor("weights", 1, "dense"),  # packed by packing.<name>
            Tensor("bias", 1, "dense", optional=True),  # [output channels padded to PANEL]
            Tensor("y", axes + 2, y, written=True),  # [batch, output channels, (depth,) height, width]
            Int("groups"),
            *blocks,
            *window_fields(axes),
            *ACTIVATION,
            *((Tensor("scratch", 1, "dense", written=True),) if scratch else ()),
        ),
        scratch=scratch,
        multiply_adds=multiply_adds,
    )


# Vectors along the width: images, long signals.
CONV_WIDE = _conv("conv_wide", windows.conv_wide_scratch)
# Short rows of stride 1 or 2, a step of a stream; vectors along the width.
CONV_SHORT = _conv("conv_short", x="rows")
# Vectors along the output channels: a few steps of a stream.
CONV_NARROW = _conv("conv_narrow", windows.conv_narrow_scratch)
# 3x3 kernels of stride and dilation 1 with a quarter of the multiplications; vectors along tiles of 4 x 4 outputs.
CONV_WINOGRAD = _conv("conv_winograd", winograd.conv_winograd_scratch, "rows", "rows")
# One input channel a group, vectors along the width.
CONV_DEPTHWISE = _conv("conv_depthwise")
# Volumes; as many output channels as `block` says lie side by side in the weights.
CONV_VOLUME = _conv("conv_volume", windows.conv_volume_scratch, axes=3, blocks=(Int("block"),))
