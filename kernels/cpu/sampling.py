"""Native `sample`: values between elements, one point at a time, all channels of a point together.

Elements and weights along the axes are worked out once a point and multiplied out to at most 64 of each; every
channel then sums as many products.

Bound by the scattered reads of x.

    x       [batch, channels, depth, height, width]  any strides
    grid    [batch, points, axes]  any strides
    y       [batch, channels, points]  any strides
"""

from __future__ import annotations

import math

import numpy as np

from ..contract import Context
from ..opcodes_sampling import Beyond, Coordinates, Interpolation
from ..schemas.sampling import SAMPLE
from .memory import float_pointer, locate, stack_words, word_pointer
from .native import device, native
from .vectors import address_of, stack_floats

_LANES = int(Context.LANES)
_P = SAMPLE.positions()
_X, _GRID, _Y = _P["x"], _P["grid"], _P["y"]
_INTERPOLATION, _BEYOND, _COORDINATES = _P["interpolation"], _P["beyond"], _P["coordinates"]
_X_SIZE, _X_STEP = _X + 1, _X + 6
_AXES, _SIDE = 3, 4
_TAPS, _MOST = _AXES * _SIDE, _SIDE**_AXES
_NOWHERE = -(1 << 62)
_NEAREST, _LINEAR = int(Interpolation.NEAREST), int(Interpolation.LINEAR)
_BORDER, _ZEROS = int(Beyond.BORDER), int(Beyond.ZEROS)
_CENTRES, _EDGES = int(Coordinates.CENTRES), int(Coordinates.EDGES)
_ZERO, _HALF, _ONE, _TWO = np.float32(0), np.float32(0.5), np.float32(1), np.float32(2)
_A = np.float32(-0.75)
_FARTHEST = np.float32(1 << 24)


@device
def _bring_back(at, size, low, high, beyond):
    """An index mapped into the input as `beyond` says; zeros leave it outside."""
    if beyond == _ZEROS or low <= at <= high:
        return at
    if beyond == _BORDER:
        return min(max(at, _ZERO), np.float32(size - 1))
    span = high - low
    if span <= _ZERO:
        return _ZERO
    below = at < low
    past = low - at if below else at - high
    times = math.trunc(past / span)
    rest = past - np.float32(times) * span
    return low + rest if (times % 2 == 0) == below else high - rest


@device
def _near(t):
    return ((_A + _TWO) * t - (_A + np.float32(3))) * t * t + _ONE


@device
def _far(t):
    return ((_A * t - np.float32(5) * _A) * t + np.float32(8) * _A) * t - np.float32(4) * _A


@device
def _list_axis(at, size, step, interpolation, beyond, coordinates, elements, weights):
    """Write where the elements along one axis lie, _NOWHERE for none, and their weights; returns how many there are."""
    element, weight = word_pointer(elements), float_pointer(weights)
    if at != at:
        at = -_ONE
    if coordinates == _CENTRES:
        at = (at + _ONE) / _TWO * np.float32(size - 1)
    elif coordinates == _EDGES:
        at = ((at + _ONE) * np.float32(size) - _ONE) / _TWO
    at = min(max(at, -_FARTHEST), _FARTHEST)
    if interpolation == _NEAREST:
        at = np.rint(at)
    low = _ZERO if coordinates == _CENTRES else -_HALF
    high = np.float32(size - 1) - low
    if interpolation <= _LINEAR:
        at = _bring_back(at, size, low, high, beyond)
    first = np.floor(at)
    rest = at - first
    if interpolation == _NEAREST:
        count, start = 1, 0
        weight[0] = _ONE
    elif interpolation == _LINEAR:
        count, start = 2, 0
        weight[0] = _ONE - rest
        weight[1] = rest
    else:
        count, start = 4, -1
        weight[0] = _far(rest + _ONE)
        weight[1] = _near(rest)
        weight[2] = _near(_ONE - rest)
        weight[3] = _far(_TWO - rest)
    for tap in range(count):
        index = int(_bring_back(first + np.float32(start + tap), size, low, high, beyond))
        element[tap] = index * step if 0 <= index < size else _NOWHERE
    return count


@device
def _list_point(o, grid, elements, weights):
    """Write the elements around one point and their weights; returns how many of them lie inside x."""
    along, factors = stack_words(_TAPS), stack_floats(_TAPS)
    place, factor = address_of(along), float_pointer(factors)
    count0, count1, count2 = 1, 1, 1
    for axis in range(_AXES):
        counted = 1
        if axis < o[_GRID + 3]:
            at = float_pointer(grid)[axis * o[_GRID + 6]]
            size, step = o[_X_SIZE + 4 - axis], o[_X_STEP + 4 - axis]
            counted = _list_axis(
                at, size, step, o[_INTERPOLATION], o[_BEYOND], o[_COORDINATES],
                place + 8 * axis * _SIDE, factors + 4 * axis * _SIDE,
            )  # fmt: skip
        else:
            along[axis * _SIDE] = 0
            factor[axis * _SIDE] = _ONE
        if axis == 0:
            count0 = counted
        elif axis == 1:
            count1 = counted
        else:
            count2 = counted
    element, weight = word_pointer(elements), float_pointer(weights)
    found = 0
    for i in range(2 * _SIDE, 2 * _SIDE + count2):
        for j in range(_SIDE, _SIDE + count1):
            for k in range(count0):
                if along[i] != _NOWHERE and along[j] != _NOWHERE and along[k] != _NOWHERE:
                    element[found] = along[i] + along[j] + along[k]
                    weight[found] = factor[i] * factor[j] * factor[k]
                    found += 1
    return found


@device
def _sum_up(o, x, elements, weights, found, y):
    """All channels of one point; x and y are the addresses of the first channel's first element and of its result.

    Four products side by side: a point between elements of an image has no more.
    """
    element, weight = word_pointer(elements), float_pointer(weights)
    x_channel, y_channel = 4 * o[_X_STEP + 1], 4 * o[_Y + 5]
    fours = found - found % 4
    for _ in range(o[_Y + 2]):
        values, result = float_pointer(x), float_pointer(y)
        total = _ZERO
        for i in range(0, fours, 4):
            first = weight[i] * values[element[i]] + weight[i + 1] * values[element[i + 1]]
            total += first + (weight[i + 2] * values[element[i + 2]] + weight[i + 3] * values[element[i + 3]])
        for i in range(fours, found):
            total += weight[i] * values[element[i]]
        result[0] = total
        x += x_channel
        y += y_channel


@native
def sample(operands, context):
    """y[n, c, p] = x[n, c] at the point grid[n, p]."""
    o = operands
    elements, weights = stack_words(_MOST), stack_floats(_MOST)
    for lane in range(context[_LANES]):
        x_base, grid_base = locate(o, _X, context, lane), locate(o, _GRID, context, lane)
        y_base = locate(o, _Y, context, lane)
        for n in range(o[_Y + 1]):
            for p in range(o[_Y + 3]):
                point = grid_base + 4 * (n * o[_GRID + 4] + p * o[_GRID + 5])
                found = _list_point(o, point, address_of(elements), weights)
                y = y_base + 4 * (n * o[_Y + 4] + p * o[_Y + 6])
                _sum_up(o, x_base + 4 * n * o[_X_STEP], address_of(elements), weights, found, y)
