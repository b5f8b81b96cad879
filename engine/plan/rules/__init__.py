"""Rules that lower ONNX operators to kernel instructions, a file a family."""

from __future__ import annotations

from . import (
    blocks,
    causal,
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
    unpooling,
    views,
)
from .registry import RULES, Lowering

__all__ = [
    "RULES",
    "Lowering",
    "blocks",
    "causal",
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
    "unpooling",
    "views",
]
