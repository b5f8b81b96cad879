"""Scalar float32 functions for native loops: no calls, no branches, so that LLVM vectorises the loop around them.

Kernels are compiled with fast-math flags that let LLVM reorder sums and divide through reciprocals. That would undo
the compensated steps below, and a reciprocal estimate turns 1 / inf into NaN. So the sensitive operations are
emitted through `plain_*`, whose instructions carry flags of their own (`contract` alone: a multiply-add may fuse,
nothing else) which Numba leaves as they are. Errors are measured in tests/kernels/test_maths.py.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from .memory import float_bits

_FLAGS = ("contract",)
_INT32 = ir.IntType(32)
_FLOAT32 = ir.FloatType()


def _plain(instruction: str):
    @intrinsic
    def operation(typingctx, left, right):
        def codegen(context, builder, signature, arguments):
            return getattr(builder, instruction)(arguments[0], arguments[1], flags=_FLAGS)

        return types.float32(types.float32, types.float32), codegen

    return operation


plain_add = _plain("fadd")
"""Native: a + b in float32, rounded where it stands."""

plain_subtract = _plain("fsub")
"""Native: a - b in float32, rounded where it stands."""

plain_multiply = _plain("fmul")
"""Native: a * b in float32, rounded where it stands, or fused with one `plain_add`."""

plain_divide = _plain("fdiv")
"""Native: a / b in float32, correctly rounded; infinities and zeros as IEEE 754 says."""


@intrinsic
def multiply_add(typingctx, a, b, c):
    """Native: a * b + c in float32, fused where the machine can, never reordered."""

    def codegen(context, builder, signature, arguments):
        product = builder.fmul(arguments[0], arguments[1], flags=_FLAGS)
        return builder.fadd(product, arguments[2], flags=_FLAGS)

    return types.float32(types.float32, types.float32, types.float32), codegen


@intrinsic
def choose(typingctx, condition, a, b):
    """Native: a where condition, else b; both are computed."""

    def codegen(context, builder, signature, arguments):
        return builder.select(*arguments)

    return types.float32(types.boolean, types.float32, types.float32), codegen


def _llvm(name: str):
    @intrinsic
    def operation(typingctx, value):
        def codegen(context, builder, signature, arguments):
            function_type = ir.FunctionType(_FLOAT32, [_FLOAT32])
            function = cgutils.get_or_insert_function(builder.module, function_type, f"llvm.{name}.f32")
            return builder.call(function, arguments)

        return types.float32(types.float32), codegen

    return operation


floor_f32 = _llvm("floor")
"""Native: the largest whole number that is not above x."""

ceil_f32 = _llvm("ceil")
"""Native: the smallest whole number that is not below x."""

round_f32 = _llvm("rint")
"""Native: the nearest whole number, halves to even."""

absolute_f32 = _llvm("fabs")
"""Native: |x|."""

sqrt_f32 = _llvm("sqrt")
"""Native: the correctly rounded square root; NaN below zero."""


@intrinsic
def _scale(typingctx, value, power):
    """Native: value * 2**power, for a power in [-252, 254]: in two steps, so that only the last one rounds."""

    def codegen(context, builder, signature, arguments):
        value, power = arguments
        half = builder.ashr(power, ir.Constant(_INT32, 1))
        for part in (half, builder.sub(power, half)):
            bits = builder.shl(builder.add(part, ir.Constant(_INT32, 127)), ir.Constant(_INT32, 23))
            value = builder.fmul(value, builder.bitcast(bits, _FLOAT32), flags=_FLAGS)
        return value

    return types.float32(types.float32, types.int32), codegen


@intrinsic
def _int32_difference(typingctx, a, b):
    """Native: a - b in int32; Numba's own would widen to int64 and halve the vectors."""

    def codegen(context, builder, signature, arguments):
        return builder.sub(*arguments)

    return types.int32(types.int32, types.int32), codegen


@intrinsic
def _mantissa(typingctx, value):
    """Native: the mantissa of a positive normal number, in [sqrt(0.5), sqrt(2))."""

    def codegen(context, builder, signature, arguments):
        bits = builder.bitcast(arguments[0], _INT32)
        offset = builder.and_(builder.sub(bits, ir.Constant(_INT32, _SQRT_HALF_BITS)), ir.Constant(_INT32, 0x7FFFFF))
        return builder.bitcast(builder.add(offset, ir.Constant(_INT32, _SQRT_HALF_BITS)), _FLOAT32)

    return types.float32(types.float32), codegen


@intrinsic
def _exponent(typingctx, value):
    """Native: the power of two that belongs to `_mantissa`, as a float32."""

    def codegen(context, builder, signature, arguments):
        bits = builder.bitcast(arguments[0], _INT32)
        exponent = builder.ashr(builder.sub(bits, ir.Constant(_INT32, _SQRT_HALF_BITS)), ir.Constant(_INT32, 23))
        return builder.sitofp(exponent, _FLOAT32)

    return types.float32(types.float32), codegen


_f = np.float32
_ZERO, _HALF, _ONE = _f(0), _f(0.5), _f(1)
_INFINITY, _NAN = _f(np.inf), _f(np.nan)
_SQRT_HALF_BITS = int(_f(0.5**0.5).view(np.int32))

# Adding 1.5 * 2**23 leaves the nearest whole number in the low bits of the sum.
_ROUNDER = _f(12582912.0)
_ROUNDER_BITS = np.int32(_ROUNDER.view(np.int32))

_LOG2_E = _f(1.4426950408889634)
# ln 2 = high + low; the high part has few bits, so that its product with a small whole number is exact.
_LN2_HIGH, _LN2_LOW = _f(0.693359375), _f(-2.12194440e-4)
# The least exponent whose result is not denormal, and one whose result is certainly infinite.
_EXP_LOWEST, _EXP_HIGHEST = _f(-87.33654), _f(89.0)
# exp(x) - 1 rounds to -1 from here on down.
_EXPM1_LOWEST = _f(-18.0)
# Cephes expf: (exp(r) - 1 - r) / r**2 on [-ln 2 / 2, ln 2 / 2].
_E0, _E1, _E2 = _f(1.9875691500e-4), _f(1.3981999507e-3), _f(8.3334519073e-3)
_E3, _E4, _E5 = _f(4.1665795894e-2), _f(1.6666665459e-1), _f(5.0000001201e-1)


@njit(inline="always")
def _exp_remainder(x, shifted):
    """exp(r) - 1, where r is x less its whole multiple of ln 2."""
    power = plain_subtract(shifted, _ROUNDER)
    r = multiply_add(power, -_LN2_HIGH, x)
    r = multiply_add(power, -_LN2_LOW, r)
    p = multiply_add(_E0, r, _E1)
    p = multiply_add(p, r, _E2)
    p = multiply_add(p, r, _E3)
    p = multiply_add(p, r, _E4)
    p = multiply_add(p, r, _E5)
    return multiply_add(p, plain_multiply(r, r), r)


@njit(inline="always")
def exp_f32(x):
    """exp(x), at most 1.1 ulp off; inf above 88.73, 0 below -87.34, NaN stays NaN.

    Results that would be denormal are 0: one of them would cost as much as a hundred others on most machines.
    Argument reduction and polynomial of Cephes expf (S. Moshier).
    """
    vanishes = x < _EXP_LOWEST
    x = choose(x > _EXP_HIGHEST, _EXP_HIGHEST, x)
    x = choose(vanishes, _EXP_LOWEST, x)
    shifted = multiply_add(x, _LOG2_E, _ROUNDER)
    p = plain_add(_exp_remainder(x, shifted), _ONE)
    return choose(vanishes, _ZERO, _scale(p, _int32_difference(float_bits(shifted), _ROUNDER_BITS)))


@njit(inline="always")
def expm1_negative_f32(x):
    """exp(x) - 1 for x <= 0, at most 1.6 ulp off; NaN stays NaN (above 0 the result is of no use)."""
    x = choose(x < _EXPM1_LOWEST, _EXPM1_LOWEST, x)
    x = choose(x > _ZERO, _ZERO, x)
    shifted = multiply_add(x, _LOG2_E, _ROUNDER)
    scale = _scale(_ONE, _int32_difference(float_bits(shifted), _ROUNDER_BITS))
    return multiply_add(_exp_remainder(x, shifted), scale, plain_subtract(scale, _ONE))


_SMALLEST_NORMAL = _f(1.17549435e-38)
_2_23, _23 = _f(8388608.0), _f(23.0)
# Cephes logf: (log(1 + m) - m + m**2 / 2) / m**3 on [sqrt(0.5) - 1, sqrt(2) - 1].
_L0, _L1, _L2 = _f(7.0376836292e-2), _f(-1.1514610310e-1), _f(1.1676998740e-1)
_L3, _L4, _L5 = _f(-1.2420140846e-1), _f(1.4249322787e-1), _f(-1.6668057665e-1)
_L6, _L7, _L8 = _f(2.0000714765e-1), _f(-2.4999993993e-1), _f(3.3333331174e-1)


@njit(inline="always")
def log_f32(x):
    """Natural logarithm, at most 1 ulp off, denormals included; -inf at 0, NaN below 0, inf at inf.

    Argument reduction and polynomial of Cephes logf (S. Moshier).
    """
    denormal = x < _SMALLEST_NORMAL
    normal = choose(denormal, plain_multiply(x, _2_23), x)
    power = plain_subtract(_exponent(normal), choose(denormal, _23, _ZERO))
    m = plain_subtract(_mantissa(normal), _ONE)
    square = plain_multiply(m, m)
    p = multiply_add(_L0, m, _L1)
    p = multiply_add(p, m, _L2)
    p = multiply_add(p, m, _L3)
    p = multiply_add(p, m, _L4)
    p = multiply_add(p, m, _L5)
    p = multiply_add(p, m, _L6)
    p = multiply_add(p, m, _L7)
    p = multiply_add(p, m, _L8)
    p = plain_multiply(plain_multiply(p, m), square)
    p = multiply_add(power, _LN2_LOW, p)
    p = multiply_add(-_HALF, square, p)
    result = multiply_add(power, _LN2_HIGH, plain_add(m, p))
    result = choose(x > _ZERO, result, choose(x == _ZERO, -_INFINITY, _NAN))
    return choose(x == _INFINITY, _INFINITY, result)


@njit(inline="always")
def log1p_f32(x):
    """log(1 + x) for x in [0, 1], at most 2 ulp off; NaN stays NaN."""
    rounded = plain_add(_ONE, x)
    lost = plain_subtract(x, plain_subtract(rounded, _ONE))
    return plain_add(log_f32(rounded), plain_divide(lost, rounded))


@njit(inline="always")
def sigmoid_f32(x):
    """1 / (1 + exp(-x)), at most 2.5 ulp off down to x = -87 (below -88.73: 0); NaN stays NaN."""
    return plain_divide(_ONE, plain_add(_ONE, exp_f32(-x)))


@njit(inline="always")
def swish_f32(x, alpha):
    """x sigmoid(alpha x) = x / (1 + exp(-alpha x)), with alpha 1 at most 2.5 ulp off down to x = -87; NaN stays NaN."""
    return plain_divide(x, plain_add(_ONE, exp_f32(plain_multiply(-alpha, x))))


_TANH_LIMIT, _TANH_LINEAR, _TANH_ONE = _f(7.90531110763549805), _f(0.0004), _f(9.01)
_T1, _T3, _T5, _T7 = (
    _f(4.89352455891786e-03),
    _f(6.37261928875436e-04),
    _f(1.48572235717979e-05),
    _f(5.12229709037114e-08),
)
_T9, _T11, _T13 = _f(-8.60467152213735e-11), _f(2.00018790482477e-13), _f(-2.76076847742355e-16)
_U0, _U2, _U4, _U6 = (
    _f(4.89352518554385e-03),
    _f(2.26843463243900e-03),
    _f(1.18534705686654e-04),
    _f(1.19825839466702e-06),
)


@njit(inline="always")
def tanh_f32(x):
    """Hyperbolic tangent; exactly +-1 above |x| = 9.01, NaN stays NaN.

    At most 4.6 ulp off (2.7e-7) where the machine fuses multiply-adds, 6 ulp elsewhere.

    Rational minimax approximation of Eigen's ptanh (generic_fast_tanh_float).
    """
    limited = choose(x > _TANH_LIMIT, _TANH_LIMIT, x)
    limited = choose(limited < -_TANH_LIMIT, -_TANH_LIMIT, limited)
    s = plain_multiply(limited, limited)
    p = multiply_add(_T13, s, _T11)
    p = multiply_add(p, s, _T9)
    p = multiply_add(p, s, _T7)
    p = multiply_add(p, s, _T5)
    p = multiply_add(p, s, _T3)
    p = plain_multiply(limited, multiply_add(p, s, _T1))
    q = multiply_add(_U6, s, _U4)
    q = multiply_add(q, s, _U2)
    q = multiply_add(q, s, _U0)
    result = choose(absolute_f32(x) < _TANH_LINEAR, x, plain_divide(p, q))
    result = choose(x > _TANH_ONE, _ONE, result)
    return choose(x < -_TANH_ONE, -_ONE, result)


_ERF_LIMIT = _f(4.0)
_A1, _A3, _A5, _A7 = (
    _f(-1.60960333262415e-02),
    _f(-2.95459980854025e-03),
    _f(-7.34990630326855e-04),
    _f(-5.69250639462346e-05),
)
_A9, _A11, _A13 = _f(-2.10102402082508e-06), _f(2.77068142495902e-08), _f(-2.72614225801306e-10)
_B0, _B2, _B4 = _f(-1.42647390514189e-02), _f(-7.37332916720468e-03), _f(-1.68282697438203e-03)
_B6, _B8 = _f(-2.13374055278905e-04), _f(-1.45660718464996e-05)


@njit(inline="always")
def erf_f32(x):
    """Error function; exactly +-1 above |x| = 4, NaN stays NaN.

    At most 5.6 ulp off (3.4e-7) where the machine fuses multiply-adds, 7.5 ulp elsewhere.

    Rational minimax approximation of Eigen's perf (generic_fast_erf_float).
    """
    limited = choose(x > _ERF_LIMIT, _ERF_LIMIT, x)
    limited = choose(limited < -_ERF_LIMIT, -_ERF_LIMIT, limited)
    s = plain_multiply(limited, limited)
    p = multiply_add(_A13, s, _A11)
    p = multiply_add(p, s, _A9)
    p = multiply_add(p, s, _A7)
    p = multiply_add(p, s, _A5)
    p = multiply_add(p, s, _A3)
    p = plain_multiply(limited, multiply_add(p, s, _A1))
    q = multiply_add(_B8, s, _B6)
    q = multiply_add(q, s, _B4)
    q = multiply_add(q, s, _B2)
    q = multiply_add(q, s, _B0)
    return plain_divide(p, q)
