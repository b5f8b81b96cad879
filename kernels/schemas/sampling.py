"""Sampling between elements, and pooling of regions; names of axes: batch, channels, depth, height, width."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

from ..contract import Choice, Float, Int, Kernel, Tensor
from ..opcodes_sampling import Beyond, Coordinates, Interpolation

_TAPS = {Interpolation.NEAREST: 1, Interpolation.LINEAR: 2, Interpolation.CUBIC: 4}


def _multiply_adds(operands: Mapping[str, Any]) -> int:
    return prod(operands["y"].shape) * _TAPS[operands["interpolation"]] ** operands["grid"].shape[2]


SAMPLE = Kernel(
    "sample",
    (
        Tensor("x", 5),  # [batch, channels, depth, height, width]
        Tensor("grid", 3),  # [batch, points, axes]: along the width, then (of 2) the height, then (of 3) the depth
        Tensor("y", 3, written=True),  # [batch, channels, points]
        Choice("interpolation", Interpolation),
        Choice("beyond", Beyond),
        Choice("coordinates", Coordinates),
    ),
    multiply_adds=_multiply_adds,
)

ROI_ALIGN = Kernel(
    "roi_align",
    (
        Tensor("x", 4),  # [batch, channels, height, width]
        Tensor("regions", 2),  # [regions, 4]: left, top, right, bottom
        Tensor("images", 1, dtype="carrier"),  # [regions] int64: which image of the batch
        Tensor("y", 4, written=True),  # [regions, channels, output height, output width]
        Float("scale"),  # of the regions' coordinates
        Float("offset"),  # taken off them
        Int("samples"),  # a side of each bin; 0: as many as it has elements
        Int("largest"),  # 1: the largest part of a sample instead of the samples' mean
    ),
)
MAX_ROI_POOL = Kernel(
    "max_roi_pool",
    (
        Tensor("x", 4),  # [batch, channels, height, width]
        Tensor("regions", 2),  # [regions, 5]: image, left, top, right, bottom
        Tensor("y", 4, written=True),  # [regions, channels, output height, output width]
        Float("scale"),  # of the regions' coordinates
    ),
)
