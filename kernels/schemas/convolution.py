"""Convolutions; names of axes: batch, channels, height, width."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import Any

from .. import windows, winograd
from ..contract import Int, Kernel, Layout, Tensor
from .activation import ACTIVATION


def _conv_multiply_adds(operands: Mapping[str, Any]) -> int:
    x, y = operands["x"], operands["y"]
    window = operands["kernel_height"] * operands["kernel_width"]
    return prod(y.shape) * (x.shape[1] // operands["groups"]) * window


def _conv(
    name: str, scratch: Callable[[Mapping[str, Any]], int] | None = None, x: Layout = "any", y: Layout = "any"
) -> Kernel:
    extra = (Tensor("scratch", 1, "dense", written=True),) if scratch else ()
    return Kernel(
        name,
        (
            Tensor("x", 4, x),  # [batch, channels, height, width]
            Tensor("weights", 1, "dense"),  # packed by packing.<name>
            Tensor("bias", 1, "dense", optional=True),  # [output channels padded to PANEL]
            Tensor("y", 4, y, written=True),  # [batch, output channels, height, width]
            Int("groups"),
            Int("kernel_height"),
            Int("kernel_width"),
            Int("stride_height"),
            Int("stride_width"),
            Int("dilation_height"),
            Int("dilation_width"),
            Int("pad_top"),
            Int("pad_left"),  # bottom and right padding follow from the size of y
            *ACTIVATION,
            *extra,
        ),
        scratch=scratch,
        multiply_adds=_conv_multiply_adds,
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
