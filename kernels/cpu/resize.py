"""Native resize_linear: every source row is stretched once and blended with its neighbour.

Bound by memory.

Where an image grows, 16 neighbours in a row read columns that fit into one vector: two permutations pick them.

x     [batch, channels, height, width]  any strides (fastest with contiguous rows)
y     [batch, channels, output height, output width]  any strides (fastest with contiguous rows)
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import types

from ..contract import PANEL, Context
from ..schemas.resize import RESIZE_LINEAR
from .memory import float_pointer, int32_pointer, locate
from .native import device, native
from .permutation import emit_permute
from .vectors import (
    VECTOR_IR,
    WORD_IR,
    emit_lanes,
    emit_load,
    emit_multiply_add,
    emit_store,
    operation,
)

_LANES = int(Context.LANES)
_P = RESIZE_LINEAR.positions()
_X, _Y, _SCRATCH = _P["x"], _P["y"], _P["scratch"]
_NEAR = _P["near"]
_ROWS, _ROW_WEIGHTS, _COLUMNS, _COLUMN_WEIGHTS = _P["rows"], _P["row_weights"], _P["columns"], _P["column_weights"]
_ONE = np.float32(1)
_FLOATS = types.CPointer(types.float32)
_LANES_IR = ir.VectorType(ir.IntType(32), PANEL)


def _emit_stretch(builder, row, limit, pairs, weights, target):
    """16 columns of one row; `limit` columns, at least 16."""
    order = [ir.Constant(_LANES_IR, [first + 2 * i for i in range(PANEL)]) for first in (0, 1)]
    table = builder.bitcast(pairs, _LANES_IR.as_pointer())
    halves = [builder.load(builder.gep(table, [ir.Constant(WORD_IR, i)]), align=4) for i in (0, 1)]
    first, second = (builder.shuffle_vector(*halves, indices) for indices in order)
    start = builder.sext(builder.extract_element(first, ir.Constant(ir.IntType(32), 0)), WORD_IR)
    last = builder.sub(limit, ir.Constant(WORD_IR, PANEL))
    start = builder.select(builder.icmp_signed("<", start, last), start, last)
    source, origin = emit_load(builder, builder.gep(row, [start])), emit_lanes(builder, start)
    left, right = (emit_permute(builder, source, builder.sub(indices, origin)) for indices in (first, second))
    weight = emit_load(builder, weights)
    rest = builder.fsub(ir.Constant(VECTOR_IR, [1.0] * PANEL), weight)
    emit_store(builder, target, emit_multiply_add(builder, right, weight, builder.fmul(left, rest)))


_stretch_vector = operation(
    "stretch_vector",
    types.void,
    (_FLOATS, types.int64, types.CPointer(types.int32), _FLOATS, _FLOATS),
    _emit_stretch,
)


@device
def _stretch_near(x, columns, weights, target, width, limit):
    """As `_stretch` of contiguous rows of at least 16 columns, 16 outputs at once."""
    for i in range(0, width, PANEL):
        at = min(i, width - PANEL)  # the last vector may do some columns of the one before again
        pairs, weight = int32_pointer(columns + 8 * at), float_pointer(weights + 4 * at)
        _stretch_vector(float_pointer(x), limit, pairs, weight, float_pointer(target + 4 * at))


@device
def _stretch(o, x, columns, weights, target):
    """target[i] = the blend of two columns of one source row."""
    step, width = o[_X + 8], o[_Y + 4]
    if o[_NEAR] != 0 and step == 1 and o[_X + 4] >= PANEL and width >= PANEL:
        _stretch_near(x, columns, weights, target, width, o[_X + 4])
        return
    row, pairs, weight = float_pointer(x), int32_pointer(columns), float_pointer(weights)
    written = float_pointer(target)
    for i in range(width):
        second = weight[i]
        written[i] = row[pairs[2 * i] * step] * (_ONE - second) + row[pairs[2 * i + 1] * step] * second


@device
def _blend(first, second, weight, y, step, width):
    """y[i] = first[i] (1 - weight) + second[i] weight."""
    a, b, written = float_pointer(first), float_pointer(second), float_pointer(y)
    rest = _ONE - weight
    if step == 1:
        for i in range(width):
            written[i] = a[i] * rest + b[i] * weight
    else:
        for i in range(width):
            written[i * step] = a[i] * rest + b[i] * weight


@device
def _channel(o, x, rows, row_weights, columns, column_weights, y, scratch):
    """One channel of one image; scratch holds the two source rows that were stretched last."""
    width = o[_Y + 4]
    pairs, weights = int32_pointer(rows), float_pointer(row_weights)
    low, high, low_row, high_row = scratch, scratch + 4 * width, -1, -1
    for top in range(o[_Y + 3]):
        first, second = pairs[2 * top], pairs[2 * top + 1]
        if first == high_row:
            low, high, low_row, high_row = high, low, high_row, low_row
        if first != low_row:
            _stretch(o, x + 4 * first * o[_X + 7], columns, column_weights, low)
            low_row = first
        other = low
        if second != first:
            if second != high_row:
                _stretch(o, x + 4 * second * o[_X + 7], columns, column_weights, high)
                high_row = second
            other = high
        _blend(low, other, weights[top], y + 4 * top * o[_Y + 7], o[_Y + 8], width)


@native
def resize_linear(operands, context):
    """y[i, j] = the blend of rows rows[i] and columns columns[j] of x."""
    o = operands
    rows, row_weights = locate(o, _ROWS, context, 0), locate(o, _ROW_WEIGHTS, context, 0)
    columns, column_weights = locate(o, _COLUMNS, context, 0), locate(o, _COLUMN_WEIGHTS, context, 0)
    for lane in range(context[_LANES]):
        x_base, y_base = locate(o, _X, context, lane), locate(o, _Y, context, lane)
        scratch = locate(o, _SCRATCH, context, lane)
        for n in range(o[_Y + 1]):
            for c in range(o[_Y + 2]):
                x = x_base + 4 * (n * o[_X + 5] + c * o[_X + 6])
                y = y_base + 4 * (n * o[_Y + 5] + c * o[_Y + 6])
                _channel(o, x, rows, row_weights, columns, column_weights, y, scratch)
