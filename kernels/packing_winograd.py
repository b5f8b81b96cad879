"""Weights of `conv_winograd`: transformed kernels, in the order in which the 36 matrix products read them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .contract import PANEL
from .winograd import GROUP_BLOCKS, PLANES, ROW_BLOCK, count_tiles, kernel_matrix

_TRANSFORM_COST = 300
"""Vector multiply-adds in whose time 16 tiles of one channel are transformed, there or back; measured on AVX-512."""


def conv_winograd(w: np.ndarray, groups: int = 1) -> np.ndarray:
    """Transform and pack weights; the transform is rounded once.

    Args:
        w: [output channels, input channels / groups, 3, 3], as ONNX Conv.

    Returns:
        for each group and each GROUP_BLOCKS blocks of ROW_BLOCK output channels (fewer blocks at the end):
        [PLANES, blocks, input channels / groups, ROW_BLOCK], all flat and end to end.
    """
    g = kernel_matrix()
    transformed = np.einsum("ia,ocab,jb->ijoc", g, w.astype(np.float64), g).astype(np.float32)
    outputs, inputs = w.shape[0] // groups, w.shape[1]
    blocks = -(-outputs // ROW_BLOCK)
    parts = []
    for group in range(groups):
        padded = np.zeros((PLANES, blocks * ROW_BLOCK, inputs), np.float32)
        chosen = transformed[:, :, group * outputs : (group + 1) * outputs]
        padded[:, :outputs] = chosen.reshape(PLANES, outputs, inputs)
        blocked = padded.reshape(PLANES, blocks, ROW_BLOCK, inputs).transpose(0, 1, 3, 2)
        parts += [blocked[:, b : b + GROUP_BLOCKS].reshape(-1) for b in range(0, blocks, GROUP_BLOCKS)]
    return np.concatenate(parts)


def unpack_conv_winograd(packed: np.ndarray, shape: tuple[int, ...], groups: int = 1) -> np.ndarray:
    """The inverse of `conv_winograd`, to within the rounding; `shape` is that of the ONNX weights."""
    outputs, inputs = shape[0] // groups, shape[1]
    blocks = -(-outputs // ROW_BLOCK)
    transformed = np.empty((PLANES, groups, blocks, inputs, ROW_BLOCK), np.float32)
    start = 0
    for group in range(groups):
        for b in range(0, blocks, GROUP_BLOCKS):
            part = transformed[:, group, b : b + GROUP_BLOCKS]
            part[...] = packed[start : start + part.size].reshape(part.shape)
            start += part.size
    rows = transformed.transpose(1, 2, 4, 0, 3).reshape(groups, blocks * ROW_BLOCK, 6, 6, inputs)[:, :outputs]
    inverse = np.linalg.pinv(kernel_matrix())
    w = np.einsum("ai,goijc,bj->gocab", inverse, rows.astype(np.float64), inverse)
    return np.ascontiguousarray(w.reshape(shape), np.float32)


def pays(
    x_shape: Sequence[int],
    w_shape: Sequence[int],
    y_shape: Sequence[int],
    groups: int = 1,
    strides: Sequence[int] = (1, 1),
    dilations: Sequence[int] = (1, 1),
) -> bool:
    """Whether `conv_winograd` can do a convolution, and faster than the kernels that multiply directly.

    Counts vector multiply-adds, as `packing.choose_convolution` does.

    Args:
        x_shape: [batch, channels, height, width].
        w_shape: [output channels, channels / groups, kernel height, kernel width], as ONNX Conv.
        y_shape: [batch, output channels, output height, output width].
        strides, dilations: along height and width.
    """
    if tuple(w_shape[2:]) != (3, 3) or tuple(strides) != (1, 1) or tuple(dilations) != (1, 1):
        return False
    inputs, outputs = w_shape[1], w_shape[0] // groups
    return _work(inputs, outputs, y_shape) < _direct_work(inputs, outputs, 9, y_shape)


def pays_in_phases(w_shape: Sequence[int], y_shape: Sequence[int]) -> bool:
    """Whether a convolution of stride 2 is faster as one of stride 1 over the four phases of its input, transformed.

    Args:
        w_shape: [output channels, channels, kernel height, kernel width]; kernels of 5 or 6 have 3 x 3 taps a phase.
        y_shape: [batch, output channels, output height, output width].
    """
    outputs, inputs, kernel_height, kernel_width = w_shape
    if not {kernel_height, kernel_width} <= {5, 6}:
        return False
    return _work(4 * inputs, outputs, y_shape) < _direct_work(inputs, outputs, kernel_height * kernel_width, y_shape)


def _work(inputs: int, outputs: int, y_shape: Sequence[int]) -> int:
    """Vector multiply-adds of one group of `conv_winograd`, its transforms counted in them."""
    batch, _, height, width = y_shape
    across, bands = count_tiles(width), batch * count_tiles(height)
    products = PLANES * inputs * -(-outputs // ROW_BLOCK) * ROW_BLOCK * -(-bands * across // PANEL)
    return products + bands * -(-across // PANEL) * (inputs + outputs) * _TRANSFORM_COST


def _direct_work(inputs: int, outputs: int, taps: int, y_shape: Sequence[int]) -> int:
    """Those of the faster kernel that multiplies directly."""
    batch, _, height, width = y_shape
    wide = batch * height * -(-width // PANEL) * outputs * inputs * taps
    narrow = batch * height * width * (-(-outputs // PANEL) * inputs * taps + 3 * outputs)
    return min(wide, narrow)
