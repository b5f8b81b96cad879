"""Native `softmax`: exponentials divided by their sum, or the logarithm of that, over one axis.

    x, y         [outer, axis, inner]  any strides

Where the axis is contiguous, vectors run along it; where `inner` is, across it. Short rows stay in registers, a few at
once, so that one fills the waits of another: the largest and the sum across a vector's lanes come one after the other.

Bound by the exponentials.

Source: ONNX, Softmax-13 and LogSoftmax-13.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from ..contract import PANEL, Context
from ..schemas.reduction import SOFTMAX
from .loops import BLOCK, read, shift, stack_floats, write
from .maths import choose, exp_f32, log_f32, plain_divide, plain_subtract
from .memory import float_pointer, locate
from .native import device, fast_device, native
from .operators import maximum
from .softmax_vectors import (
    SHORT,
    TOGETHER,
    row_of_four,
    row_of_one,
    row_of_two,
    rows_of_four,
    rows_of_one,
    rows_of_two,
)

_LANES = int(Context.LANES)
_P = SOFTMAX.positions()
_X, _Y, _LOGARITHM = _P["x"], _P["y"], _P["logarithm"]
_ZERO, _ONE, _INFINITY = np.float32(0), np.float32(1), np.float32(np.inf)


@device
def _short_rows(x, x_row, y, y_row, count, rows):
    """Softmaxes of contiguous rows of up to SHORT elements: a few at once, each in one, two or four registers."""
    whole = rows - rows % TOGETHER
    for r in range(0, whole, TOGETHER):
        source, target = shift(x, r * x_row), shift(y, r * y_row)
        if count <= PANEL:
            rows_of_one(source, x_row, target, y_row, count)
        elif count <= 2 * PANEL:
            rows_of_two(source, x_row, target, y_row, count)
        else:
            rows_of_four(source, x_row, target, y_row, count)
    for r in range(whole, rows):
        source, target = shift(x, r * x_row), shift(y, r * y_row)
        if count <= PANEL:
            row_of_one(source, x_row, target, y_row, count)
        elif count <= 2 * PANEL:
            row_of_two(source, x_row, target, y_row, count)
        else:
            row_of_four(source, x_row, target, y_row, count)


@njit(inline="always")
def _softmax_strided(x, x_step, y, y_step, count, logarithm):
    largest, total = -_INFINITY, _ZERO
    for i in range(count):
        largest = maximum(largest, read(x, i * x_step))
    if logarithm:
        for i in range(count):
            total += exp_f32(plain_subtract(read(x, i * x_step), largest))
        logarithm_of_total = log_f32(total)
        for i in range(count):
            write(y, i * y_step, plain_subtract(plain_subtract(read(x, i * x_step), largest), logarithm_of_total))
        return
    for i in range(count):
        value = exp_f32(plain_subtract(read(x, i * x_step), largest))
        write(y, i * y_step, value)
        total += value
    scale = plain_divide(_ONE, total)
    for i in range(count):
        write(y, i * y_step, y[i * y_step] * scale)


@fast_device
def _softmax_row(x, x_step, y, y_step, count, logarithm):
    """One softmax; the frequent case of contiguous rows as vectors."""
    if x_step == 1 and y_step == 1:
        _softmax_strided(x, 1, y, 1, count, logarithm)
    else:
        _softmax_strided(x, x_step, y, y_step, count, logarithm)


@fast_device
def _softmax_columns(x, x_step, y, y_step, count, columns, logarithm):
    """`columns` softmaxes side by side, at most BLOCK, x and y contiguous across them."""
    largest, total = stack_floats(BLOCK), stack_floats(BLOCK)
    for j in range(columns):
        largest[j] = -_INFINITY
        total[j] = _ZERO
    for i in range(count):
        source = shift(x, i * x_step)
        for j in range(columns):
            write(largest, j, maximum(largest[j], read(source, j)))
    for i in range(count):
        source, target = shift(x, i * x_step), shift(y, i * y_step)
        for j in range(columns):
            shifted = plain_subtract(read(source, j), largest[j])
            value = exp_f32(shifted)
            write(total, j, total[j] + value)
            write(target, j, choose(logarithm, shifted, value))
    for j in range(columns):
        total[j] = log_f32(total[j]) if logarithm else plain_divide(_ONE, total[j])
    for i in range(count):
        target = shift(y, i * y_step)
        for j in range(columns):
            target[j] = target[j] - total[j] if logarithm else target[j] * total[j]


@native
def softmax(operands, context):
    """y[o, a, i] = exp(x[o, a, i]) / sum over a of it, or its logarithm; the largest x is subtracted first."""
    outer, count, inner = operands[_Y + 1], operands[_Y + 2], operands[_Y + 3]
    x_axis, x_inner = operands[_X + 5], operands[_X + 6]
    y_axis, y_inner = operands[_Y + 5], operands[_Y + 6]
    logarithm = operands[_LOGARITHM] != 0
    for lane in range(context[_LANES]):
        x_base = float_pointer(locate(operands, _X, context, lane))
        y_base = float_pointer(locate(operands, _Y, context, lane))
        if inner == 1 and count <= SHORT and x_axis == 1 and y_axis == 1 and not logarithm:
            _short_rows(x_base, operands[_X + 4], y_base, operands[_Y + 4], count, outer)
            continue
        for o in range(outer):
            x, y = shift(x_base, o * operands[_X + 4]), shift(y_base, o * operands[_Y + 4])
            if inner > 1 and x_inner == 1 and y_inner == 1:
                for start in range(0, inner, BLOCK):
                    columns = min(BLOCK, inner - start)
                    _softmax_columns(shift(x, start), x_axis, shift(y, start), y_axis, count, columns, logarithm)
            else:
                for i in range(inner):
                    _softmax_row(shift(x, i * x_inner), x_axis, shift(y, i * y_inner), y_axis, count, logarithm)
