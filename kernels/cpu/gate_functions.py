"""The activation functions of ONNX's recurrent operators, chosen by their code."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from ..schemas.recurrent_general import GateActivation
from .maths import absolute_f32, exp_f32, expm1_negative_f32, log1p_f32, sigmoid_f32, tanh_f32
from .memory import float_pointer
from .native import device

_RELU, _TANH, _SIGMOID = (int(code) for code in (GateActivation.RELU, GateActivation.TANH, GateActivation.SIGMOID))
_AFFINE, _LEAKY_RELU = int(GateActivation.AFFINE), int(GateActivation.LEAKYRELU)
_THRESHOLDED_RELU, _SCALED_TANH = int(GateActivation.THRESHOLDEDRELU), int(GateActivation.SCALEDTANH)
_HARD_SIGMOID, _ELU = int(GateActivation.HARDSIGMOID), int(GateActivation.ELU)
_SOFTSIGN = int(GateActivation.SOFTSIGN)
_ZERO, _ONE = np.float32(0), np.float32(1)


class Function(NamedTuple):
    """An activation: its code, alpha and beta, and the limit of what goes into it (infinity: none)."""

    code: int
    alpha: np.float32
    beta: np.float32
    clip: np.float32


@njit(inline="always")
def _limited(x, clip):
    return -clip if x < -clip else clip if x > clip else x


@njit(inline="always")
def _rarer(function, x):
    """f(x), if f is neither sigmoid nor tanh."""
    code, alpha, beta = function.code, function.alpha, function.beta
    if code == _RELU:
        y = _ZERO if x < _ZERO else x
    elif code == _AFFINE:
        y = alpha * x + beta
    elif code == _LEAKY_RELU:
        y = alpha * x if x < _ZERO else x
    elif code == _THRESHOLDED_RELU:
        y = _ZERO if x < alpha else x
    elif code == _SCALED_TANH:
        y = alpha * tanh_f32(beta * x)
    elif code == _HARD_SIGMOID:
        y = alpha * x + beta
        y = _ZERO if y < _ZERO else _ONE if y > _ONE else y
    elif code == _ELU:
        y = alpha * expm1_negative_f32(x) if x < _ZERO else x
    elif code == _SOFTSIGN:
        y = x / (_ONE + absolute_f32(x))
    else:  # softplus
        y = (_ZERO if x < _ZERO else x) + log1p_f32(exp_f32(-absolute_f32(x)))
    return y


@device
def activate(function, x, count):
    """Native: x = f(x) at an address, in place; NaN stays NaN. Sigmoid and tanh run on vectors."""
    numbers, clip = float_pointer(x), function.clip
    if function.code == _SIGMOID:
        for i in range(count):
            numbers[i] = sigmoid_f32(_limited(numbers[i], clip))
    elif function.code == _TANH:
        for i in range(count):
            numbers[i] = tanh_f32(_limited(numbers[i], clip))
    else:
        for i in range(count):
            numbers[i] = _rarer(function, _limited(numbers[i], clip))
