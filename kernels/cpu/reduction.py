"""Native `reduce`: sums, means, extremes, products and norms over the last three axes.

Sums are accurate to about the rounding of their result: a run of at most RUN elements is added in float32, in as many
vector lanes as the machine has, and the runs are added in float64. The order of additions follows from shapes and
strides alone. Where the reduced axes are contiguous, vectors run along them; where the kept axis is, across it.

Bound by the memory that x comes from, or, where rows are short, by the latency of the sum across a vector's lanes.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from ..contract import PANEL, Context
from ..opcodes import Reduce
from ..schemas.reduction import REDUCE
from .loops import BLOCK, pack, read, shift, stack_doubles, stack_floats, write
from .maths import absolute_f32
from .memory import float_pointer, locate
from .native import fast_device, native
from .operators import maximum, minimum
from .softmax_vectors import total_of
from .vectors import add, load, load_first, splat, store

_LANES = int(Context.LANES)
_REDUCE = REDUCE.positions()
_OPERATOR, _X, _Y = _REDUCE["operator"], _REDUCE["x"], _REDUCE["y"]

_SUM, _MEAN, _MAX, _MIN = int(Reduce.SUM), int(Reduce.MEAN), int(Reduce.MAX), int(Reduce.MIN)
_PROD, _SUM_SQUARE, _L1, _L2 = int(Reduce.PROD), int(Reduce.SUM_SQUARE), int(Reduce.L1), int(Reduce.L2)
_ZERO, _ONE, _INFINITY = np.float32(0), np.float32(1), np.float32(np.inf)

RUN = 1024
"""Most elements that are added in float32 before the sum goes on in float64."""

_COLUMN_RUN = 128
_SHORT_ROW = 16
_VECTOR_ROW = 256
"""Contiguous rows up to this long are summed in one vector: a loop costs more to enter."""


@njit(inline="always")
def _identity(operator):
    """What an empty reduction gives."""
    if operator == _PROD:
        return _ONE
    if operator == _MAX:
        return -_INFINITY
    if operator == _MIN:
        return _INFINITY
    return _ZERO


@njit(inline="always")
def _join(operator, total, value):
    """One more partial result, in float64."""
    if operator == _PROD:
        return total * value
    if operator == _MAX:
        return total if total > value or total != total else value
    if operator == _MIN:
        return total if total < value or total != total else value
    return total + value


@njit(inline="always")
def _finish(operator, total, count):
    if operator == _MEAN:
        total = total / count
    elif operator == _L2:
        total = math.sqrt(total)
    return np.float32(total)


@fast_device
def _reduce_run(operator, x, count):
    """The reduction of x[0 .. count - 1], without its last step (division, root)."""
    result = _identity(operator)
    if operator in (_SUM, _MEAN):
        for i in range(count):
            result += read(x, i)
    elif operator in (_SUM_SQUARE, _L2):
        for i in range(count):
            result += read(x, i) * read(x, i)
    elif operator == _L1:
        for i in range(count):
            result += absolute_f32(read(x, i))
    elif operator == _MAX:
        for i in range(count):
            result = maximum(result, read(x, i))
    elif operator == _MIN:
        for i in range(count):
            result = minimum(result, read(x, i))
    else:
        for i in range(count):
            result *= read(x, i)
    return result


@fast_device
def _reduce_row(operator, x, stride, count):
    """The same in float64 for a row of any stride and length."""
    total = np.float64(_identity(operator))
    if stride == 1:
        for start in range(0, count, RUN):
            total = _join(operator, total, np.float64(_reduce_run(operator, shift(x, start), min(RUN, count - start))))
        return total
    block = stack_floats(BLOCK)
    for start in range(0, count, BLOCK):
        size = min(BLOCK, count - start)
        pack(shift(x, start * stride), stride, block, size)
        total = _join(operator, total, np.float64(_reduce_run(operator, block, size)))
    return total


@fast_device
def _join_row(operator, x, partial, count):
    """partial[j] = join(partial[j], x[j])."""
    if operator in (_SUM, _MEAN):
        for j in range(count):
            write(partial, j, partial[j] + read(x, j))
    elif operator in (_SUM_SQUARE, _L2):
        for j in range(count):
            write(partial, j, partial[j] + read(x, j) * read(x, j))
    elif operator == _L1:
        for j in range(count):
            write(partial, j, partial[j] + absolute_f32(read(x, j)))
    elif operator == _MAX:
        for j in range(count):
            write(partial, j, maximum(partial[j], read(x, j)))
    elif operator == _MIN:
        for j in range(count):
            write(partial, j, minimum(partial[j], read(x, j)))
    else:
        for j in range(count):
            write(partial, j, partial[j] * read(x, j))


@fast_device
def _reduce_columns(operands, operator, x, y, columns):
    """y[j] = the reduction of x[j, :, :, :] for `columns` values of the last kept axis, at most BLOCK."""
    stride = operands[_X + 9]
    packed, partial, totals = stack_floats(BLOCK), stack_floats(BLOCK), stack_doubles(BLOCK)
    identity = _identity(operator)
    for j in range(columns):
        partial[j] = identity
        totals[j] = identity
    rows, count = 0, operands[_X + 4] * operands[_X + 5] * operands[_X + 6]
    for r0 in range(operands[_X + 4]):
        for r1 in range(operands[_X + 5]):
            row = shift(x, r0 * operands[_X + 10] + r1 * operands[_X + 11])
            for r2 in range(operands[_X + 6]):
                source = shift(row, r2 * operands[_X + 12])
                if stride == 1:
                    _join_row(operator, source, partial, columns)
                else:
                    pack(source, stride, packed, columns)
                    _join_row(operator, packed, partial, columns)
                rows += 1
                if rows % _COLUMN_RUN == 0:
                    for j in range(columns):
                        totals[j] = _join(operator, totals[j], np.float64(partial[j]))
                        partial[j] = identity
    for j in range(columns):
        y[j * operands[_Y + 6]] = _finish(operator, _join(operator, totals[j], np.float64(partial[j])), count)


@fast_device
def _sum_columns(operands, operator, x, y, columns):
    """`_reduce_columns` of a sum or mean of few elements, contiguous across: in the lanes of vectors."""
    block, count = stack_floats(BLOCK), operands[_X + 4] * operands[_X + 5] * operands[_X + 6]
    for j in range(0, columns, PANEL):
        sums = splat(_ZERO)
        for r0 in range(operands[_X + 4]):
            for r1 in range(operands[_X + 5]):
                row = shift(x, j + r0 * operands[_X + 10] + r1 * operands[_X + 11])
                for r2 in range(operands[_X + 6]):
                    source = shift(row, r2 * operands[_X + 12])
                    sums = add(sums, load(source) if columns - j >= PANEL else load_first(source, columns - j))
        store(shift(block, j), sums)
    for j in range(columns):
        y[j * operands[_Y + 6]] = _finish(operator, np.float64(block[j]), count)


@njit(inline="always")
def _short_sum(x, count):
    """The sum of a short contiguous row, in the lanes of one vector."""
    sums = splat(_ZERO)
    for i in range(0, count, PANEL):
        sums = add(sums, load_first(shift(x, i), count - i))
    return total_of(sums)


@fast_device
def _reduce_rows(operands, operator, x, y):
    """The same for all of the last kept axis, one output after another."""
    count = operands[_X + 4] * operands[_X + 5] * operands[_X + 6]
    if operator in (_SUM, _MEAN) and operands[_X + 12] == 1 and operands[_X + 6] == count <= _VECTOR_ROW:
        for k in range(operands[_X + 3]):
            total = np.float64(_short_sum(shift(x, k * operands[_X + 9]), count))
            y[k * operands[_Y + 6]] = _finish(operator, total, count)
        return
    for k in range(operands[_X + 3]):
        total = np.float64(_identity(operator))
        for r0 in range(operands[_X + 4]):
            for r1 in range(operands[_X + 5]):
                row = shift(x, k * operands[_X + 9] + r0 * operands[_X + 10] + r1 * operands[_X + 11])
                total = _join(operator, total, _reduce_row(operator, row, operands[_X + 12], operands[_X + 6]))
        y[k * operands[_Y + 6]] = _finish(operator, total, count)


@native
def reduce(operands, context):
    """y[k0, k1, k2] = the reduction of x[k0, k1, k2, :, :, :]."""
    operator, columns = operands[_OPERATOR], operands[_X + 3]
    long_rows = operands[_X + 12] == 1 and operands[_X + 6] >= _SHORT_ROW
    across = not long_rows and columns > 1 and (operands[_X + 9] == 1 or columns >= operands[_X + 6])
    few = operands[_X + 4] * operands[_X + 5] * operands[_X + 6] <= _COLUMN_RUN and operands[_X + 9] == 1
    in_lanes = across and few and operator in (_SUM, _MEAN)
    for lane in range(context[_LANES]):
        x_base = float_pointer(locate(operands, _X, context, lane))
        y_base = float_pointer(locate(operands, _Y, context, lane))
        for k0 in range(operands[_X + 1]):
            for k1 in range(operands[_X + 2]):
                x = shift(x_base, k0 * operands[_X + 7] + k1 * operands[_X + 8])
                y = shift(y_base, k0 * operands[_Y + 4] + k1 * operands[_Y + 5])
                if across:
                    for start in range(0, columns, BLOCK):
                        source, target = shift(x, start * operands[_X + 9]), shift(y, start * operands[_Y + 6])
                        some = min(BLOCK, columns - start)
                        if in_lanes:
                            _sum_columns(operands, operator, source, target, some)
                        else:
                            _reduce_columns(operands, operator, source, target, some)
                else:
                    _reduce_rows(operands, operator, x, y)
