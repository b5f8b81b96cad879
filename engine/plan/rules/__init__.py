"""Rules that lower ONNX operators to kernel instructions, a file a family."""

from __future__ import annotations

from ...graph.ir import STREAM_DOMAIN
from . import (
    blocks,
    causal,
    convolution,
    einsum,
    elementwise,
    indexing,
    integer_products,
    movement,
    normalisation,
    ordering,
    pooling,
    products,
    quantised,
    recurrent,
    reduction,
    resize,
    sampling,
    scatter,
    signal,
    spectral,
    statistics,
    transposed,
    unpooling,
    views,
)
from .registry import RULES, Lowering

OPERATORS = {operator: rule.shaping for (domain, operator), rule in RULES.items() if domain != STREAM_DOMAIN}
"""Operators of networks that have a rule -> the inputs whose values shapes, axes and lengths follow from."""

__all__ = [
    "OPERATORS",
    "RULES",
    "Lowering",
    "blocks",
    "causal",
    "convolution",
    "einsum",
    "elementwise",
    "indexing",
    "integer_products",
    "movement",
    "normalisation",
    "ordering",
    "pooling",
    "products",
    "quantised",
    "recurrent",
    "reduction",
    "resize",
    "sampling",
    "scatter",
    "signal",
    "spectral",
    "statistics",
    "transposed",
    "unpooling",
    "views",
]
