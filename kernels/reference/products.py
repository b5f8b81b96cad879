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

    x: [rows, inner]. weights: packed [inner, columns]. bias, slope: [columns padded]. y: [rows, columns].
    """
    columns = y.shape[1]
    sums = x @ packing.unpack_dense(weights, x.shape[1], columns)
    if bias is not None:
        sums += bias[:columns]
    y[...] = activate(sums, activation, alpha, beta, None if slope is None else slope[:columns])


@definition
def matmul(a: np.ndarray, b: np.ndarray, y: np.ndarray) -> None:
    """y[i, j] = a[i, j] @ b[i, j]. a: [..., rows, inner]. b: [..., inner, columns]. y: [..., rows, columns]."""
    y[...] = a @ b
