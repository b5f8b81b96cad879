"""Native max_pool and average_pool, vectors along the output's width.

Bound by memory.

Windows of two columns, two apart, which halve an image, are combined down the rows first, as vectors lie, and then
neighbour with neighbour.

x     [batch, channels, height, width]  any strides (fastest with contiguous rows)
y     [batch, channels, output height, output width]  any strides (fastest with contiguous rows)
"""

from __future__ import annotations

import numpy as np

from ..contract import PANEL, Context
from ..schemas.pooling import AVERAGE_POOL, MAX_POOL
from .memory import float_pointer, locate
from .native import device, native
from .taps import inside
from .vectors import (
    add,
    divide,
    evens,
    load,
    maximum,
    odds,
    splat,
    stack_floats,
    store,
    store_first,
    strided_window,
)

_LANES = int(Context.LANES)
_P = MAX_POOL.positions()
if AVERAGE_POOL.positions() != _P:
    raise ImportError("max_pool and average_pool share their code and need the same operands")
_X, _Y, _INCLUDE = _P["x"], _P["y"], _P["count_include_pad"]
_KERNEL_HEIGHT, _KERNEL_WIDTH = _P["kernel_height"], _P["kernel_width"]
_STRIDE_HEIGHT, _STRIDE_WIDTH = _P["stride_height"], _P["stride_width"]
_DILATION_HEIGHT, _DILATION_WIDTH = _P["dilation_height"], _P["dilation_width"]
_PAD_TOP, _PAD_LEFT, _PAD_BOTTOM, _PAD_RIGHT = _P["pad_top"], _P["pad_left"], _P["pad_bottom"], _P["pad_right"]
_ZERO, _LOWEST = np.float32(0), np.float32(-np.inf)


@device
def _halve(o, line, y, left, rows, step, average, counted):
    """16 outputs of windows of two columns, two apart, all of them inside; `rows` rows, `step` elements apart."""
    at = line + 8 * left
    low, high = load(float_pointer(at)), load(float_pointer(at + 4 * PANEL))
    for _ in range(1, rows):
        at += 4 * step
        more, still_more = load(float_pointer(at)), load(float_pointer(at + 4 * PANEL))
        low = add(low, more) if average else maximum(low, more)
        high = add(high, still_more) if average else maximum(high, still_more)
    even, odd = evens(low, high), odds(low, high)
    result = divide(add(even, odd), splat(counted)) if average else maximum(even, odd)
    store(float_pointer(y + 4 * left), result)


@device
def _halves(o):
    """Whether `_halve` can do all rows that lie inside."""
    pair = o[_KERNEL_WIDTH] == 2 and o[_STRIDE_WIDTH] == 2 and o[_DILATION_WIDTH] == 1
    unpadded = o[_PAD_LEFT] == 0 and 2 * o[_Y + 4] <= o[_X + 4]
    return pair and unpadded and o[_Y + 4] >= PANEL and o[_X + 8] == 1 and o[_Y + 8] == 1


@device
def _row(o, x, y, top, average, halves):
    """One output row of one channel."""
    counts = stack_floats(PANEL)
    count = float_pointer(counts)
    dilation, width, taps = o[_DILATION_HEIGHT], o[_Y + 4], o[_KERNEL_WIDTH]
    row = top * o[_STRIDE_HEIGHT] - o[_PAD_TOP]
    first, end = inside(row, dilation, o[_KERNEL_HEIGHT], o[_X + 3])
    # What a divisor counts: the input alone, or its padding too; never what lies behind the padding.
    include = o[_INCLUDE] != 0
    above, below = (o[_PAD_TOP], o[_PAD_BOTTOM]) if include else (0, 0)
    before, behind = (o[_PAD_LEFT], o[_PAD_RIGHT]) if include else (0, 0)
    low, high = inside(row + above, dilation, o[_KERNEL_HEIGHT], above + o[_X + 3] + below)
    if halves and end > first:
        line, step = x + 4 * (row + first * dilation) * o[_X + 7], dilation * o[_X + 7]
        counted = np.float32(2 * (high - low))
        for left in range(0, width, PANEL):  # the last vector may do some outputs of the one before again
            _halve(o, line, y, min(left, width - PANEL), end - first, step, average, counted)
        return
    for left in range(0, width, PANEL):
        start = left * o[_STRIDE_WIDTH] - o[_PAD_LEFT]
        result = splat(_ZERO if average else _LOWEST)
        for i in range(first, end):
            line = float_pointer(x + 4 * (row + i * dilation) * o[_X + 7])
            for j in range(taps):
                column = start + j * o[_DILATION_WIDTH]
                outside = _ZERO if average else _LOWEST
                values = strided_window(line, column, o[_STRIDE_WIDTH], o[_X + 4], o[_X + 8], outside)
                result = add(result, values) if average else maximum(result, values)
        if average:
            for i in range(PANEL):
                at = start + i * o[_STRIDE_WIDTH]
                left_tap, right_tap = inside(at + before, o[_DILATION_WIDTH], taps, before + o[_X + 4] + behind)
                count[i] = np.float32((high - low) * (right_tap - left_tap))
            result = divide(result, load(count))
        target, valid = float_pointer(y + 4 * left * o[_Y + 8]), min(PANEL, width - left)
        if o[_Y + 8] == 1:
            store_first(target, result, valid)
        else:
            store(count, result)
            for i in range(valid):
                target[i * o[_Y + 8]] = count[i]


@device
def _pool(o, context, average):
    halves = _halves(o)
    for lane in range(context[_LANES]):
        x_base, y_base = locate(o, _X, context, lane), locate(o, _Y, context, lane)
        for n in range(o[_Y + 1]):
            for c in range(o[_Y + 2]):
                x = x_base + 4 * (n * o[_X + 5] + c * o[_X + 6])
                y = y_base + 4 * (n * o[_Y + 5] + c * o[_Y + 6])
                for top in range(o[_Y + 3]):
                    _row(o, x, y + 4 * top * o[_Y + 7], top, average, halves)


@native
def max_pool(operands, context):
    """y = the largest element of each window; a window outside x gives -inf, one with a NaN gives NaN."""
    _pool(operands, context, False)


@native
def average_pool(operands, context):
    """y = the mean of each window."""
    _pool(operands, context, True)
