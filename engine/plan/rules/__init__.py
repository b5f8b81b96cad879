"""Rules that lower ONNX operators to kernel instructions, a file a family."""

from __future__ import annotations

from . import (
    convolution,
    elementwise,
    movement,
    pooling,
    products,
    recurrent,
    reduction,
    resize,
    scatter,
    signal,
    transposed,
    views,
)
from .registry import RULES, Lowering

__all__ = [
    "RULES",
    "Lowering",
    "convolution",
    "elementwise",
    "movement",
    "pooling",
    "products",
    "recurrent",
    "reduction",
    "resize",
    "scatter",
    "signal",
    "transposed",
    "views",
]
