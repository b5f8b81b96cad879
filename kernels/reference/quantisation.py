"""Definitions of quantisation: y = x / scale in integers, and back."""

from __future__ import annotations

import numpy as np

from .execute import definition


@definition
def quantize(
    x: np.ndarray, scale: np.ndarray, zero_point: np.ndarray, y: np.ndarray, low: float, high: float, restored: int
) -> None:
    """y = round(x / scale) + zero_point, halves to even, limited to [low, high].

    Args:
        x: LOOP_RANK axes, float32.
        scale: the same shape (zero strides repeat it).
        zero_point: the same shape, whole numbers.
        y: the same shape; whole numbers.
        restored: 1: y is the number that each of these stands for, (whole number - zero_point) scale.
    """
    y[...] = np.clip(np.rint(x / scale) + zero_point, np.float32(low), np.float32(high))
    if restored:
        dequantize(y, scale, zero_point, y)


@definition
def dequantize(x: np.ndarray, scale: np.ndarray, zero_point: np.ndarray, y: np.ndarray) -> None:
    """y = (x - zero_point) scale; all LOOP_RANK axes of one shape, float32."""
    y[...] = (x - zero_point) * scale
