"""Definitions of the pools.

x: [batch, channels, height, width] float32
y: [batch, channels, output height, output width] float32

Source: ONNX MaxPool and AveragePool.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..schemas.window import window_of
from .execute import definition


def _windows(o: dict[str, Any]) -> Iterator[tuple[int, int, np.ndarray, int]]:
    """(output row, output column, window [batch, channels, taps that lie in x], taps in x and its padding)."""
    x, y = o["x"], o["y"]
    axes = []
    ends = o["pad_bottom"], o["pad_right"]
    for kernel, stride, dilation, before, after, size, count in zip(
        *window_of(o, 2), ends, x.shape[2:], y.shape[2:], strict=True
    ):
        indices = [start * stride - before + np.arange(kernel) * dilation for start in range(count)]
        inside = [i[(i >= 0) & (i < size)] for i in indices]
        counted = [int(((i >= -before) & (i < size + after)).sum()) for i in indices]
        axes.append(list(zip(inside, counted, strict=True)))
    for i, (rows, row_count) in enumerate(axes[0]):
        for j, (columns, column_count) in enumerate(axes[1]):
            window = x[:, :, rows[:, None], columns[None, :]]
            yield i, j, window.reshape(*x.shape[:2], -1), row_count * column_count


@definition
def max_pool(**operands: Any) -> None:
    """y[n, c, i, j] = the largest element of the window, -inf if none lies in x."""
    for i, j, window, _ in _windows(operands):
        operands["y"][:, :, i, j] = window.max(axis=2, initial=-np.inf)


@definition
def average_pool(**operands: Any) -> None:
    """y[n, c, i, j] = the sum of the window by its elements in x, or in x and its padding (count_include_pad)."""
    for i, j, window, counted in _windows(operands):
        divisor = counted if operands["count_include_pad"] else window.shape[2]
        with np.errstate(invalid="ignore"):
            operands["y"][:, :, i, j] = window.sum(axis=2) / np.float32(divisor)
