"""Weights of three-dimensional convolutions in the order in which their kernel reads them, and back."""

from __future__ import annotations

import numpy as np


def conv_volume(w: np.ndarray, groups: int, block: int) -> np.ndarray:
    """Weights of `conv_volume`.

    Args:
        w: [output channels, input channels / groups, kernel depth, kernel height, kernel width], as ONNX Conv.
        block: output channels of a group that lie side by side.

    Returns:
        [groups, ceil(output channels / groups / block), kernel depth, kernel height, kernel width,
        input channels / groups, block] float32, flat; zero where the last block is padded.
    """
    outputs = w.shape[0] // groups
    blocks = -(-outputs // block)
    padded = np.zeros((groups, blocks * block, *w.shape[1:]), np.float32)
    padded[:, :outputs] = w.reshape(groups, outputs, *w.shape[1:])
    split = padded.reshape(groups, blocks, block, *w.shape[1:])
    return np.ascontiguousarray(split.transpose(0, 1, 4, 5, 6, 3, 2)).reshape(-1)


def unpack_conv_volume(packed: np.ndarray, shape: tuple[int, ...], groups: int, block: int) -> np.ndarray:
    """The inverse of `conv_volume`; `shape` is that of the ONNX weights."""
    outputs, inputs, *kernel = shape
    blocks = -(-(outputs // groups) // block)
    size = groups * blocks * block * inputs * int(np.prod(kernel))
    split = packed[:size].reshape(groups, blocks, *kernel, inputs, block).transpose(0, 1, 6, 5, 2, 3, 4)
    return split.reshape(groups, blocks * block, inputs, *kernel)[:, : outputs // groups].reshape(shape)
