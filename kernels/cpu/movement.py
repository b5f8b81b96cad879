"""Native copy, fill and gather: every other data movement is a view, or one of these with the right strides.

Bound by memory. Contiguous rows move as vectors, transposes in tiles of 8 by 8 that are turned in registers.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from ..contract import LOOP_RANK, PANEL, Context
from ..schemas.movement import COPY, FILL, GATHER
from .loops import over_rows, read, shift, write
from .memory import bits_to_float, float_pointer, int32_pointer, locate
from .native import fast_device, native
from .vectors import evens, load, load_first, store, store_first

_LANES = int(Context.LANES)
_COPY = COPY.positions()
_COPY_X, _COPY_Y = _COPY["x"], _COPY["y"]
_FILL = FILL.positions()
_FILL_Y, _FILL_VALUE = _FILL["y"], _FILL["value"]
_GATHER = GATHER.positions()
_GATHER_X, _GATHER_INDICES, _GATHER_Y = _GATHER["x"], _GATHER["indices"], _GATHER["y"]
_R = LOOP_RANK
_ZERO = np.float32(0)
_TILE = 8
_FLOATS = types.CPointer(types.float32)


@intrinsic
def _transpose_tile(typingctx, x, x_step, y, y_step):
    """Native: y[i * y_step + j] = x[j * x_step + i] for i, j in 0 .. 7, by three rounds of exchanges."""

    def codegen(context, builder, signature, arguments):
        x, x_step, y, y_step = arguments
        vector = ir.VectorType(ir.FloatType(), _TILE)

        def row(pointer: ir.Value, step: ir.Value, index: int) -> ir.Value:
            address = builder.gep(pointer, [builder.mul(step, ir.Constant(ir.IntType(64), index))])
            return builder.bitcast(address, vector.as_pointer())

        def shuffle(a: ir.Value, b: ir.Value, lanes: list[int]) -> ir.Value:
            return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(ir.IntType(32), _TILE), lanes))

        rows = [builder.load(row(x, x_step, index), align=4) for index in range(_TILE)]
        # Round of distance d: rows r and r + d exchange the off-diagonal squares of d by d.
        for distance in (4, 2, 1):
            first = [k if not k & distance else k - distance + _TILE for k in range(_TILE)]
            second = [k + distance if not k & distance else k + _TILE for k in range(_TILE)]
            for r in range(_TILE):
                if not r & distance:
                    a, b = rows[r], rows[r + distance]
                    rows[r], rows[r + distance] = shuffle(a, b, first), shuffle(a, b, second)
        for index in range(_TILE):
            builder.store(rows[index], row(y, y_step, index), align=4)
        return context.get_dummy_value()

    return types.void(_FLOATS, types.int64, _FLOATS, types.int64), codegen


@fast_device
def _copy_row(x, x_step, y, y_step, count):
    """y[i * y_step] = x[i * x_step]; the frequent steps have loops of their own.

    A row may move down in place: each vector is read before anything at or above it is written.
    """
    if y_step == 1 and x_step == 1:
        whole = count - count % PANEL
        for i in range(0, whole, PANEL):
            store(shift(y, i), load(shift(x, i)))
        if whole < count:
            store_first(shift(y, whole), load_first(shift(x, whole), count - whole), count - whole)
    elif y_step == 1 and x_step == 0:
        value = x[0]
        for i in range(count):
            write(y, i, value)
    elif y_step == 1 and x_step == 2:
        for i in range(0, count, PANEL):
            left = count - i
            low = load_first(shift(x, 2 * i), 2 * left - 1)
            high = load_first(shift(x, 2 * i + PANEL), 2 * left - 1 - PANEL)
            store_first(shift(y, i), evens(low, high), left)
    else:
        for i in range(count):
            y[i * y_step] = x[i * x_step]


@fast_device
def transpose(x, x_step, y, y_step, columns, rows):
    """y[i * y_step + j] = x[j * x_step + i], i below `columns` of x, j below `rows` of x."""
    whole_rows = rows - rows % _TILE
    whole_columns = columns - columns % _TILE
    for i in range(0, whole_columns, 2 * _TILE):  # two tiles side by side use up a cache line of x
        for j in range(0, whole_rows, _TILE):
            for k in range(i, min(i + 2 * _TILE, whole_columns), _TILE):
                _transpose_tile(shift(x, j * x_step + k), x_step, shift(y, k * y_step + j), y_step)
    for i in range(whole_columns):
        for j in range(whole_rows, rows):
            write(y, i * y_step + j, read(x, j * x_step + i))
    for i in range(whole_columns, columns):
        for j in range(rows):
            write(y, i * y_step + j, read(x, j * x_step + i))


@njit(inline="always")
def _copy_plane(x, x_slow, x_fast, y, y_slow, y_fast, slow, fast):
    """y[i * y_slow + j * y_fast] = x[i * x_slow + j * x_fast], i below slow, j below fast."""
    if x_slow == 1 and y_fast == 1 and x_fast != 1 and slow >= _TILE and fast >= _TILE:
        transpose(x, x_fast, y, y_slow, slow, fast)
    elif fast >= slow or (x_fast in (1, 2) and y_fast == 1):
        for i in range(slow):
            _copy_row(shift(x, i * x_slow), x_fast, shift(y, i * y_slow), y_fast, fast)
    else:
        for j in range(fast):
            _copy_row(shift(x, j * x_fast), x_slow, shift(y, j * y_fast), y_slow, slow)


@njit(inline="always")
def _contiguous_axis(operands, sizes, strides, other):
    """The last axis, other than `other`, of stride 1 and more than one element; else the last other axis."""
    found = _R if other != _R else _R - 1
    for axis in range(_R, 0, -1):
        if axis != other and operands[strides + axis] == 1 and operands[sizes + axis] > 1:
            found = axis
            break
    return found


@native
def copy(operands, context):
    """y = x, any strides on both sides (a zero stride of x repeats).

    The fast axis is the one along which y is contiguous, the slow axis the one along which x is, if that is another.
    """
    sizes, x_strides, y_strides = _COPY_Y, _COPY_X + _R, _COPY_Y + _R
    fast = _contiguous_axis(operands, sizes, y_strides, 0)
    slow = _contiguous_axis(operands, sizes, x_strides, fast)
    # The other four axes in their order: each slot takes its own axis, or the next that neither is fast nor slow.
    o0, o1, o2, o3 = 1, 2, 3, 4
    low, high = min(fast, slow), max(fast, slow)
    o0 += (low <= o0) + (high <= o0 + (low <= o0))
    o1 += (low <= o1) + (high <= o1 + (low <= o1))
    o2 += (low <= o2) + (high <= o2 + (low <= o2))
    o3 += (low <= o3) + (high <= o3 + (low <= o3))
    for lane in range(context[_LANES]):
        x = float_pointer(locate(operands, _COPY_X, context, lane))
        y = float_pointer(locate(operands, _COPY_Y, context, lane))
        for i0 in range(operands[sizes + o0]):
            for i1 in range(operands[sizes + o1]):
                for i2 in range(operands[sizes + o2]):
                    x2 = i0 * operands[x_strides + o0] + i1 * operands[x_strides + o1] + i2 * operands[x_strides + o2]
                    y2 = i0 * operands[y_strides + o0] + i1 * operands[y_strides + o1] + i2 * operands[y_strides + o2]
                    for i3 in range(operands[sizes + o3]):
                        _copy_plane(
                            shift(x, x2 + i3 * operands[x_strides + o3]),
                            operands[x_strides + slow],
                            operands[x_strides + fast],
                            shift(y, y2 + i3 * operands[y_strides + o3]),
                            operands[y_strides + slow],
                            operands[y_strides + fast],
                            operands[sizes + slow],
                            operands[sizes + fast],
                        )


@fast_device
def _fill_row(operator, value, beta, a, a_stride, b, b_stride, c, c_stride, y, y_stride, count):
    if y_stride == 1:
        for i in range(count):
            write(y, i, value)
    else:
        for i in range(count):
            write(y, i * y_stride, value)


@native
def fill(operands, context):
    """y = value."""
    value = np.float32(bits_to_float(operands[_FILL_VALUE]))
    over_rows(_fill_row, 0, value, _ZERO, operands, context, _FILL_Y, _FILL_Y, _FILL_Y, _FILL_Y)


@njit(inline="always")
def _gather_elements(x, x_axis, x_step, indices, y, y_axis, y_step, count, inner):
    """y[i, n] = x[indices[i], n], element by element down the axis."""
    for n in range(inner):
        for i in range(count):
            index = indices[i]
            value = _ZERO
            if index >= 0:
                value = x[index * x_axis + n * x_step]
            y[i * y_axis + n * y_step] = value


@njit(inline="always")
def _gather_rows(x, x_axis, x_step, indices, y, y_axis, y_step, count, inner):
    """y[i, n] = x[indices[i], n], row by row."""
    for i in range(count):
        index = indices[i]
        row = shift(y, i * y_axis)
        if index >= 0:
            _copy_row(shift(x, index * x_axis), x_step, row, y_step, inner)
        else:
            for n in range(inner):
                row[n * y_step] = _ZERO


@native
def gather(operands, context):
    """y[o, i, n] = x[o, indices[i], n]; 0 where the index is below 0."""
    outer, count, inner = operands[_GATHER_Y + 1], operands[_GATHER_Y + 2], operands[_GATHER_Y + 3]
    x_axis, x_step = operands[_GATHER_X + 5], operands[_GATHER_X + 6]
    y_axis, y_step = operands[_GATHER_Y + 5], operands[_GATHER_Y + 6]
    for lane in range(context[_LANES]):
        x = float_pointer(locate(operands, _GATHER_X, context, lane))
        y = float_pointer(locate(operands, _GATHER_Y, context, lane))
        indices = int32_pointer(locate(operands, _GATHER_INDICES, context, lane))
        for o in range(outer):
            source, target = shift(x, o * operands[_GATHER_X + 4]), shift(y, o * operands[_GATHER_Y + 4])
            if inner < 4:
                _gather_elements(source, x_axis, x_step, indices, target, y_axis, y_step, count, inner)
            else:
                _gather_rows(source, x_axis, x_step, indices, target, y_axis, y_step, count, inner)
