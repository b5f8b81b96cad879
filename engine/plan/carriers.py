"""Element types inside a program: which carrier holds each ONNX type, and how values come back into a narrow range.

float32 carries float16, bfloat16, the floats of 8 and 4 bits, truth values (0.0 and 1.0) and integers of up to 16 bits,
all of which it holds exactly (but for the subnormal numbers of bfloat16, which count as 0 in a step, as
float32's own do). int64 carries the wider integers; float64 and uint64 carry themselves. Views tell uint64 from int64;
kernels see the same words, and an operand `unsigned` where it matters (`Builder.emit`).
"""

from __future__ import annotations

from typing import NamedTuple

import ml_dtypes
import numpy as np

from ...kernels.opcodes_general import GeneralBinary, Overflow
from ..errors import UnsupportedError
from .builder import Builder
from .view import View

FLOAT32, FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)
INT64, UINT64 = np.dtype(np.int64), np.dtype(np.uint64)


class FloatFormat(NamedTuple):
    """What `narrow_float` has to know of a float of few bits."""

    fraction_bits: int
    smallest_exponent: int
    largest: float
    beyond: Overflow
    """What a value beyond the largest becomes where it does not saturate."""


NARROW_FLOATS = {
    np.dtype(np.float16): FloatFormat(10, -14, 65504.0, Overflow.INFINITY),
    np.dtype(ml_dtypes.bfloat16): FloatFormat(7, -126, (2 - 2.0**-7) * 2.0**127, Overflow.INFINITY),
    np.dtype(ml_dtypes.float8_e4m3fn): FloatFormat(3, -6, 448.0, Overflow.NAN),
    np.dtype(ml_dtypes.float8_e4m3fnuz): FloatFormat(3, -7, 240.0, Overflow.NAN),
    np.dtype(ml_dtypes.float8_e5m2): FloatFormat(2, -14, 57344.0, Overflow.INFINITY),
    np.dtype(ml_dtypes.float8_e5m2fnuz): FloatFormat(2, -15, 57344.0, Overflow.NAN),
    np.dtype(ml_dtypes.float6_e2m3fn): FloatFormat(3, 0, 7.5, Overflow.SATURATE),
    np.dtype(ml_dtypes.float6_e3m2fn): FloatFormat(2, -2, 28.0, Overflow.SATURATE),
    np.dtype(ml_dtypes.float4_e2m1fn): FloatFormat(1, 0, 6.0, Overflow.SATURATE),
}
"""Source: ONNX, "Float stored in 8 bits" and "Float stored in 4 bits"."""

POWERS_OF_TWO = np.dtype(ml_dtypes.float8_e8m0fnu)
"""The type of the scales of microscaling formats: 2^-127 to 2^127, and NaN."""

_SMALL_INTEGERS = {
    np.dtype(ml_dtypes.int2): (2, True),
    np.dtype(ml_dtypes.uint2): (2, False),
    np.dtype(ml_dtypes.int4): (4, True),
    np.dtype(ml_dtypes.uint4): (4, False),
}


def integer_format(dtype: np.dtype) -> tuple[int, bool] | None:
    """(bits, signed) of an integer type; None for any other."""
    if dtype.kind in "iu":
        return 8 * dtype.itemsize, dtype.kind == "i"
    return _SMALL_INTEGERS.get(dtype)


def carrier(dtype: np.dtype) -> np.dtype:
    """The element type that holds an ONNX type inside a program.

    Raises:
        UnsupportedError: nothing does (complex numbers, text).
    """
    if dtype in (FLOAT32, FLOAT64, INT64, UINT64):
        return dtype
    if dtype == POWERS_OF_TWO:
        return FLOAT64  # 2^-127 is no normal float32
    if dtype.kind == "b" or dtype in NARROW_FLOATS:
        return FLOAT32
    integer = integer_format(dtype)
    if integer is None:
        raise UnsupportedError(f"values of {dtype.name} can not be computed; floats, integers and truth values can")
    return FLOAT32 if integer[0] <= 16 else INT64


def convert(builder: Builder, x: View, dtype: np.dtype) -> View:
    """x in another carrier; floats are cut off towards zero for integers, which wrap into each other."""
    if x.dtype == dtype:
        return x
    if x.dtype.kind in "iu" and dtype.kind in "iu":
        return View(x.buffer, x.array.view(dtype))
    y = builder.allocate(x.shape, dtype=dtype)
    builder.emit("convert", x=x, y=y)
    return y


def conform(builder: Builder, x: View, dtype: np.dtype) -> View:
    """x, computed in any carrier, as a value of an ONNX type: wrapped or rounded into its range, in its carrier."""
    integer = integer_format(dtype)
    if integer is not None:
        bits, signed = integer
        if bits == 64:
            return convert(builder, x, dtype)
        return _narrow_integer(builder, convert(builder, x, INT64), carrier(dtype), bits, signed)
    if dtype in NARROW_FLOATS:
        return narrow_float(builder, x, dtype, saturate=False)
    return convert(builder, x, carrier(dtype))


def _narrow_integer(builder: Builder, x: View, target: np.dtype, bits: int, signed: bool) -> View:
    y = builder.allocate(x.shape, dtype=target)
    builder.emit("narrow_integer", x=x, y=y, bits=bits, signed=int(signed))
    return y


def narrow_float(builder: Builder, x: View, dtype: np.dtype, *, saturate: bool) -> View:
    """x rounded, halves to even, to a float of few bits; `saturate`: what is too large becomes the largest."""
    form = NARROW_FLOATS[dtype]
    x = convert(builder, x, FLOAT64) if x.dtype.kind in "iu" else x
    y = builder.allocate(x.shape)
    builder.emit(
        "narrow_float",
        x=x,
        y=y,
        fraction_bits=form.fraction_bits,
        smallest_exponent=form.smallest_exponent,
        largest=form.largest,
        overflow=Overflow.SATURATE if saturate else form.beyond,
    )
    return y


def truth(builder: Builder, x: View) -> View:
    """1.0 where x is not 0, else 0.0."""
    y = builder.allocate(x.shape)
    zero = builder.constant(np.zeros((), x.dtype)).broadcast(x.shape)
    builder.emit("binary_general", operator=GeneralBinary.NOT_EQUAL, a=x, b=zero, y=y)
    return y


def to_carrier(array: np.ndarray) -> np.ndarray:
    """An array of an ONNX type as what a program holds: [same shape] in its carrier."""
    return array.astype(carrier(array.dtype), copy=False)


def from_carrier(array: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """What a program gave as a fresh array of the ONNX type."""
    return array.astype(dtype)
