"""What the kernels for every carrier compute: float64 for floats, int64 for integers."""

from __future__ import annotations

from collections.abc import Callable
from math import erf

import numpy as np

from ..opcodes import Reduce
from ..opcodes_general import GeneralBinary, GeneralUnary, Overflow
from .execute import definition

_ERF = np.vectorize(erf, otypes=[np.float64])

FLOAT_UNARY: dict[GeneralUnary, Callable[..., np.ndarray]] = {
    GeneralUnary.NEG: lambda x, a, b: -x,
    GeneralUnary.ABS: lambda x, a, b: np.abs(x),
    GeneralUnary.SIGN: lambda x, a, b: np.sign(x),
    GeneralUnary.SQRT: lambda x, a, b: np.sqrt(x),
    GeneralUnary.RECIPROCAL: lambda x, a, b: 1 / x,
    GeneralUnary.EXP: lambda x, a, b: np.exp(x),
    GeneralUnary.LOG: lambda x, a, b: np.log(x),
    GeneralUnary.FLOOR: lambda x, a, b: np.floor(x),
    GeneralUnary.CEIL: lambda x, a, b: np.ceil(x),
    GeneralUnary.ROUND: lambda x, a, b: np.rint(x),
    GeneralUnary.TRUNCATE: lambda x, a, b: np.trunc(x),
    GeneralUnary.ERF: lambda x, a, b: _ERF(x),
    GeneralUnary.SIN: lambda x, a, b: np.sin(x),
    GeneralUnary.COS: lambda x, a, b: np.cos(x),
    GeneralUnary.TAN: lambda x, a, b: np.tan(x),
    GeneralUnary.ASIN: lambda x, a, b: np.arcsin(x),
    GeneralUnary.ACOS: lambda x, a, b: np.arccos(x),
    GeneralUnary.ATAN: lambda x, a, b: np.arctan(x),
    GeneralUnary.SINH: lambda x, a, b: np.sinh(x),
    GeneralUnary.COSH: lambda x, a, b: np.cosh(x),
    GeneralUnary.TANH: lambda x, a, b: np.tanh(x),
    GeneralUnary.ASINH: lambda x, a, b: np.arcsinh(x),
    GeneralUnary.ACOSH: lambda x, a, b: np.arccosh(x),
    GeneralUnary.ATANH: lambda x, a, b: np.arctanh(x),
    GeneralUnary.SIGMOID: lambda x, a, b: 1 / (1 + np.exp(-x)),
    GeneralUnary.SOFTPLUS: lambda x, a, b: np.logaddexp(x, 0),
    GeneralUnary.IS_NAN: lambda x, a, b: np.isnan(x),
    GeneralUnary.IS_INF: lambda x, a, b: ((x == np.inf) & bool(a)) | ((x == -np.inf) & bool(b)),
}

INTEGER_UNARY: dict[GeneralUnary, Callable[..., np.ndarray]] = {
    GeneralUnary.NEG: np.negative,
    GeneralUnary.ABS: np.abs,
    GeneralUnary.SIGN: np.sign,
    GeneralUnary.BIT_NOT: np.invert,
}
"""Of uint64, too: its absolute value is itself, its sign 1 or 0."""


def _truncated_quotient(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a - np.fmod(a, b)) // b


FLOAT_BINARY: dict[GeneralBinary, Callable[..., np.ndarray]] = {
    GeneralBinary.ADD: np.add,
    GeneralBinary.SUB: np.subtract,
    GeneralBinary.MUL: np.multiply,
    GeneralBinary.DIV: np.divide,
    GeneralBinary.MAX: np.maximum,
    GeneralBinary.MIN: np.minimum,
    GeneralBinary.POW: np.power,
    GeneralBinary.MOD: np.mod,
    GeneralBinary.FMOD: np.fmod,
    GeneralBinary.GREATER: np.greater,
    GeneralBinary.GREATER_OR_EQUAL: np.greater_equal,
    GeneralBinary.LESS: np.less,
    GeneralBinary.LESS_OR_EQUAL: np.less_equal,
    GeneralBinary.EQUAL: np.equal,
    GeneralBinary.NOT_EQUAL: np.not_equal,
}

INTEGER_BINARY: dict[GeneralBinary, Callable[..., np.ndarray]] = {
    **FLOAT_BINARY,
    GeneralBinary.DIV: _truncated_quotient,
    GeneralBinary.BIT_AND: np.bitwise_and,
    GeneralBinary.BIT_OR: np.bitwise_or,
    GeneralBinary.BIT_XOR: np.bitwise_xor,
    GeneralBinary.SHIFT_LEFT: np.left_shift,  # NumPy's, too, take a count of 64 or more for "all bits"
    GeneralBinary.SHIFT_RIGHT: np.right_shift,
}


@definition
def copy_wide(x: np.ndarray, y: np.ndarray) -> None:
    """y = x.

    Args:
        x: [LOOP_RANK axes] int64 or float64; zero strides repeat.
        y: [LOOP_RANK axes] of x's type.

    Source: ONNX Expand, Transpose and Concat, what of them is not a view.
    """
    y[...] = x


@definition
def where_wide(condition: np.ndarray, a: np.ndarray, b: np.ndarray, y: np.ndarray) -> None:
    """y = a where the condition is not 0, b elsewhere.

    Args:
        condition: [LOOP_RANK axes] float32.
        a, b: [LOOP_RANK axes] int64 or float64.
        y: [LOOP_RANK axes] of their type; may be an input's own memory.

    Source: ONNX Where.
    """
    y[...] = np.where(condition != 0, a, b)


@definition
def convert(unsigned: int, x: np.ndarray, y: np.ndarray) -> None:
    """y = x in y's carrier: floats are rounded to the nearest, or cut off towards zero where y is int64.

    A float outside the range of int64, or NaN, gives the lowest int64, as x86 does. As uint64 those from 2^63 to 2^64
    are inside, and negative ones wrap.

    Args:
        unsigned: 1: the words of what is int64, of x or y, hold uint64.
        x, y: [LOOP_RANK axes] any carrier.

    Source: ONNX Cast.
    """
    if y.dtype.kind != "i" or x.dtype.kind == "i":
        y[...] = _words(x, unsigned)
        return
    wide = x.astype(np.float64)
    inside = (wide >= -(2.0**63)) & (wide < 2.0**63)
    y[...] = np.where(inside, np.where(inside, wide, 0).astype(np.int64), np.iinfo(np.int64).min)
    if unsigned:
        high = (wide >= 2.0**63) & (wide < 2.0**64)
        y[high] = wide[high].astype(np.uint64).view(np.int64)


def _words(x: np.ndarray, unsigned: int) -> np.ndarray:
    """x, or the uint64 that the words of an int64 x hold."""
    return x.view(np.uint64) if unsigned and x.dtype == np.int64 else x


@definition
def narrow_integer(x: np.ndarray, y: np.ndarray, bits: int, signed: int) -> None:
    """y = the lowest bits of x, read as an integer of that many bits (two's complement if signed).

    Args:
        x: [LOOP_RANK axes] int64.
        y: [LOOP_RANK axes] any carrier.
        bits: 1 to 64.
        signed: 1 or 0.

    Source: ONNX Cast, between integers.
    """
    if bits == 64:
        y[...] = x
        return
    low = x & ((1 << bits) - 1)
    y[...] = np.where(low >= 1 << (bits - 1), low - (1 << bits), low) if signed else low


@definition
def narrow_float(
    x: np.ndarray, y: np.ndarray, fraction_bits: int, smallest_exponent: int, largest: float, overflow: Overflow
) -> None:
    """y = x rounded, halves to even, to a float of fewer bits; subnormals included.

    Args:
        x: [LOOP_RANK axes] float32 or float64.
        y: [LOOP_RANK axes] float32.
        fraction_bits: stored bits of the significand.
        smallest_exponent: of normal numbers: float16's is -14.
        largest: finite value; float16's is 65504.
        overflow: what a larger one, and infinity, becomes.

    Source: IEEE 754-2019, roundTiesToEven; ONNX Cast, for what is larger.
    """
    wide = x.astype(np.float64)
    with np.errstate(all="ignore"):
        exponent = np.maximum(np.frexp(np.where(np.isfinite(wide), wide, 1.0))[1] - 1, smallest_exponent)
        quantum = np.ldexp(1.0, exponent - fraction_bits)
        rounded = np.where(np.isfinite(wide), np.rint(wide / quantum) * quantum, wide)
        limit = {Overflow.INFINITY: np.inf, Overflow.NAN: np.nan, Overflow.SATURATE: largest}[overflow]
        y[...] = np.where(np.abs(rounded) > largest, np.copysign(limit, rounded), rounded)


@definition
def unary_general(
    operator: GeneralUnary, unsigned: int, alpha: float, beta: float, x: np.ndarray, y: np.ndarray
) -> None:
    """y = f(x; alpha, beta), in int64 where x is (uint64 if `unsigned`), else in float64.

    Args:
        operator: names f.
        unsigned: 1: the words of x and y hold uint64.
        alpha, beta: see `opcodes_general`.
        x: [LOOP_RANK axes] any carrier.
        y: [LOOP_RANK axes] any carrier; may be x's own memory.

    Source: the ONNX operators by whose names `GeneralUnary` goes.
    """
    with np.errstate(all="ignore"):
        if x.dtype.kind == "i":
            y[...] = INTEGER_UNARY[operator](_words(x, unsigned)).view(np.int64)
        else:
            y[...] = FLOAT_UNARY[operator](x.astype(np.float64), alpha, beta)


@definition
def binary_general(operator: GeneralBinary, unsigned: int, a: np.ndarray, b: np.ndarray, y: np.ndarray) -> None:
    """y = f(a, b), in int64 where a is (uint64 if `unsigned`), else in float64.

    Division by an integer 0 gives 0. A shift by 64 or more, or by a negative count, moves every bit out: what is left
    is 0, or the sign of a signed a that is shifted right.

    Args:
        operator: names f.
        unsigned: 1: the words of a, b and y hold uint64.
        a, b: [LOOP_RANK axes] of one carrier; zero strides broadcast.
        y: [LOOP_RANK axes] any carrier; may be a's or b's own memory.

    Source: the ONNX operators by whose names `GeneralBinary` goes.
    """
    with np.errstate(all="ignore"):
        if a.dtype.kind != "i":
            y[...] = FLOAT_BINARY[operator](a.astype(np.float64), b.astype(np.float64))
            return
        if operator is GeneralBinary.POW:
            y[...] = _integer_power(a, b)
            return
        result = INTEGER_BINARY[operator](_words(a, unsigned), _words(b, unsigned))
        y[...] = result.view(np.int64) if result.dtype == np.uint64 else result


def _integer_power(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a ** b modulo 2**64; a negative exponent gives the truncated quotient: 0 but for a of 1 and -1."""
    powers = np.power(a, np.maximum(b, 0))
    inverse = np.where(a == 1, 1, np.where(a == -1, np.where(b & 1, -1, 1), 0))
    return np.where(b < 0, inverse, powers)


def _truncated_mean(x: np.ndarray) -> np.ndarray:
    """The sum of integers, modulo 2**64, over their number: exact, and cut off towards zero."""
    return _truncated_quotient(x.sum(-1), np.array(x.shape[-1], x.dtype))


_REDUCE: dict[Reduce, Callable[[np.ndarray], np.ndarray]] = {
    Reduce.SUM: lambda x: x.sum(-1),
    Reduce.MEAN: lambda x: x.mean(-1) if x.dtype.kind == "f" else _truncated_mean(x),
    Reduce.MAX: lambda x: x.max(-1),
    Reduce.MIN: lambda x: x.min(-1),
    Reduce.PROD: lambda x: x.prod(-1),
    Reduce.SUM_SQUARE: lambda x: (x * x).sum(-1),
    Reduce.L1: lambda x: np.abs(x).sum(-1),
    Reduce.L2: lambda x: np.sqrt((x * x).sum(-1)),
}


@definition
def reduce_general(operator: Reduce, unsigned: int, x: np.ndarray, y: np.ndarray) -> None:
    """y = x reduced over its last three axes, in y's type; a mean or root of integers is cut off towards zero.

    Args:
        operator: how elements are combined.
        unsigned: 1: the words of x and y hold uint64.
        x: [3 kept, 3 reduced] int64 or float64; not empty along reduced axes.
        y: [3 kept] of x's type.

    Source: ONNX ReduceSum and its kin.
    """
    result = _REDUCE[operator](_words(x, unsigned).reshape(*x.shape[:3], -1))
    if x.dtype.kind == "i" and result.dtype.kind == "f":
        result = result.astype(np.uint64 if unsigned else np.int64)
    y[...] = result.view(np.int64) if result.dtype == np.uint64 else result
