"""Native `max_pool_positions` and `place`, one element at a time.

Bound by the comparisons of each window.

x, y, positions     [batch, channels, depth, height, width]  any strides (`max_pool_positions`)
x, positions, y     [count], [count], [elements]  dense (`place`)
"""

from __future__ import annotations

import numpy as np

from ..contract import Context
from ..schemas.positions import MAX_POOL_POSITIONS, PLACE
from .memory import float_pointer, locate, word_pointer
from .native import device, native
from .taps import inside

_LANES = int(Context.LANES)
_P = MAX_POOL_POSITIONS.positions()
_X, _Y, _POSITIONS, _COLUMN_MAJOR = _P["x"], _P["y"], _P["positions"], _P["column_major"]
_KERNEL, _STRIDE, _DILATION, _PAD = _P["kernel_depth"], _P["stride_depth"], _P["dilation_depth"], _P["pad_front"]
_X_SIZE, _X_STEP, _Y_SIZE, _Y_STEP, _POSITION_STEP = _X + 1, _X + 6, _Y + 1, _Y + 6, _POSITIONS + 6
_PLACE = PLACE.positions()
_PLACE_X, _PLACE_POSITIONS, _PLACE_Y = _PLACE["x"], _PLACE["positions"], _PLACE["y"]
_LOWEST = np.float32(-np.inf)


@device
def _start(o, axis, at):
    """The input index of the first tap of output `at` along an axis (0 to 2), and the taps that lie inside."""
    start = at * o[_STRIDE + axis] - o[_PAD + axis]
    first, end = inside(start, o[_DILATION + axis], o[_KERNEL + axis], o[_X_SIZE + 2 + axis])
    return start, first, end


@device
def _step(o, tensor, n, c, d, h, w):
    """Elements from the first to one of a tensor, whose strides start at word `tensor`."""
    return n * o[tensor] + c * o[tensor + 1] + d * o[tensor + 2] + h * o[tensor + 3] + w * o[tensor + 4]


@device
def _window(o, x, d, h, w):
    """(largest element, its number in the channel) of the window of one output; x is the address of the channel."""
    depth, height, width = o[_X_SIZE + 2], o[_X_SIZE + 3], o[_X_SIZE + 4]
    plane, front, back = _start(o, 0, d)
    row, top, bottom = _start(o, 1, h)
    column, left, right = _start(o, 2, w)
    values, best, found = float_pointer(x), _LOWEST, -1
    for i in range(front, back):
        z = plane + i * o[_DILATION]
        for j in range(top, bottom):
            y = row + j * o[_DILATION + 1]
            for k in range(left, right):
                at = column + k * o[_DILATION + 2]
                value = values[z * o[_X_STEP + 2] + y * o[_X_STEP + 3] + at * o[_X_STEP + 4]]
                if found < 0 or value > best or (value != value and best == best):
                    best = value
                    found = (at * height + y) * depth + z if o[_COLUMN_MAJOR] else (z * height + y) * width + at
    return best, found


@native
def max_pool_positions(operands, context):
    """y = the largest element of each window, positions = its number in x; the first of equals, a NaN before all."""
    o = operands
    volume = o[_X_SIZE + 2] * o[_X_SIZE + 3] * o[_X_SIZE + 4]
    for lane in range(context[_LANES]):
        x = locate(o, _X, context, lane)
        y, positions = float_pointer(locate(o, _Y, context, lane)), word_pointer(locate(o, _POSITIONS, context, lane))
        for n in range(o[_Y_SIZE]):
            for c in range(o[_Y_SIZE + 1]):
                channel = x + 4 * (n * o[_X_STEP] + c * o[_X_STEP + 1])
                first = (n * o[_X_SIZE + 1] + c) * volume
                for d in range(o[_Y_SIZE + 2]):
                    for h in range(o[_Y_SIZE + 3]):
                        for w in range(o[_Y_SIZE + 4]):
                            value, found = _window(o, channel, d, h, w)
                            y[_step(o, _Y_STEP, n, c, d, h, w)] = value
                            number = first + found if found >= 0 else -1
                            positions[_step(o, _POSITION_STEP, n, c, d, h, w)] = number


@native
def place(operands, context):
    """y[positions[i]] = x[i]; positions outside y are left out."""
    count, elements = operands[_PLACE_X + 1], operands[_PLACE_Y + 1]
    for lane in range(context[_LANES]):
        x, y = float_pointer(locate(operands, _PLACE_X, context, lane)), locate(operands, _PLACE_Y, context, lane)
        positions, target = word_pointer(locate(operands, _PLACE_POSITIONS, context, lane)), float_pointer(y)
        for i in range(count):
            if 0 <= positions[i] < elements:
                target[positions[i]] = x[i]
