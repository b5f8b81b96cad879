"""All native kernel files, imported so that their kernels are registered."""

from __future__ import annotations

from . import (
    chain,
    convolution_depthwise,
    convolution_narrow,
    convolution_volume,
    convolution_wide,
    convolution_winograd,
    elementwise,
    general,
    general_arithmetic,
    gru,
    gru_small,
    lane_by_lane,
    lstm,
    movement,
    pooling,
    positions,
    products,
    reduction,
    resize,
    spectrum,
)

__all__ = [
    "chain",
    "convolution_depthwise",
    "convolution_narrow",
    "convolution_volume",
    "convolution_wide",
    "convolution_winograd",
    "elementwise",
    "general",
    "general_arithmetic",
    "gru",
    "gru_small",
    "lane_by_lane",
    "lstm",
    "movement",
    "pooling",
    "positions",
    "products",
    "reduction",
    "resize",
    "spectrum",
]
