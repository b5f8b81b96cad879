"""All files of definitions, imported so that their kernels are registered."""

from __future__ import annotations

from . import (
    chain,
    convolution,
    elementwise,
    general,
    half,
    interpolation,
    movement,
    pooling,
    positions,
    products,
    products_general,
    quantisation,
    recurrent,
    recurrent_general,
    reduction,
    regions,
    resize,
    sampling,
    spectrum,
    volume,
)

__all__ = [
    "chain",
    "convolution",
    "elementwise",
    "general",
    "half",
    "interpolation",
    "movement",
    "pooling",
    "positions",
    "products",
    "products_general",
    "quantisation",
    "recurrent",
    "recurrent_general",
    "reduction",
    "regions",
    "resize",
    "sampling",
    "spectrum",
    "volume",
]
