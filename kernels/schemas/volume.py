"""Windows in three dimensions; names of axes: batch, channels, depth, height, width."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

from .. import windows
from ..contract import Int, Kernel, Tensor
from .activation import ACTIVATION


def _multiply_adds(operands: Mapping[str, Any]) -> int:
    x, y = operands["x"], operands["y"]
    window = operands["kernel_depth"] * operands["kernel_height"] * operands["kernel_width"]
    return prod(y.shape) * (x.shape[1] // operands["groups"]) * window


CONV_VOLUME = Kernel(
    "conv_volume",
    (
        Tensor("x", 5),  # [batch, channels, depth, height, width]
        Tensor("weights", 1, "dense"),  # packed by packing_volume.conv_volume
        Tensor("bias", 1, "dense", optional=True),  # [output channels padded to PANEL]
        Tensor("y", 5, written=True),  # [batch, output channels, depth, height, width]
        Int("groups"),
        Int("block"),  # output channels that lie side by side in the weights
        *(Int(f"kernel_{axis}") for axis in ("depth", "height", "width")),
        *(Int(f"stride_{axis}") for axis in ("depth", "height", "width")),
        *(Int(f"dilation_{axis}") for axis in ("depth", "height", "width")),
        *(Int(f"pad_{side}") for side in ("front", "top", "left")),  # those at the ends follow from the size of y
        *ACTIVATION,
        Tensor("scratch", 1, "dense", written=True),
    ),
    scratch=windows.conv_volume_scratch,
    multiply_adds=_multiply_adds,
)
