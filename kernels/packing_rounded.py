"""Weights of `conv_rounded`: rounded once, in the order in which tensor cores' tiles read them."""

from __future__ import annotations

import numpy as np

from .errors import KernelError
from .rounding import Products, rounded

STAGE_WORDS = 8
"""Words of 32 bits along the inner axis that are read at a time: one number each of TF32, else two."""

CHANNELS = 16
"""Output channels of a group are filled up to a multiple of this, with zeros."""


def numbers_per_word(products: Products) -> int:
    """Operands in 32 bits."""
    return 1 if products is Products.TF32 else 2


def conv_rounded(w: np.ndarray, groups: int, products: Products) -> np.ndarray:
    """Round and pack weights.

    Args:
        w: [output channels, input channels / groups, kernel depth, kernel height, kernel width], as ONNX Conv.

    Returns:
        int32 [groups, stages, STAGE_WORDS, output channels of a group filled up], flat: words of numbers along taps x
        input channels, the first of two in the low bits.

    Raises:
        KernelError: a weight is not finite when it is rounded.
    """
    outputs, inputs = w.shape[0] // groups, w.shape[1]
    matrices = w.reshape(groups, outputs, inputs, -1).transpose(0, 3, 2, 1).reshape(groups, -1, outputs)
    inner, stage = matrices.shape[1], STAGE_WORDS * numbers_per_word(products)
    shape = groups, -(-inner // stage) * stage, -(-outputs // CHANNELS) * CHANNELS
    filled = np.zeros(shape, np.float32)
    filled[:, :inner, :outputs] = rounded(matrices, products)
    if not np.isfinite(filled).all():
        largest = float(np.abs(w).max())
        raise KernelError(f"a weight of {largest:g} is not finite in {products.name.lower()}; float32 would work")
    if products is Products.TF32:
        return filled.view(np.int32).reshape(-1)
    if products is Products.FLOAT16:
        halves = filled.astype(np.float16).view(np.uint16)
    else:
        halves = (filled.view(np.uint32) >> np.uint32(16)).astype(np.uint16)
    words = halves[:, ::2] | halves[:, 1::2].astype(np.uint32) << np.uint32(16)
    return words.view(np.int32).reshape(-1)


def unpack_conv_rounded(packed: np.ndarray, shape: tuple[int, ...], groups: int, products: Products) -> np.ndarray:
    """The rounded weights; `shape` is that of the ONNX weights."""
    outputs, inputs = shape[0] // groups, shape[1]
    inner = int(np.prod(shape[1:]))
    words = packed.view(np.uint32).reshape(groups, -1, -(-outputs // CHANNELS) * CHANNELS)
    if products is Products.TF32:
        filled = words.view(np.float32)
    else:
        halves = np.stack([words & np.uint32(0xFFFF), words >> np.uint32(16)], axis=2)
        halves = halves.reshape(groups, -1, words.shape[2])
        if products is Products.FLOAT16:
            filled = halves.astype(np.uint16).view(np.float16).astype(np.float32)
        else:
            filled = (halves << np.uint32(16)).view(np.float32)
    matrices = filled[:, :inner, :outputs].reshape(groups, -1, inputs, outputs)
    return np.ascontiguousarray(matrices.transpose(0, 3, 2, 1).reshape(shape))
