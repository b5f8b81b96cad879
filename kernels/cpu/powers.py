"""Float32 powers for native loops: no calls, no branches, so that LLVM vectorises the loop around them.

a**b is 2**(b log2 a), in float64 between the two: the product multiplies the logarithm's error by up to 128.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from .maths import absolute_f32, choose, floor_f32, round_f32
from .memory import bits_to_float, float_bits, float_from_bits

_f = np.float32
_ZERO, _HALF, _ONE = _f(0), _f(0.5), _f(1)
_INFINITY, _NAN = _f(np.inf), _f(np.nan)
_SQRT_HALF_BITS = 0x3F3504F3
_SMALLEST_NORMAL, _2_23 = _f(1.17549435e-38), _f(8388608.0)
# What 2**x makes infinite, or 0, in float32.
_HIGHEST, _LOWEST = _f(129.0), _f(-151.0)
# log2(m) = 2 / ln 2 (s + s**3 / 3 + s**5 / 5 ...) with s = (m - 1) / (m + 1), |s| < 0.172: what is left out is 2**-43.
_L1, _L3, _L5, _L7, _L9, _L11, _L13 = (2 / math.log(2) / n for n in (1, 3, 5, 7, 9, 11, 13))
# 2**f = sum of (f ln 2)**n / n! with |f| <= 0.5: what is left out is 2**-37.
_E2, _E3, _E4, _E5, _E6, _E7, _E8, _E9 = (math.log(2) ** n / math.factorial(n) for n in range(2, 10))
_LN2 = math.log(2)


@njit(inline="always")
def _log2(size):
    """log2 of a positive finite float32, denormals included, in float64."""
    denormal = size < _SMALLEST_NORMAL
    bits = np.int64(float_bits(choose(denormal, size * _2_23, size)))
    power = (bits - _SQRT_HALF_BITS) >> 23
    m = np.float64(float_from_bits(np.int32(bits - (power << 23))))
    s = (m - 1.0) / (m + 1.0)
    square = s * s
    p = _L13 * square + _L11
    p = p * square + _L9
    p = p * square + _L7
    p = p * square + _L5
    p = p * square + _L3
    p = p * square + _L1
    return s * p + (np.float64(np.int32(power)) - np.float64(choose(denormal, _f(23), _ZERO)))


@njit(inline="always")
def _exp2(y):
    """2**y of a float64, in float32: rounded once; NaN stays NaN."""
    near = _f(y)
    whole = choose(near < _HIGHEST, near, _HIGHEST)
    whole = round_f32(choose(whole > _LOWEST, whole, _LOWEST))
    f = y - np.float64(whole)
    p = _E9 * f + _E8
    p = p * f + _E7
    p = p * f + _E6
    p = p * f + _E5
    p = p * f + _E4
    p = p * f + _E3
    p = p * f + _E2
    p = p * f + _LN2
    result = _f((p * f + 1.0) * bits_to_float((np.int64(np.int32(whole)) + 1023) << 52))
    result = choose(near > _HIGHEST, _INFINITY, result)
    return choose(near < _LOWEST, _ZERO, result)


@njit(inline="always")
def power_f32(a, b):
    """a**b, at most 0.51 ulp off; zeros, infinities, NaN and negative numbers as IEEE 754's pow has them."""
    size = absolute_f32(a)
    result = _exp2(np.float64(b) * _log2(size))
    result = choose(size == _ZERO, choose(b < _ZERO, _INFINITY, _ZERO), result)
    result = choose(size == _INFINITY, choose(b < _ZERO, _ZERO, _INFINITY), result)
    result = choose(size == _ONE, _ONE, result)
    half = b * _HALF
    whole, even = floor_f32(b) == b, floor_f32(half) == half
    negative = float_bits(a) < 0
    result = choose(negative & whole & (not even), -result, result)
    result = choose((a < _ZERO) & (size != _INFINITY) & (not whole), _NAN, result)
    result = choose((a != a) | (b != b), _NAN, result)
    return choose((b == _ZERO) | (a == _ONE), _ONE, result)
