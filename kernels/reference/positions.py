"""Definitions of pooling that keeps positions, and of placing values at positions."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from ..schemas.window import window_of
from .execute import definition


@definition
def max_pool_positions(**o: Any) -> None:
    """y = the largest element of each window, positions = where it lies in x as it is numbered in C order.

    The first of equals counts, a NaN as the largest of all. column_major numbers the elements of each channel with the
    depth fastest. A window outside x gives -inf at -1.

    Args:
        o: the schema's operands.
            x: [batch, channels, depth, height, width] float32.
            y: [batch, channels, output depth, output height, output width] float32.
            positions: [batch, channels, output depth, output height, output width] int64.

    Source: ONNX MaxPool, with its output Indices.
    """
    x, y, positions = o["x"], o["y"], o["positions"]
    batch, channels, *size = x.shape
    order = np.arange(int(np.prod(size))).reshape(size[::-1] if o["column_major"] else size)
    numbers = order.transpose() if o["column_major"] else order
    first = np.arange(batch * channels).reshape(batch, channels) * int(np.prod(size))
    axes = []
    for kernel, stride, dilation, pad, limit, count in zip(*window_of(o, 3), size, y.shape[2:], strict=True):
        taps = np.arange(kernel) * dilation
        starts = np.arange(count) * stride - pad
        axes.append([(start + taps)[(start + taps >= 0) & (start + taps < limit)] for start in starts])
    for at in product(*map(range, y.shape[2:])):
        window = np.ix_(*(axis[index] for axis, index in zip(axes, at, strict=True)))
        values = x[(slice(None), slice(None), *window)].reshape(batch, channels, -1)
        if values.shape[2] == 0:
            y[(..., *at)], positions[(..., *at)] = -np.inf, -1
            continue
        largest = values.argmax(axis=2)
        y[(..., *at)] = np.take_along_axis(values, largest[..., None], axis=2)[..., 0]
        positions[(..., *at)] = first + numbers[window].reshape(-1)[largest]


@definition
def place(x: np.ndarray, positions: np.ndarray, y: np.ndarray) -> None:
    """y[positions[i]] = x[i], one after the other; positions outside y are left out, the rest of y stays.

    Args:
        x: [count] float32.
        positions: [count] int64.
        y: [elements] float32.

    Source: ONNX MaxUnpool.
    """
    for value, position in zip(x, positions.tolist(), strict=True):
        if 0 <= position < len(y):
            y[position] = value
