"""Native interpolation along one axis: each output is a weighted sum of a few elements of its line.

x     [outer, size, inner]  any strides (fastest with contiguous rows)
y     [outer, output size, inner]  any strides

Bound by memory where the inner axis is long: rows of neighbours are blended as vectors. An inner axis of a few elements
leaves a gather for each tap and is bound by loads.
"""

from __future__ import annotations

import numpy as np

from ..contract import Context
from ..schemas.interpolation import INTERPOLATE
from .loops import stack_floats
from .memory import float_pointer, int32_pointer, locate
from .native import device, native

_LANES = int(Context.LANES)
_P = INTERPOLATE.positions()
_X, _POSITIONS, _WEIGHTS, _Y = _P["x"], _P["positions"], _P["weights"], _P["y"]

_BLOCK = 64
"""Elements of a row whose sums are on the stack together."""

_SHORT = 8
"""Inner axes below this go element by element."""


@device
def _row(x, line, step, positions, weights, taps, y, y_step, count):
    """One output row: y[i] = sum over t of weights[t] x[positions[t], i]."""
    sums = stack_floats(_BLOCK)
    at, factors = int32_pointer(positions), float_pointer(weights)
    for start in range(0, count, _BLOCK):
        width = min(_BLOCK, count - start)
        for i in range(width):
            sums[i] = 0.0
        for t in range(taps):
            factor, source = factors[t], float_pointer(x + 4 * (at[t] * line + start * step))
            if step == 1:
                for i in range(width):
                    sums[i] += factor * source[i]
            else:
                for i in range(width):
                    sums[i] += factor * source[i * step]
        target = float_pointer(y + 4 * start * y_step)
        for i in range(width):
            target[i * y_step] = sums[i]


@device
def _line(x, line, positions, weights, taps, y, y_line, count):
    """One output line: y[j] = sum over t of weights[j, t] x[positions[j, t]]."""
    at, factors, source, target = int32_pointer(positions), float_pointer(weights), float_pointer(x), float_pointer(y)
    for j in range(count):
        total = np.float32(0)
        for t in range(taps):
            total += factors[j * taps + t] * source[at[j * taps + t] * line]
        target[j * y_line] = total


@native
def interpolate(operands, context):
    """y[o, j, i] = sum over t of weights[j, t] x[o, positions[j, t], i], summed in the order of the taps."""
    o = operands
    positions, weights = locate(o, _POSITIONS, context, 0), locate(o, _WEIGHTS, context, 0)
    taps, size, inner = o[_POSITIONS + 2], o[_Y + 2], o[_Y + 3]
    for lane in range(context[_LANES]):
        x_base, y_base = locate(o, _X, context, lane), locate(o, _Y, context, lane)
        for outer in range(o[_Y + 1]):
            x, y = x_base + 4 * outer * o[_X + 4], y_base + 4 * outer * o[_Y + 4]
            if inner < _SHORT:
                for i in range(inner):
                    source, target = x + 4 * i * o[_X + 6], y + 4 * i * o[_Y + 6]
                    _line(source, o[_X + 5], positions, weights, taps, target, o[_Y + 5], size)
            else:
                for j in range(size):
                    at, factors, target = positions + 4 * j * taps, weights + 4 * j * taps, y + 4 * j * o[_Y + 5]
                    _row(x, o[_X + 5], o[_X + 6], at, factors, taps, target, o[_Y + 6], inner)
