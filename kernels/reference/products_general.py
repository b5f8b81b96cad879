"""Definitions of the products of every carrier."""

from __future__ import annotations

import numpy as np

from .execute import definition


@definition
def matmul_general(a: np.ndarray, b: np.ndarray, y: np.ndarray) -> None:
    """y[i, j] = a[i, j] @ b[i, j], summed in int64 where y is int64, else in float64.

    Args:
        a: [2 batches, rows, inner] any carrier; whole numbers where y is int64.
        b: [2 batches, inner, columns] likewise.
        y: [2 batches, rows, columns] any carrier.

    Source: ONNX MatMul and MatMulInteger.
    """
    sums = np.int64 if y.dtype.kind == "i" else np.float64
    y[...] = a.astype(sums) @ b.astype(sums)


@definition
def determinant(x: np.ndarray, y: np.ndarray, scratch: np.ndarray) -> None:
    """y[b] = det x[b], in float64.

    Args:
        x: [batch, n, n] float32 or float64.
        y: [batch] float32 or float64.
        scratch: of the native kernel.

    Source: ONNX Det.
    """
    y[...] = np.linalg.det(x.astype(np.float64))
