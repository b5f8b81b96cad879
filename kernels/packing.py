"""Weights in the order in which the product and convolution kernels read them, and back.

All layouts are 1-D float32, the same for every back end, zero where they are padded. `pack_x` and `unpack_x` are
each other's inverse; a program keeps packed weights only, and the reference back end unpacks them.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from . import windows
from .contract import PANEL

CHANNEL_BLOCK = 8
"""Output channels that one tile of `conv_wide` works on: neighbours in its packed weights."""

SHORT_OUTPUTS = 1024
"""Outputs a channel up to which masks at every tap cost less than padded copies of the input."""

LARGEST_TABLE = 1 << 16
"""Numbers of a channel that are gathered to unfold its windows: the table of their places is a constant."""

LARGEST_STRIP_FLOATS = 1 << 20
"""Scratch beyond this (4 MiB) would pass through the second cache for every row: such convolutions run narrow."""


def pack_panels(w: np.ndarray) -> np.ndarray:
    """Split the columns of a matrix into panels of PANEL.

    Args:
        w: [inner, columns].

    Returns:
        [ceil(columns / PANEL) * inner * PANEL] float32: panel by panel, each [inner, PANEL].
    """
    return _pack_blocks(w, PANEL)


def unpack_panels(packed: np.ndarray, inner: int, columns: int) -> np.ndarray:
    """The inverse of `pack_panels`: [inner, columns] float32."""
    return _unpack_blocks(packed, inner, columns, PANEL)


def _pack_blocks(w: np.ndarray, block: int) -> np.ndarray:
    inner, columns = w.shape
    blocks = -(-columns // block)
    wide = np.zeros((inner, blocks * block), np.float32)
    wide[:, :columns] = w
    return np.ascontiguousarray(wide.reshape(inner, blocks, block).transpose(1, 0, 2)).reshape(-1)


def _unpack_blocks(packed: np.ndarray, inner: int, columns: int, block: int) -> np.ndarray:
    blocks = -(-columns // block)
    wide = packed[: blocks * inner * block].reshape(blocks, inner, block).transpose(1, 0, 2)
    return wide.reshape(inner, blocks * block)[:, :columns]


def bias(b: np.ndarray) -> np.ndarray:
    """A bias, or the slopes of a PRelu, padded with zeros to whole panels.

    Args:
        b: [channels] or [columns]; for grouped convolutions all groups end to end.
    """
    padded = np.zeros(-(-b.size // PANEL) * PANEL, np.float32)
    padded[: b.size] = b.reshape(-1)
    return padded


def dense(w: np.ndarray) -> np.ndarray:
    """Weights of `dense`.

    Args:
        w: [inner, columns].
    """
    return pack_panels(w)


def unpack_dense(packed: np.ndarray, inner: int, columns: int) -> np.ndarray:
    """The inverse of `dense`: [inner, columns] float32."""
    return unpack_panels(packed, inner, columns)


def conv_wide(w: np.ndarray, groups: int = 1) -> np.ndarray:
    """Weights of `conv_wide`.

    Args:
        w: [output channels, input channels / groups, kernel height, kernel width], as ONNX Conv.

    Returns:
        [groups, ceil(output channels / groups / CHANNEL_BLOCK), kernel height, kernel width,
        input channels / groups, CHANNEL_BLOCK], flat.
    """
    return _pack_convolution(w, groups, CHANNEL_BLOCK)


def unpack_conv_wide(packed: np.ndarray, shape: tuple[int, ...], groups: int = 1) -> np.ndarray:
    """The inverse of `conv_wide`; `shape` is that of the ONNX weights."""
    return _unpack_convolution(packed, shape, groups, CHANNEL_BLOCK)


def conv_narrow(w: np.ndarray, groups: int = 1) -> np.ndarray:
    """Weights of `conv_narrow`.

    Args:
        w: [output channels, input channels / groups, kernel height, kernel width], as ONNX Conv.

    Returns:
        [groups, ceil(output channels / groups / PANEL), kernel height, kernel width,
        input channels / groups, PANEL], flat.
    """
    return _pack_convolution(w, groups, PANEL)


def unpack_conv_narrow(packed: np.ndarray, shape: tuple[int, ...], groups: int = 1) -> np.ndarray:
    """The inverse of `conv_narrow`; `shape` is that of the ONNX weights."""
    return _unpack_convolution(packed, shape, groups, PANEL)


def conv_volume(w: np.ndarray, groups: int, block: int) -> np.ndarray:
    """Weights of `conv_volume`.

    Args:
        w: [output channels, input channels / groups, kernel depth, kernel height, kernel width], as ONNX Conv.
        block: output channels of a group that lie side by side.

    Returns:
        [groups, ceil(output channels / groups / block), kernel depth, kernel height, kernel width,
        input channels / groups, block], flat.
    """
    return _pack_convolution(w, groups, block)


def unpack_conv_volume(packed: np.ndarray, shape: tuple[int, ...], groups: int, block: int) -> np.ndarray:
    """The inverse of `conv_volume`; `shape` is that of the ONNX weights."""
    return _unpack_convolution(packed, shape, groups, block)


def conv_depthwise(w: np.ndarray) -> np.ndarray:
    """Weights of `conv_depthwise`, as they are.

    Args:
        w: [output channels, 1, kernel height, kernel width], as ONNX Conv with one input channel a group.
    """
    return np.ascontiguousarray(w, np.float32).reshape(-1)


def unpack_conv_depthwise(packed: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The inverse of `conv_depthwise`; `shape` is that of the ONNX weights."""
    return packed[: int(np.prod(shape))].reshape(shape)


def choose_convolution(
    x_shape: Sequence[int],
    w_shape: Sequence[int],
    y_shape: Sequence[int],
    groups: int = 1,
    strides: Sequence[int] = (1, 1),
    dilations: Sequence[int] = (1, 1),
) -> str:
    """The faster kernel for a convolution: "conv_wide", "conv_narrow" or "conv_depthwise".

    Measured on AVX-512: `conv_wide` does one vector multiply-add for each output channel and 16 columns, `conv_narrow`
    one for each output position and 16 channels, and its scattered stores cost as much as 3 of them an output.

    Args:
        x_shape: [batch, channels, height, width].
        w_shape: [output channels, channels / groups, kernel height, kernel width], as ONNX Conv.
        y_shape: [batch, output channels, output height, output width].
        strides, dilations: along height and width.
    """
    inputs, outputs, (kernel_height, kernel_width) = w_shape[1], w_shape[0] // groups, w_shape[2:]
    if groups > 1 and inputs == 1 and outputs <= 4:
        return "conv_depthwise"
    height, width = y_shape[2:]
    if kernel_height * kernel_width == 1 and tuple(x_shape[2:]) == tuple(y_shape[2:]):
        height, width = 1, height * width  # conv_wide reads such an image as one row
    along = kernel_width, strides[1], dilations[1]
    _, _, row = windows.strip_layout(windows.strip_columns(width, kernel_height * inputs), *along)
    copied = kernel_height * inputs * row
    if height * width == 1 or copied > LARGEST_STRIP_FLOATS:
        return "conv_narrow"
    inner = inputs * kernel_height * kernel_width
    wide = -(-width // PANEL) * outputs * inner
    narrow = width * (-(-outputs // PANEL) * inner + 3 * outputs)
    return "conv_wide" if wide <= narrow else "conv_narrow"


def has_short_rows(
    x_shape: Sequence[int], w_shape: Sequence[int], y_shape: Sequence[int], strides: Sequence[int]
) -> bool:
    """Whether `conv_short` is faster than `conv_wide`, which copies padded rows; arguments as `choose_convolution`."""
    return strides[1] <= 2 and y_shape[2] * y_shape[3] <= SHORT_OUTPUTS


def pays_unfolded(
    x_shape: Sequence[int], w_shape: Sequence[int], y_shape: Sequence[int], groups: int, strides: Sequence[int]
) -> bool:
    """Whether gathering each window's numbers, for a 1x1 convolution of one long row, is faster than any window.

    Short rows leave vectors along the width almost empty. Counts as `choose_convolution`, whose arguments it takes; a
    gathered number costs as much as 3 vector multiply-adds.
    """
    inputs, outputs, taps = w_shape[1], w_shape[0], w_shape[2] * w_shape[3]
    height, width = y_shape[2:]
    alone = taps == 1 and tuple(strides) == (1, 1)
    if groups > 1 or alone or height == 1 or taps * height * width > LARGEST_TABLE:
        return False
    inner = inputs * taps
    unfolded = -(-height * width // PANEL) * outputs * inner + 3 * inner * height * width
    narrow = height * width * (-(-outputs // PANEL) * inner + 3 * outputs)
    return unfolded < min(height * -(-width // PANEL) * outputs * inner, narrow)


def _pack_convolution(w: np.ndarray, groups: int, block: int) -> np.ndarray:
    outputs, inputs = w.shape[0] // groups, w.shape[1]
    per_group = w.reshape(groups, outputs, inputs, -1).transpose(0, 3, 2, 1)
    return np.concatenate([_pack_blocks(matrix, block) for matrix in per_group.reshape(groups, -1, outputs)])


def _unpack_convolution(packed: np.ndarray, shape: tuple[int, ...], groups: int, block: int) -> np.ndarray:
    outputs, inputs, taps = shape[0] // groups, shape[1], prod(shape[2:])
    size = -(-outputs // block) * taps * inputs * block
    parts = packed.reshape(-1, size)[:groups]
    matrices = np.stack([_unpack_blocks(part, taps * inputs, outputs, block) for part in parts])
    return matrices.reshape(groups, taps, inputs, outputs).transpose(0, 3, 2, 1).reshape(shape)
