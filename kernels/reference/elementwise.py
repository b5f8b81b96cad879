"""What the element-wise kernels compute: unary, binary, where. Computed in float64 and rounded once to float32."""

from __future__ import annotations

from collections.abc import Callable
from math import erf, pi, sqrt

import numpy as np

from ..opcodes import Binary, Unary
from .execute import definition

_erf = np.vectorize(erf, otypes=[np.float64])


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def _softplus(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def _elu(x: np.ndarray, alpha: float) -> np.ndarray:
    return np.where(x < 0, alpha * np.expm1(np.minimum(x, 0)), x)


def _clip(x: np.ndarray, low: float, high: float) -> np.ndarray:
    """The upper limit wins over the lower one, as in NumPy and ONNX."""
    return np.minimum(np.maximum(x, low), high)


def _gelu(x: np.ndarray, approximate: bool) -> np.ndarray:
    if approximate:
        return 0.5 * x * (1 + np.tanh(sqrt(2 / pi) * (x + 0.044715 * x**3)))
    return 0.5 * x * (1 + _erf(x / sqrt(2)))


UNARY: dict[Unary, Callable[[np.ndarray, float, float], np.ndarray]] = {
    Unary.RELU: lambda x, alpha, beta: np.maximum(x, 0),
    Unary.LEAKY_RELU: lambda x, alpha, beta: np.where(x < 0, alpha * x, x),
    Unary.SIGMOID: lambda x, alpha, beta: _sigmoid(x),
    Unary.TANH: lambda x, alpha, beta: np.tanh(x),
    Unary.ELU: lambda x, alpha, beta: _elu(x, alpha),
    Unary.HARD_SIGMOID: lambda x, alpha, beta: _clip(alpha * x + beta, 0, 1),
    Unary.HARD_SWISH: lambda x, alpha, beta: x * _clip(x / 6 + 0.5, 0, 1),
    Unary.CLIP: _clip,
    Unary.NEG: lambda x, alpha, beta: -x,
    Unary.ABS: lambda x, alpha, beta: np.abs(x),
    Unary.SQRT: lambda x, alpha, beta: np.sqrt(x),
    Unary.RECIPROCAL: lambda x, alpha, beta: 1 / x,
    Unary.EXP: lambda x, alpha, beta: np.exp(x),
    Unary.LOG: lambda x, alpha, beta: np.log(x),
    Unary.SIN: lambda x, alpha, beta: np.sin(x),
    Unary.COS: lambda x, alpha, beta: np.cos(x),
    Unary.FLOOR: lambda x, alpha, beta: np.floor(x),
    Unary.CEIL: lambda x, alpha, beta: np.ceil(x),
    Unary.ROUND: lambda x, alpha, beta: np.rint(x),
    Unary.ERF: lambda x, alpha, beta: _erf(x),
    Unary.SOFTPLUS: lambda x, alpha, beta: _softplus(x),
    Unary.SOFTSIGN: lambda x, alpha, beta: x / (1 + np.abs(x)),
    Unary.SIGN: lambda x, alpha, beta: np.sign(x),
    Unary.SQUARE: lambda x, alpha, beta: x * x,
    Unary.SELU: lambda x, alpha, beta: beta * _elu(x, alpha),
    Unary.GELU: lambda x, alpha, beta: _gelu(x, alpha != 0),
    Unary.SWISH: lambda x, alpha, beta: x / (1 + np.exp(-alpha * x)),
    Unary.MISH: lambda x, alpha, beta: x * np.tanh(_softplus(x)),
}
"""Operator -> f(x, alpha, beta)."""

BINARY: dict[Binary, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    Binary.ADD: np.add,
    Binary.SUB: np.subtract,
    Binary.MUL: np.multiply,
    Binary.DIV: np.divide,
    Binary.MAX: np.maximum,
    Binary.MIN: np.minimum,
    Binary.POW: np.power,
    Binary.PRELU: lambda a, b: np.where(a < 0, a * b, a),
    Binary.GREATER: np.greater,
    Binary.GREATER_OR_EQUAL: np.greater_equal,
    Binary.LESS: np.less,
    Binary.LESS_OR_EQUAL: np.less_equal,
    Binary.EQUAL: np.equal,
    Binary.AND: np.logical_and,
    Binary.OR: np.logical_or,
    Binary.XOR: np.logical_xor,
}
"""Operator -> f(a, b)."""


@definition
def unary(operator: Unary, alpha: float, beta: float, x: np.ndarray, y: np.ndarray) -> None:
    """y = f(x; alpha, beta).

    Args:
        operator: names f.
        alpha: the ONNX attribute of that name, rounded to float32; for others see `opcodes`.
        beta: likewise.
        x: [LOOP_RANK axes] float32.
        y: [LOOP_RANK axes] float32; may be x's own memory.

    Source: the ONNX operators by whose names `opcodes.Unary` goes (its SQUARE is x x).
    """
    with np.errstate(all="ignore"):
        y[...] = UNARY[operator](x.astype(np.float64), float(np.float32(alpha)), float(np.float32(beta)))


@definition
def binary(operator: Binary, a: np.ndarray, b: np.ndarray, y: np.ndarray) -> None:
    """y = f(a, b); comparisons and logic give 1 or 0, and take what is not 0 for true.

    Args:
        operator: names f.
        a, b: [LOOP_RANK axes] float32; zero strides broadcast.
        y: [LOOP_RANK axes] float32; may be a's or b's own memory.

    Source: the ONNX operators by whose names `opcodes.Binary` goes.
    """
    with np.errstate(all="ignore"):
        y[...] = BINARY[operator](a.astype(np.float64), b.astype(np.float64))


@definition
def where(condition: np.ndarray, a: np.ndarray, b: np.ndarray, y: np.ndarray) -> None:
    """y = a where the condition is not 0, b elsewhere.

    Args:
        condition, a, b: [LOOP_RANK axes] float32; zero strides broadcast.
        y: [LOOP_RANK axes] float32; may be an input's own memory.

    Source: ONNX Where.
    """
    y[...] = np.where(condition != 0, a, b)
