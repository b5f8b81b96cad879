"""Scalar functions of the element-wise operators, one for each member of Unary and Binary, ready to be vectorised.

A comparison with NaN is false, so the order of each choice decides what becomes of NaN: it passes through, as in NumPy.
"""

from __future__ import annotations

import math

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from .maths import (
    absolute_f32,
    ceil_f32,
    choose,
    erf_f32,
    exp_f32,
    expm1_negative_f32,
    floor_f32,
    log1p_f32,
    log_f32,
    multiply_add,
    plain_divide,
    plain_multiply,
    round_f32,
    sigmoid_f32,
    sqrt_f32,
    swish_f32,
    tanh_f32,
)

_f = np.float32
_ZERO, _HALF, _ONE, _TWO, _TWENTY = _f(0), _f(0.5), _f(1), _f(2), _f(20)
_INFINITY = _f(np.inf)
_SIXTH, _SQRT_HALF = _f(1 / 6), _f(math.sqrt(0.5))
_GELU_SCALE, _GELU_CUBE = _f(math.sqrt(2 / math.pi)), _f(0.044715)


def _extreme(name: str):
    @intrinsic
    def operation(typingctx, a, b):
        def codegen(context, builder, signature, arguments):
            real = ir.FloatType()
            function_type = ir.FunctionType(real, [real, real])
            function = cgutils.get_or_insert_function(builder.module, function_type, f"llvm.{name}.f32")
            return builder.call(function, arguments)

        return types.float32(types.float32, types.float32), codegen

    return operation


maximum = _extreme("maximum")
"""Native: the larger of two float32; NaN if either is."""

minimum = _extreme("minimum")
"""Native: the smaller of two float32; NaN if either is."""


@njit(inline="always")
def relu(v, alpha, beta):
    """Gives max(v, 0)."""
    return choose(v < _ZERO, _ZERO, v)


@njit(inline="always")
def leaky_relu(v, alpha, beta):
    """Gives v above 0, alpha v below."""
    return choose(v < _ZERO, alpha * v, v)


@njit(inline="always")
def sigmoid(v, alpha, beta):
    """1 / (1 + exp(-v))."""
    return sigmoid_f32(v)


@njit(inline="always")
def tanh(v, alpha, beta):
    """The hyperbolic tangent."""
    return tanh_f32(v)


@njit(inline="always")
def elu(v, alpha, beta):
    """Gives v above 0, alpha (exp(v) - 1) below."""
    return choose(v < _ZERO, alpha * expm1_negative_f32(v), v)


@njit(inline="always")
def selu(v, alpha, beta):
    """Gives beta times the `elu` of v."""
    return beta * choose(v > _ZERO, v, alpha * expm1_negative_f32(v))


@njit(inline="always")
def clip(v, alpha, beta):
    """Gives v, but at least alpha and at most beta; beta wins."""
    v = choose(v < alpha, alpha, v)
    return choose(v > beta, beta, v)


@njit(inline="always")
def hard_sigmoid(v, alpha, beta):
    """Gives alpha v + beta, limited to [0, 1]."""
    return clip(multiply_add(alpha, v, beta), _ZERO, _ONE)


@njit(inline="always")
def hard_swish(v, alpha, beta):
    """Gives v times (v / 6 + 0.5 limited to [0, 1])."""
    return v * clip(multiply_add(_SIXTH, v, _HALF), _ZERO, _ONE)


@njit(inline="always")
def swish(v, alpha, beta):
    """Gives v sigmoid(alpha v)."""
    return swish_f32(v, alpha)


@njit(inline="always")
def softplus(v, alpha, beta):
    """log(1 + exp(v)), without overflow."""
    return choose(v < _ZERO, _ZERO, v) + log1p_f32(exp_f32(-absolute_f32(v)))


@njit(inline="always")
def softsign(v, alpha, beta):
    """Gives v / (1 + |v|)."""
    return plain_divide(v, _ONE + absolute_f32(v))


@njit(inline="always")
def gelu(v, alpha, beta):
    """For alpha 0: v times the normal distribution function."""
    return _HALF * v * (_ONE + erf_f32(v * _SQRT_HALF))


@njit(inline="always")
def gelu_tanh(v, alpha, beta):
    """For alpha 1: the approximation by the hyperbolic tangent."""
    return _HALF * v * (_ONE + tanh_f32(_GELU_SCALE * multiply_add(_GELU_CUBE, v * v * v, v)))


@njit(inline="always")
def mish(v, alpha, beta):
    """Mish: v tanh(softplus(v)) = v n / (n + 2) with n = e**2 + 2 e, e = exp(v); v itself where e would overflow."""
    e = exp_f32(v)
    n = plain_multiply(e, e + _TWO)
    return choose(v > _TWENTY, v, v * plain_divide(n, n + _TWO))


@njit(inline="always")
def negative(v, alpha, beta):
    """-v."""
    return -v


@njit(inline="always")
def absolute(v, alpha, beta):
    """|v|."""
    return absolute_f32(v)


@njit(inline="always")
def square_root(v, alpha, beta):
    """The square root."""
    return sqrt_f32(v)


@njit(inline="always")
def reciprocal(v, alpha, beta):
    """1 / v."""
    return plain_divide(_ONE, v)


@njit(inline="always")
def exponential(v, alpha, beta):
    """Gives exp(v)."""
    return exp_f32(v)


@njit(inline="always")
def logarithm(v, alpha, beta):
    """The natural logarithm."""
    return log_f32(v)


@njit(inline="always")
def sine(v, alpha, beta):
    """Gives sin(v); a call for each element."""
    return math.sin(v)


@njit(inline="always")
def cosine(v, alpha, beta):
    """Gives cos(v); a call for each element."""
    return math.cos(v)


@njit(inline="always")
def floor(v, alpha, beta):
    """The largest whole number that is not above v."""
    return floor_f32(v)


@njit(inline="always")
def ceiling(v, alpha, beta):
    """The smallest whole number that is not below v."""
    return ceil_f32(v)


@njit(inline="always")
def round_even(v, alpha, beta):
    """The nearest whole number, halves to even."""
    return round_f32(v)


@njit(inline="always")
def error_function(v, alpha, beta):
    """Gives erf(v)."""
    return erf_f32(v)


@njit(inline="always")
def sign(v, alpha, beta):
    """-1, 0 or 1."""
    return choose(v > _ZERO, _ONE, choose(v < _ZERO, -_ONE, v))


@njit(inline="always")
def square(v, alpha, beta):
    """Gives v**2."""
    return v * v


@njit(inline="always")
def add(a, b):
    """Gives a + b."""
    return a + b


@njit(inline="always")
def subtract(a, b):
    """Gives a - b."""
    return a - b


@njit(inline="always")
def multiply(a, b):
    """Gives a b."""
    return a * b


@njit(inline="always")
def divide(a, b):
    """Gives a / b."""
    return plain_divide(a, b)


@njit(inline="always")
def larger(a, b):
    """The larger one; NaN if either is."""
    return maximum(a, b)


@njit(inline="always")
def smaller(a, b):
    """The smaller one; NaN if either is."""
    return minimum(a, b)


@njit(inline="always")
def prelu(a, b):
    """Gives a above 0, a b below."""
    return choose(a < _ZERO, a * b, a)


@njit(inline="always")
def greater(a, b):
    """Whether a > b."""
    return choose(a > b, _ONE, _ZERO)


@njit(inline="always")
def greater_or_equal(a, b):
    """Whether a >= b."""
    return choose(a >= b, _ONE, _ZERO)


@njit(inline="always")
def equal(a, b):
    """Whether a == b."""
    return choose(a == b, _ONE, _ZERO)


@njit(inline="always")
def both(a, b):
    """Whether neither is 0."""
    return choose((a != _ZERO) & (b != _ZERO), _ONE, _ZERO)


@njit(inline="always")
def either(a, b):
    """Whether one is not 0."""
    return choose((a != _ZERO) | (b != _ZERO), _ONE, _ZERO)


@njit(inline="always")
def one_of_two(a, b):
    """Whether exactly one is not 0."""
    return choose((a != _ZERO) ^ (b != _ZERO), _ONE, _ZERO)


@njit(inline="always")
def power_one(a, b):
    """Gives a**1."""
    return a


@njit(inline="always")
def power_two(a, b):
    """Gives a**2."""
    return a * a


@njit(inline="always")
def power_three(a, b):
    """Gives a**3, rounded once."""
    wide = np.float64(a)
    return np.float32(wide * wide * wide)


@njit(inline="always")
def power_half(a, b):
    """The square root, but infinite at -inf, as powf has it."""
    return choose(a == -_INFINITY, _INFINITY, sqrt_f32(a) + _ZERO)


@njit(inline="always")
def power_minus_half(a, b):
    """One by the square root, but 0 at -inf and inf at -0."""
    root = absolute_f32(sqrt_f32(a))
    return choose(a == -_INFINITY, _ZERO, np.float32(1.0 / np.float64(root)))


@njit(inline="always")
def power_minus_one(a, b):
    """Gives a**-1."""
    return plain_divide(_ONE, a)
