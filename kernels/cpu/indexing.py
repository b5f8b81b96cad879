"""Native gathers and scatters at positions that arrive.

Bound by memory, or by its latency where positions jump.

A position outside its axis touches nothing: such an element is gathered as 0, and its update is dropped. All tensors
but a box's sizes have any strides.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from ..contract import Context, ElementType
from ..opcodes_indexing import Scatter
from ..schemas.indexing import FLAT_POSITIONS, GATHER_AT, HEADS, NON_ZERO, NOWHERE, SCATTER_AT
from .general_loops import item_bytes, load_float
from .memory import double_pointer, element_type, float_pointer, int32_pointer, locate, word_pointer
from .native import device, native

_LANES = int(Context.LANES)
_FLOAT32, _INT64 = int(ElementType.FLOAT32), int(ElementType.INT64)
_POSITIONS = FLAT_POSITIONS.positions()
_POSITIONS_INDICES, _POSITIONS_SIZES, _POSITIONS_Y = _POSITIONS["indices"], _POSITIONS["sizes"], _POSITIONS["y"]
_GATHER = GATHER_AT.positions()
_GATHER_X, _GATHER_INDICES, _GATHER_Y = _GATHER["x"], _GATHER["indices"], _GATHER["y"]
_SCATTER = SCATTER_AT.positions()
_SCATTER_INDICES, _SCATTER_UPDATES, _SCATTER_Y = _SCATTER["indices"], _SCATTER["updates"], _SCATTER["y"]
_SCATTER_REDUCTION = _SCATTER["reduction"]
_NON_ZERO = NON_ZERO.positions()
_NON_ZERO_X, _NON_ZERO_Y, _NON_ZERO_COUNT = _NON_ZERO["x"], _NON_ZERO["y"], _NON_ZERO["count"]
_NONE, _ADD, _MUL = int(Scatter.NONE), int(Scatter.ADD), int(Scatter.MUL)
_MAX = int(Scatter.MAX)
_NOWHERE = np.int64(NOWHERE)
_RANK, _TABLE_RANK = HEADS + 2, HEADS + 1
_AXIS, _INNER = 1 + HEADS, 2 + HEADS
"""Words from a tensor's first to the size of its indexed axis and of the one behind; their strides are a rank later."""


@native
def flat_positions(operands, context):
    """y[i] = the row-major number in a box of `sizes` of the element at indices[i, :]; NOWHERE where it is outside."""
    o = operands
    for lane in range(context[_LANES]):
        indices = word_pointer(locate(o, _POSITIONS_INDICES, context, lane))
        sizes = int32_pointer(locate(o, _POSITIONS_SIZES, context, lane))
        y = word_pointer(locate(o, _POSITIONS_Y, context, lane))
        for i in range(o[_POSITIONS_Y + 1]):
            number = np.int64(0)
            for axis in range(o[_POSITIONS_SIZES + 1]):
                size = np.int64(sizes[axis])
                index = indices[i * o[_POSITIONS_INDICES + 3] + axis * o[_POSITIONS_INDICES + 4]]
                index += size if index < 0 else 0
                number = number * size + index if number >= 0 and 0 <= index < size else _NOWHERE
            y[i * o[_POSITIONS_Y + 2]] = number


@njit(inline="always")
def _head(operands, position, axes, h0, h1, h2, h3):
    """Elements from the start of a tensor of so many axes to what belongs to one head."""
    strides = position + 1 + axes
    return h0 * operands[strides] + h1 * operands[strides + 1] + h2 * operands[strides + 2] + h3 * operands[strides + 3]


@device
def _gather_head(operands, x, indices, y, zero):
    """y[i, n] = x[indices[i], n] of one head; typed pointers."""
    size, count, inner = operands[_GATHER_X + _AXIS], operands[_GATHER_Y + _AXIS], operands[_GATHER_Y + _INNER]
    x_axis, x_step = operands[_GATHER_X + _AXIS + _RANK], operands[_GATHER_X + _INNER + _RANK]
    y_axis, y_step = operands[_GATHER_Y + _AXIS + _RANK], operands[_GATHER_Y + _INNER + _RANK]
    index_step = operands[_GATHER_INDICES + _AXIS + _TABLE_RANK]
    for i in range(count):
        index = indices[i * index_step]
        index += size if index < 0 else 0
        source, target = index * x_axis, i * y_axis
        if index < 0 or index >= size:
            for n in range(inner):
                y[target + n * y_step] = zero
        elif inner == 1:
            y[target] = x[source]
        elif x_step == 1 and y_step == 1:
            for n in range(inner):
                y[target + n] = x[source + n]
        else:
            for n in range(inner):
                y[target + n * y_step] = x[source + n * x_step]


@native
def gather_at(operands, context):
    """y[h, i, n] = x[h, indices[h, i], n] [4 heads, count, inner], 0 where the index is outside; any strides."""
    o = operands
    item = item_bytes(o, _GATHER_X)
    for lane in range(context[_LANES]):
        x, y = locate(o, _GATHER_X, context, lane), locate(o, _GATHER_Y, context, lane)
        table = locate(o, _GATHER_INDICES, context, lane)
        for h0 in range(o[_GATHER_Y + 1]):
            for h1 in range(o[_GATHER_Y + 2]):
                for h2 in range(o[_GATHER_Y + 3]):
                    for h3 in range(o[_GATHER_Y + 4]):
                        indices = word_pointer(table + 8 * _head(o, _GATHER_INDICES, _TABLE_RANK, h0, h1, h2, h3))
                        source = x + item * _head(o, _GATHER_X, _RANK, h0, h1, h2, h3)
                        target = y + item * _head(o, _GATHER_Y, _RANK, h0, h1, h2, h3)
                        if item == 4:
                            _gather_head(o, float_pointer(source), indices, float_pointer(target), np.float32(0))
                        else:
                            _gather_head(o, word_pointer(source), indices, word_pointer(target), np.int64(0))


@device
def _scatter_head(operands, updates, indices, y):
    """y[indices[i], n] = reduction(itself, updates[i, n]) of one head, one i after the other; typed pointers."""
    reduction, size = operands[_SCATTER_REDUCTION], operands[_SCATTER_Y + _AXIS]
    count, inner = operands[_SCATTER_UPDATES + _AXIS], operands[_SCATTER_UPDATES + _INNER]
    u_axis, u_step = operands[_SCATTER_UPDATES + _AXIS + _RANK], operands[_SCATTER_UPDATES + _INNER + _RANK]
    y_axis, y_step = operands[_SCATTER_Y + _AXIS + _RANK], operands[_SCATTER_Y + _INNER + _RANK]
    index_step = operands[_SCATTER_INDICES + _AXIS + _TABLE_RANK]
    for i in range(count):
        index = indices[i * index_step]
        index += size if index < 0 else 0
        if index < 0 or index >= size:
            continue
        source, target = i * u_axis, index * y_axis
        if reduction == _NONE:
            for n in range(inner):
                y[target + n * y_step] = updates[source + n * u_step]
        elif reduction == _ADD:
            for n in range(inner):
                y[target + n * y_step] += updates[source + n * u_step]
        elif reduction == _MUL:
            for n in range(inner):
                y[target + n * y_step] *= updates[source + n * u_step]
        else:
            for n in range(inner):
                old, new = y[target + n * y_step], updates[source + n * u_step]
                better = new > old if reduction == _MAX else new < old
                if better or new != new:
                    y[target + n * y_step] = new


@native
def scatter_at(operands, context):
    """y[h, indices[h, i], n] = reduction(itself, updates[h, i, n]) [4 heads, count, inner]; any strides."""
    o = operands
    element, item = element_type(o, _SCATTER_Y), item_bytes(o, _SCATTER_Y)
    for lane in range(context[_LANES]):
        updates, y = locate(o, _SCATTER_UPDATES, context, lane), locate(o, _SCATTER_Y, context, lane)
        table = locate(o, _SCATTER_INDICES, context, lane)
        for h0 in range(o[_SCATTER_Y + 1]):
            for h1 in range(o[_SCATTER_Y + 2]):
                for h2 in range(o[_SCATTER_Y + 3]):
                    for h3 in range(o[_SCATTER_Y + 4]):
                        indices = word_pointer(table + 8 * _head(o, _SCATTER_INDICES, _TABLE_RANK, h0, h1, h2, h3))
                        source = updates + item * _head(o, _SCATTER_UPDATES, _RANK, h0, h1, h2, h3)
                        target = y + item * _head(o, _SCATTER_Y, _RANK, h0, h1, h2, h3)
                        if element == _FLOAT32:
                            _scatter_head(o, float_pointer(source), indices, float_pointer(target))
                        elif element == _INT64:
                            _scatter_head(o, word_pointer(source), indices, word_pointer(target))
                        else:
                            _scatter_head(o, double_pointer(source), indices, double_pointer(target))


@native
def non_zero(operands, context):
    """y = the positions of x's elements that are not 0 [n], then NOWHERE; count[0] = how many there are."""
    o = operands
    size, element, item = o[_NON_ZERO_X + 1], element_type(o, _NON_ZERO_X), item_bytes(o, _NON_ZERO_X)
    for lane in range(context[_LANES]):
        x = locate(o, _NON_ZERO_X, context, lane)
        y = word_pointer(locate(o, _NON_ZERO_Y, context, lane))
        found = 0
        for i in range(size):
            # int64 as a float64 is 0 only if it is 0.
            if load_float(x + item * i * o[_NON_ZERO_X + 2], element) != 0:
                y[found * o[_NON_ZERO_Y + 2]] = i
                found += 1
        for i in range(found, size):
            y[i * o[_NON_ZERO_Y + 2]] = _NOWHERE
        word_pointer(locate(o, _NON_ZERO_COUNT, context, lane))[0] = found
