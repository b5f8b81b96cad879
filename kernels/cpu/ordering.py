"""Native arg_reduce, top_k, cumulate and unique.

Bound by comparisons, or by the latency of a running sum.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from ..contract import Context, ElementType
from ..opcodes_indexing import Cumulate
from ..schemas.ordering import ARG_REDUCE, CUMULATE, TOP_K, UNIQUE
from .general_loops import item_bytes
from .loops import BLOCK, stack_doubles, stack_floats
from .memory import double_pointer, element_type, float_pointer, locate, stack_words, word_pointer
from .native import device, native
from .orders import advance, sort_first

_LANES = int(Context.LANES)
_FLOAT32, _INT64 = int(ElementType.FLOAT32), int(ElementType.INT64)
_ARG = ARG_REDUCE.positions()
_ARG_X, _ARG_Y, _ARG_LARGEST, _ARG_LAST = _ARG["x"], _ARG["y"], _ARG["largest"], _ARG["last"]
_TOP = TOP_K.positions()
_TOP_X, _TOP_VALUES, _TOP_INDICES, _TOP_LARGEST = _TOP["x"], _TOP["values"], _TOP["indices"], _TOP["largest"]
_RUN = CUMULATE.positions()
_RUN_X, _RUN_Y, _RUN_OPERATOR, _RUN_EXCLUSIVE = _RUN["x"], _RUN["y"], _RUN["operator"], _RUN["exclusive"]
_SUM = int(Cumulate.SUM)
_SHORT = 8
"""Fewer neighbours than this are walked one after the other."""
_UNIQUE = UNIQUE.positions()
_UNIQUE_X, _UNIQUE_Y, _UNIQUE_ORDERED = _UNIQUE["x"], _UNIQUE["y"], _UNIQUE["ordered"]
_UNIQUE_FIRST, _UNIQUE_INVERSE, _UNIQUE_COUNTS = _UNIQUE["first"], _UNIQUE["inverse"], _UNIQUE["counts"]
_UNIQUE_COUNT, _UNIQUE_SCRATCH = _UNIQUE["count"], _UNIQUE["scratch"]


@njit(inline="always")
def _is_better(value, best, largest, last):
    """Whether a later value takes the place of the best so far."""
    if largest == 1:
        better = (value > best) | ((value != value) & (best == best))
    else:
        better = (value < best) | ((best != best) & (value == value))
    alike = (value == best) | ((value != value) & (best != best))
    return better | ((last == 1) & alike)


@device
def _best_along(x, step, count, largest, last):
    """The position of the largest or smallest of x[i * step]."""
    found, best = 0, x[0]
    for i in range(1, count):
        value = x[i * step]
        if _is_better(value, best, largest, last):
            found, best = i, value
    return found


@device
def _best_rows(x, row, step, rows, count, largest, last, best, found):
    """found[n] = the row i in which x[i * row + n * step] is largest or smallest, n below `count`."""
    for n in range(count):
        best[n], found[n] = x[n * step], 0
    for i in range(1, rows):
        for n in range(count):
            value = x[i * row + n * step]
            better = _is_better(value, best[n], largest, last)
            best[n] = value if better else best[n]
            found[n] = i if better else found[n]


@device
def _arg_reduce(operands, x, y, best):
    """One index of the outer axis; typed pointers; `best` is room for BLOCK elements."""
    o = operands
    rows, inner, row, step = o[_ARG_X + 2], o[_ARG_X + 3], o[_ARG_X + 5], o[_ARG_X + 6]
    largest, last, y_step = o[_ARG_LARGEST], o[_ARG_LAST], o[_ARG_Y + 4]
    if inner < _SHORT:
        for n in range(inner):
            y[n * y_step] = _best_along(advance(x, n * step), row, rows, largest, last)
        return
    found = stack_words(BLOCK)
    for start in range(0, inner, BLOCK):
        size = min(BLOCK, inner - start)
        _best_rows(advance(x, start * step), row, step, rows, size, largest, last, best, found)
        for n in range(size):
            y[(start + n) * y_step] = found[n]


@native
def arg_reduce(operands, context):
    """y[o, n] = the position of the largest or smallest of x[o, :, n] [outer, axis, inner], any strides."""
    o = operands
    element, item = element_type(o, _ARG_X), item_bytes(o, _ARG_X)
    for lane in range(context[_LANES]):
        base = locate(o, _ARG_X, context, lane)
        target = locate(o, _ARG_Y, context, lane)
        for outer in range(o[_ARG_Y + 1]):
            x = base + item * outer * o[_ARG_X + 4]
            y = word_pointer(target + 8 * outer * o[_ARG_Y + 3])
            if element == _FLOAT32:
                _arg_reduce(o, float_pointer(x), y, stack_floats(BLOCK))
            elif element == _INT64:
                _arg_reduce(o, word_pointer(x), y, stack_words(BLOCK))
            else:
                _arg_reduce(o, double_pointer(x), y, stack_doubles(BLOCK))


@device
def _top(operands, x, values, indices):
    """The first of one x[:] in order, and where they are; typed pointers."""
    count, kept = operands[_TOP_X + 2], operands[_TOP_VALUES + 2]
    x_step, indices_step = operands[_TOP_X + 5], operands[_TOP_INDICES + 5]
    sort_first(indices, indices_step, kept, count, x, x_step, 0, 1, operands[_TOP_LARGEST])
    for i in range(kept):
        values[i * operands[_TOP_VALUES + 5]] = x[indices[i * indices_step] * x_step]


@native
def top_k(operands, context):
    """The k largest or smallest of x[o, :, n] [outer, axis, inner] in order, and their positions; any strides."""
    o = operands
    element, item = element_type(o, _TOP_X), item_bytes(o, _TOP_X)
    for lane in range(context[_LANES]):
        x_base, values_base = locate(o, _TOP_X, context, lane), locate(o, _TOP_VALUES, context, lane)
        indices_base = locate(o, _TOP_INDICES, context, lane)
        for outer in range(o[_TOP_X + 1]):
            for n in range(o[_TOP_X + 3]):
                x = x_base + item * (outer * o[_TOP_X + 4] + n * o[_TOP_X + 6])
                values = values_base + item * (outer * o[_TOP_VALUES + 4] + n * o[_TOP_VALUES + 6])
                indices = word_pointer(indices_base + 8 * (outer * o[_TOP_INDICES + 4] + n * o[_TOP_INDICES + 6]))
                if element == _FLOAT32:
                    _top(o, float_pointer(x), float_pointer(values), indices)
                elif element == _INT64:
                    _top(o, word_pointer(x), word_pointer(values), indices)
                else:
                    _top(o, double_pointer(x), double_pointer(values), indices)


@device
def _run_rows(operands, x, y, count, total):
    """y[i, n] = `total`[n] and all x[: i + 1, n], combined, n below `count`; typed pointers."""
    o = operands
    x_row, x_step, y_row, y_step = o[_RUN_X + 5], o[_RUN_X + 6], o[_RUN_Y + 5], o[_RUN_Y + 6]
    for i in range(o[_RUN_Y + 2]):
        if o[_RUN_EXCLUSIVE] == 1:
            for n in range(count):
                y[i * y_row + n * y_step] = total[n]
        if o[_RUN_OPERATOR] == _SUM:
            for n in range(count):
                total[n] += x[i * x_row + n * x_step]
        else:
            for n in range(count):
                total[n] *= x[i * x_row + n * x_step]
        if o[_RUN_EXCLUSIVE] == 0:
            for n in range(count):
                y[i * y_row + n * y_step] = total[n]


@device
def _run_along(operands, x, y, total):
    """y[i] = `total` and all x[: i + 1], combined; typed pointers."""
    for i in range(operands[_RUN_Y + 2]):
        before = total
        if operands[_RUN_OPERATOR] == _SUM:
            total += x[i * operands[_RUN_X + 5]]
        else:
            total *= x[i * operands[_RUN_X + 5]]
        y[i * operands[_RUN_Y + 5]] = before if operands[_RUN_EXCLUSIVE] == 1 else total


@device
def _run(operands, x, y, total, neutral):
    """One index of the outer axis; typed pointers; `total` is room for BLOCK elements."""
    inner = operands[_RUN_Y + 3]
    if inner < _SHORT:
        for n in range(inner):
            _run_along(operands, advance(x, n * operands[_RUN_X + 6]), advance(y, n * operands[_RUN_Y + 6]), neutral)
        return
    for start in range(0, inner, BLOCK):
        size = min(BLOCK, inner - start)
        for n in range(size):
            total[n] = neutral
        source, target = advance(x, start * operands[_RUN_X + 6]), advance(y, start * operands[_RUN_Y + 6])
        _run_rows(operands, source, target, size, total)


@native
def cumulate(operands, context):
    """y[o, i, n] = the sum or product of x[o, : i + 1, n] [outer, axis, inner], any strides; floats in float64."""
    o = operands
    element, item = element_type(o, _RUN_X), item_bytes(o, _RUN_X)
    start = np.int64(0 if o[_RUN_OPERATOR] == _SUM else 1)
    for lane in range(context[_LANES]):
        x_base, y_base = locate(o, _RUN_X, context, lane), locate(o, _RUN_Y, context, lane)
        for outer in range(o[_RUN_Y + 1]):
            x, y = x_base + item * outer * o[_RUN_X + 4], y_base + item * outer * o[_RUN_Y + 4]
            if element == _FLOAT32:
                _run(o, float_pointer(x), float_pointer(y), stack_doubles(BLOCK), np.float64(start))
            elif element == _INT64:
                _run(o, word_pointer(x), word_pointer(y), stack_words(BLOCK), start)
            else:
                _run(o, double_pointer(x), double_pointer(y), stack_doubles(BLOCK), np.float64(start))


@device
def _same(x, step, inner, width, i, j):
    """Whether two rows hold the same; two NaN are alike."""
    for n in range(width):
        a, b = x[i * step + n * inner], x[j * step + n * inner]
        if a != b and (a == a or b == b):
            return False
    return True


@device
def _number_rows(ordered, x, step, inner, width, rows, order, leader, number):
    """leader[i] = the first row that holds what row i holds; number[leader] = its place in the result.

    Returns how many different rows there are.
    """
    sort_first(order, 1, rows, rows, x, step, inner, width, 0)
    for i in range(rows):
        alike = i > 0 and _same(x, step, inner, width, order[i - 1], order[i])
        leader[order[i]] = leader[order[i - 1]] if alike else order[i]
    found = 0
    for i in range(rows):
        row = order[i] if ordered == 1 else i
        if leader[row] == row:
            number[row] = found
            found += 1
    return found


@device
def _unique(operands, x, y, first, inverse, counts, scratch, zero):
    """Fill the outputs of `unique` for one lane and return how many different rows there are."""
    o = operands
    rows, width = o[_UNIQUE_X + 1], o[_UNIQUE_X + 2]
    step, inner, y_step, y_inner = o[_UNIQUE_X + 3], o[_UNIQUE_X + 4], o[_UNIQUE_Y + 3], o[_UNIQUE_Y + 4]
    order, leader, number = word_pointer(scratch), word_pointer(scratch + 8 * rows), word_pointer(scratch + 16 * rows)
    found = _number_rows(o[_UNIQUE_ORDERED], x, step, inner, width, rows, order, leader, number)
    for i in range(rows):
        first[i * o[_UNIQUE_FIRST + 2]] = 0
        counts[i * o[_UNIQUE_COUNTS + 2]] = 0
    for i in range(rows):
        place = number[leader[i]]
        inverse[i * o[_UNIQUE_INVERSE + 2]] = place
        counts[place * o[_UNIQUE_COUNTS + 2]] += 1
        if leader[i] == i:
            first[place * o[_UNIQUE_FIRST + 2]] = i
            for n in range(width):
                y[place * y_step + n * y_inner] = x[i * step + n * inner]
    for place in range(found, rows):
        for n in range(width):
            y[place * y_step + n * y_inner] = zero
    return found


@native
def unique(operands, context):
    """y = the different rows of x [rows, width], ascending or as they come; where, which and how often; any strides."""
    o = operands
    element = element_type(o, _UNIQUE_X)
    for lane in range(context[_LANES]):
        x, y = locate(o, _UNIQUE_X, context, lane), locate(o, _UNIQUE_Y, context, lane)
        first = word_pointer(locate(o, _UNIQUE_FIRST, context, lane))
        inverse = word_pointer(locate(o, _UNIQUE_INVERSE, context, lane))
        counts = word_pointer(locate(o, _UNIQUE_COUNTS, context, lane))
        scratch = locate(o, _UNIQUE_SCRATCH, context, lane)
        if element == _FLOAT32:
            found = _unique(o, float_pointer(x), float_pointer(y), first, inverse, counts, scratch, np.float32(0))
        elif element == _INT64:
            found = _unique(o, word_pointer(x), word_pointer(y), first, inverse, counts, scratch, np.int64(0))
        else:
            found = _unique(o, double_pointer(x), double_pointer(y), first, inverse, counts, scratch, np.float64(0))
        word_pointer(locate(o, _UNIQUE_COUNT, context, lane))[0] = found
