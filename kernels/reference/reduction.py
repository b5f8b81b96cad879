"""What reductions compute: reduce and softmax, in float64, rounded once to float32."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..opcodes import Reduce
from .execute import definition

_AXES = (3, 4, 5)

REDUCE: dict[Reduce, Callable[[np.ndarray], np.ndarray]] = {
    Reduce.SUM: lambda x: x.sum(_AXES),
    Reduce.MEAN: lambda x: x.mean(_AXES),
    Reduce.MAX: lambda x: x.max(_AXES),
    Reduce.MIN: lambda x: x.min(_AXES),
    Reduce.PROD: lambda x: x.prod(_AXES),
    Reduce.SUM_SQUARE: lambda x: np.square(x).sum(_AXES),
    Reduce.L1: lambda x: np.abs(x).sum(_AXES),
    Reduce.L2: lambda x: np.sqrt(np.square(x).sum(_AXES)),
}
"""Operator -> reduction over the last three of six axes."""


@definition
def reduce(operator: Reduce, x: np.ndarray, y: np.ndarray) -> None:
    """y[k0, k1, k2] = the reduction of x[k0, k1, k2, :, :, :].

    Args:
        operator: how elements combine.
        x: [3 kept, 3 reduced] float32.
        y: [3 kept] float32.

    Source: ONNX ReduceSum and its kin.
    """
    with np.errstate(all="ignore"):
        y[...] = REDUCE[operator](x.astype(np.float64))


@definition
def softmax(x: np.ndarray, y: np.ndarray, logarithm: int) -> None:
    """y = exp(x) / sum of exp(x) over the middle axis, or the logarithm of that.

    Args:
        x, y: [outer, axis, inner] float32.
        logarithm: 1 gives the logarithm.

    Source: ONNX Softmax and LogSoftmax.
    """
    with np.errstate(all="ignore"):
        shifted = x.astype(np.float64) - x.max(axis=1, keepdims=True)
        exponentials = np.exp(shifted)
        total = exponentials.sum(axis=1, keepdims=True)
        y[...] = shifted - np.log(total) if logarithm else exponentials / total
