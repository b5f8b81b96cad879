"""Native `normalize`: mean and variance over the last two axes, then scale and bias, in three passes.

    x, y         [kept, kept, normalised, normalised]  any strides (fastest with contiguous rows)
    scale, bias  of x's shape, zero strides repeat

The variance is the mean square of what lies about the mean, as accurate as its rounding; sums run in float32 over at
most RUN elements, in vector lanes, and in float64 over runs.

Bound by the memory that x comes from, or, when it is short, by the latency of one sum after the other.

Source: ONNX, LayerNormalization-17.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from ..contract import Context
from ..schemas.normalisation import NORMALIZE
from .loops import read, shift, stack_floats, write
from .maths import plain_subtract
from .memory import bits_to_float, float_pointer, locate
from .native import fast_device, native

_LANES = int(Context.LANES)
_P = NORMALIZE.positions()
_X, _SCALE, _BIAS, _Y, _MEAN, _INVERSE = (_P[name] for name in ("x", "scale", "bias", "y", "mean", "inverse"))
_EPSILON, _CENTRED = _P["epsilon"], _P["centred"]
_ZERO, _ONE = np.float32(0), np.float32(1)

RUN = 1024
"""Most elements that are added in float32 before the sum goes on in float64."""


@fast_device
def _sum_run(x, step, count):
    total = _ZERO
    if step == 1:
        for i in range(count):
            total += read(x, i)
    else:
        for i in range(count):
            total += read(x, i * step)
    return total


@fast_device
def _square_run(x, step, mean, count):
    total = _ZERO
    if step == 1:
        for i in range(count):
            about = plain_subtract(read(x, i), mean)
            total += about * about
    else:
        for i in range(count):
            about = plain_subtract(read(x, i * step), mean)
            total += about * about
    return total


@njit(inline="always")
def _mean(x, row, step, rows, columns):
    total = 0.0
    for r in range(rows):
        for start in range(0, columns, RUN):
            total += np.float64(_sum_run(shift(x, r * row + start * step), step, min(RUN, columns - start)))
    return total / (rows * columns)


@njit(inline="always")
def _variance(x, row, step, rows, columns, mean):
    total = 0.0
    for r in range(rows):
        for start in range(0, columns, RUN):
            part = shift(x, r * row + start * step)
            total += np.float64(_square_run(part, step, mean, min(RUN, columns - start)))
    return total / (rows * columns)


@fast_device
def _finish_row(x, x_step, mean, factor, scale, scale_step, bias, bias_step, y, y_step, count):
    """y = (x - mean) factor scale + bias; contiguous rows have loops of their own."""
    if x_step == 1 and y_step == 1 and scale_step == 1 and bias_step == 1:
        for i in range(count):
            write(y, i, plain_subtract(read(x, i), mean) * factor * read(scale, i) + read(bias, i))
    elif x_step == 1 and y_step == 1 and scale_step == 1 and bias_step == 0:
        offset = bias[0]
        for i in range(count):
            write(y, i, plain_subtract(read(x, i), mean) * factor * read(scale, i) + offset)
    elif x_step == 1 and y_step == 1 and scale_step == 0 and bias_step == 0:
        both, offset = factor * scale[0], bias[0]
        for i in range(count):
            write(y, i, plain_subtract(read(x, i), mean) * both + offset)
    else:
        for i in range(count):
            value = plain_subtract(read(x, i * x_step), mean) * factor * read(scale, i * scale_step)
            write(y, i * y_step, value + read(bias, i * bias_step))


@njit(inline="always")
def _row(o, position, base, k0, k1, r):
    """The start of a row of a tensor; an absent one has a single number."""
    if o[position] < 0:
        return base
    offset = k0 * o[position + 5] + k1 * o[position + 6] + r * o[position + 7]
    return shift(base, offset)


@njit(inline="always")
def _store(o, position, context, lane, k0, k1, value):
    if o[position] >= 0:
        target = float_pointer(locate(o, position, context, lane))
        target[k0 * o[position + 3] + k1 * o[position + 4]] = value


@native
def normalize(operands, context):
    """y = (x - mean) / sqrt(variance + epsilon) * scale + bias, over the last two axes."""
    o = operands
    epsilon = bits_to_float(o[_EPSILON])
    rows, columns, step = o[_X + 3], o[_X + 4], o[_X + 8]
    one, zero = stack_floats(1), stack_floats(1)
    one[0] = _ONE
    zero[0] = _ZERO
    scale, bias = one, zero
    for lane in range(context[_LANES]):
        x_base, y_base = float_pointer(locate(o, _X, context, lane)), float_pointer(locate(o, _Y, context, lane))
        if o[_SCALE] >= 0:
            scale = float_pointer(locate(o, _SCALE, context, lane))
        if o[_BIAS] >= 0:
            bias = float_pointer(locate(o, _BIAS, context, lane))
        for k0 in range(o[_X + 1]):
            for k1 in range(o[_X + 2]):
                x = _row(o, _X, x_base, k0, k1, 0)
                mean = _ZERO
                if o[_CENTRED] != 0:
                    mean = np.float32(_mean(x, o[_X + 7], step, rows, columns))
                variance = _variance(x, o[_X + 7], step, rows, columns, mean)
                factor = np.float32(1.0 / math.sqrt(variance + epsilon))
                for r in range(rows):
                    _finish_row(
                        _row(o, _X, x_base, k0, k1, r),
                        step,
                        mean,
                        factor,
                        _row(o, _SCALE, scale, k0, k1, r),
                        o[_SCALE + 8],
                        _row(o, _BIAS, bias, k0, k1, r),
                        o[_BIAS + 8],
                        _row(o, _Y, y_base, k0, k1, r),
                        o[_Y + 8],
                        columns,
                    )
                _store(o, _MEAN, context, lane, k0, k1, mean)
                _store(o, _INVERSE, context, lane, k0, k1, factor)
