"""Native resize_linear: every source row is stretched once and blended with its neighbour. Bound by memory.

x     [batch, channels, height, width]  any strides (fastest with contiguous rows)
y     [batch, channels, output height, output width]  any strides (fastest with contiguous rows)
"""

from __future__ import annotations

import numpy as np

from ..contract import Context
from ..schemas.resize import RESIZE_LINEAR
from .memory import float_pointer, int32_pointer, locate
from .native import native
from .vectors import device

_LANES = int(Context.LANES)
_P = RESIZE_LINEAR.positions()
_X, _Y, _SCRATCH = _P["x"], _P["y"], _P["scratch"]
_ROWS, _ROW_WEIGHTS, _COLUMNS, _COLUMN_WEIGHTS = _P["rows"], _P["row_weights"], _P["columns"], _P["column_weights"]
_ONE = np.float32(1)


@device
def _stretch(x, step, columns, weights, target, width):
    """target[i] = the blend of two columns of one source row."""
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
            _stretch(x + 4 * first * o[_X + 7], o[_X + 8], columns, column_weights, low, width)
            low_row = first
        other = low
        if second != first:
            if second != high_row:
                _stretch(x + 4 * second * o[_X + 7], o[_X + 8], columns, column_weights, high, width)
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
