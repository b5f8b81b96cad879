"""Definitions of the products."""

from __future__ import annotations

import numpy as np

from .. import packing
from ..opcodes import Activation
from .activation import activate
from .execute import definition


@definition
def dense(
    x: np.ndarray,
    weights: np.ndarray,
    bias: np.ndarray | None,
    y: np.ndarray,
    activation: Activation,
    alpha: float,
    beta: float,
    slope: np.ndarray | None,
) -> None:
    """y[r, c] = activation(sum over i of x[r, i] w[i, c] + bias[c]).

    Args:
        x: [rows, inner] float32.
        weights: [elements] float32: [inner, columns], packed by `packing.dense`.
        bias, slope: [columns padded to PANEL] float32, or None.
        y: [rows, columns] float32.
        activation, alpha, beta: as for `activation.activate`.

    Source: ONNX Gemm.
    """
    columns = y.shape[1]
    sums = x @ packing.unpack_dense(weights, x.shape[1], columns)
    if bias is not None:
        sums += bias[:columns]
    y[...] = activate(sums, activation, alpha, beta, None if slope is None else slope[:columns])


@definition
def matmul(a: np.ndarray, b: np.ndarray, y: np.ndarray) -> None:
    """y[i, j] = a[i, j] @ b[i, j].

    Args:
        a: [2 batches, rows, inner] float32.
        b: [2 batches, inner, columns] float32.
        y: [2 batches, rows, columns] float32.

    Source: ONNX MatMul.
    """
    y[...] = a @ b
