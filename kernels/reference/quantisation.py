"""Definitions of quantisation: y = x / scale in integers, and back."""

from __future__ import annotations

import numpy as np

from .execute import definition


@definition
def quantize(
    x: np.ndarray, scale: np.ndarray, zero_point: np.ndarray, y: np.ndarray, low: float, high: float, restored: int
) -> None:
    """y = round(x / scale) + zero_point, halves to even, limited to [low, high]; NaN becomes low.

    Args:
        x: [LOOP_RANK axes] float32.
        scale: [LOOP_RANK axes] float32 (zero strides repeat it).
        zero_point: [LOOP_RANK axes] whole numbers in float32, likewise.
        y: [LOOP_RANK axes] whole numbers in float32.
        low, high: limits of y.
        restored: 1: y is the number that each of these stands for, (whole number - zero_point) scale.

    Source: ONNX QuantizeLinear.
    """
    y[...] = np.fmin(np.fmax(np.rint(x / scale) + zero_point, np.float32(low)), np.float32(high))
    if restored:
        dequantize(y, scale, zero_point, y)


@definition
def dequantize(x: np.ndarray, scale: np.ndarray, zero_point: np.ndarray, y: np.ndarray) -> None:
    """y = (x - zero_point) scale.

    Args:
        x, scale, zero_point: [LOOP_RANK axes] float32, zero strides repeat.
        y: [LOOP_RANK axes] float32.

    Source: ONNX DequantizeLinear.
    """
    y[...] = (x - zero_point) * scale
