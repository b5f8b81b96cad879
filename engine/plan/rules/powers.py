"""Rounding to powers of two: float8_e8m0, the type of the scales of microscaling formats."""

from __future__ import annotations

import numpy as np

from ....kernels.opcodes import Binary
from ....kernels.opcodes_general import GeneralBinary, GeneralUnary
from ..builder import Builder
from ..carriers import FLOAT64, INT64, convert
from ..view import View
from .elementwise import apply_binary, apply_general_binary, apply_general_unary, select

_FRACTION = (1 << 52) - 1
"""The bits of a float64 behind its exponent."""

_ADDED = {"up": _FRACTION, "down": 0, "nearest": 1 << 51}
"""What is added to a number's bits before its fraction is cut off; ties of `nearest` go up."""


def power_of_two(builder: Builder, x: View, mode: str, *, saturate: bool) -> View:
    """x >= 0, rounded to a power of two, in float64; out of 2^-127 to 2^127 it is the nearer of them, or NaN.

    Source: ONNX Cast, attributes round_mode and saturate; the result for negative numbers is undefined there.

    Raises:
        ValueError: there is no such mode.
    """
    if mode not in _ADDED:
        raise ValueError(f"attribute round_mode is {mode!r}; use one of {', '.join(_ADDED)}")
    x = convert(builder, x, FLOAT64)
    bits = View(x.buffer, x.array.view(INT64))
    raised = apply_binary(builder, Binary.ADD, bits, builder.constant(np.array(_ADDED[mode], np.int64)))
    cut = apply_general_binary(builder, GeneralBinary.BIT_AND, raised, builder.constant(np.array(~_FRACTION, np.int64)))
    y = View(cut.buffer, cut.array.view(FLOAT64))
    least, most, nan = (builder.constant(np.array(value)) for value in (2.0**-127, 2.0**127, np.nan))
    limited = apply_binary(builder, Binary.MIN, apply_binary(builder, Binary.MAX, y, least), most)
    lost = apply_general_unary(builder, GeneralUnary.IS_NAN, x)
    if not saturate:
        changed = apply_general_binary(builder, GeneralBinary.NOT_EQUAL, limited, y)
        lost = apply_binary(builder, Binary.MAX, convert(builder, lost, changed.dtype), changed)
    return select(builder, convert(builder, lost, np.dtype(np.float32)), nan, limited)
