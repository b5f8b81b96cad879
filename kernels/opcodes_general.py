"""The members of the general element-wise kernels, which take every carrier and compute in float64 or int64."""

from __future__ import annotations

from enum import IntEnum


class GeneralUnary(IntEnum):
    """y = f(x; alpha, beta), by ONNX operator names. Integers know NEG, ABS, SIGN and BIT_NOT."""

    NEG = 1
    ABS = 2
    SIGN = 3
    BIT_NOT = 4
    SQRT = 5
    RECIPROCAL = 6
    EXP = 7
    LOG = 8
    FLOOR = 9
    CEIL = 10
    ROUND = 11
    """Halves to even."""
    ERF = 12
    SIN = 13
    COS = 14
    TAN = 15
    ASIN = 16
    ACOS = 17
    ATAN = 18
    SINH = 19
    COSH = 20
    TANH = 21
    ASINH = 22
    ACOSH = 23
    ATANH = 24
    SIGMOID = 25
    SOFTPLUS = 26
    IS_NAN = 27
    IS_INF = 28
    """alpha, beta: 1 to find positive and negative infinity, 0 not to."""
    TRUNCATE = 29


class GeneralBinary(IntEnum):
    """y = f(a, b). Division of integers truncates; comparisons give 1 or 0."""

    ADD = 1
    SUB = 2
    MUL = 3
    DIV = 4
    MAX = 5
    MIN = 6
    POW = 7
    MOD = 8
    """The remainder with the divisor's sign, as Python's and ONNX Mod's with fmod 0."""
    FMOD = 9
    """The remainder with the dividend's sign, as C's."""
    GREATER = 20
    GREATER_OR_EQUAL = 21
    LESS = 22
    LESS_OR_EQUAL = 23
    EQUAL = 24
    NOT_EQUAL = 25
    BIT_AND = 30
    BIT_OR = 31
    BIT_XOR = 32
    SHIFT_LEFT = 33
    SHIFT_RIGHT = 34


class Overflow(IntEnum):
    """What becomes of a value beyond the largest finite one of a narrow float."""

    INFINITY = 0
    NAN = 1
    SATURATE = 2
