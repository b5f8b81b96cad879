"""Convolutions of rounded operands, of images as volumes of one slice; no CPU kernel has them."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

from ..contract import Choice, Int, Kernel, Tensor
from ..rounding import Products
from .activation import ACTIVATION
from .window import window_fields, window_of


def _multiply_adds(operands: Mapping[str, Any]) -> int:
    inputs = operands["x"].shape[1] // operands["groups"]
    return prod(operands["y"].shape) * inputs * prod(window_of(operands, 3).kernel)


CONV_ROUNDED = Kernel(
    "conv_rounded",
    (
        Tensor("x", 5),  # [batch, channels, depth, height, width]
        Tensor("weights", 1, "dense", dtype="int32"),  # packed by packing_rounded.conv_rounded
        Tensor("bias", 1, "dense", optional=True),  # [output channels padded to PANEL]
        Tensor("y", 5, written=True),  # [batch, output channels, depth, height, width]
        Int("groups"),
        Choice("products", Products),
        *window_fields(3),
        *ACTIVATION,
    ),
    multiply_adds=_multiply_adds,
)
