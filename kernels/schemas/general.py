"""Kernels for every carrier: right before fast, one element at a time. Signals of float32 have faster ones."""

from __future__ import annotations

from ..contract import Choice, Float, Int, Kernel, Tensor
from ..opcodes import Reduce
from ..opcodes_general import GeneralBinary, GeneralUnary, Overflow
from .loops import loop, loop_out

UNSIGNED = Int("unsigned")
"""1: the words of int64 tensors hold uint64."""

COPY_WIDE = Kernel("copy_wide", (loop("x", "carrier"), loop_out("carrier")))  # elements of 8 bytes
WHERE_WIDE = Kernel(  # a, b and y are of one type, of 8 bytes an element
    "where_wide", (loop("condition"), loop("a", "carrier"), loop("b", "carrier"), loop_out("carrier"))
)
CONVERT = Kernel("convert", (UNSIGNED, loop("x", "carrier"), loop_out("carrier")))
NARROW_INTEGER = Kernel(  # x int64
    "narrow_integer", (loop("x", "carrier"), loop_out("carrier"), Int("bits"), Int("signed"))
)
NARROW_FLOAT = Kernel(
    "narrow_float",
    (
        loop("x", "carrier"),
        loop_out(),
        Int("fraction_bits"),
        Int("smallest_exponent"),  # of a normal number
        Float("largest"),  # finite value
        Choice("overflow", Overflow),
    ),
)
UNARY_GENERAL = Kernel(
    "unary_general",
    (
        Choice("operator", GeneralUnary),
        UNSIGNED,
        Float("alpha"),
        Float("beta"),
        loop("x", "carrier"),
        loop_out("carrier"),
    ),
)
BINARY_GENERAL = Kernel(
    "binary_general",
    (
        Choice("operator", GeneralBinary),
        UNSIGNED,
        loop("a", "carrier"),
        loop("b", "carrier"),
        loop_out("carrier"),
    ),
)
REDUCE_GENERAL = Kernel(
    "reduce_general",  # over the last three axes of x; y of x's type
    (
        Choice("operator", Reduce),
        UNSIGNED,
        Tensor("x", 6, dtype="carrier"),
        Tensor("y", 3, written=True, dtype="carrier"),
    ),
)
