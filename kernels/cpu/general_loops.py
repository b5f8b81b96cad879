"""Loop nest and element access of the kernels for every carrier."""

from __future__ import annotations

import numpy as np
from numba import njit

from ..contract import LOOP_RANK, Context, ElementType
from .memory import double_pointer, element_type, float_pointer, locate, word_pointer
from .native import device

_LANES = int(Context.LANES)
_R = LOOP_RANK
_FLOAT32, _INT64, _FLOAT64 = int(ElementType.FLOAT32), int(ElementType.INT64), int(ElementType.FLOAT64)
_LOWEST = np.iinfo(np.int64).min


@njit(inline="always")
def item_bytes(operands, position):
    """Native: bytes of an element of a tensor operand."""
    return 4 if element_type(operands, position) == _FLOAT32 else 8


@device
def load_float(address, element):
    """Native: the element at a byte address as a float64."""
    if element == _FLOAT32:
        return np.float64(float_pointer(address)[0])
    if element == _FLOAT64:
        return double_pointer(address)[0]
    return np.float64(word_pointer(address)[0])


@device
def load_integer(address, element):
    """Native: the element at a byte address as an int64; floats are cut off, the lowest int64 if out of range."""
    if element == _INT64:
        return word_pointer(address)[0]
    value = load_float(address, element)
    if value >= -9223372036854775808.0 and value < 9223372036854775808.0:
        return np.int64(value)
    return np.int64(_LOWEST)


@device
def store_float(address, element, value):
    """Native: put a float64 into an element; it is rounded or cut off to its type."""
    if element == _FLOAT32:
        float_pointer(address)[0] = np.float32(value)
    elif element == _FLOAT64:
        double_pointer(address)[0] = value
    else:
        word_pointer(address)[0] = np.int64(value)


@device
def store_integer(address, element, value):
    """Native: put an int64 into an element; it is rounded to its type."""
    if element == _INT64:
        word_pointer(address)[0] = value
    else:
        store_float(address, element, np.float64(value))


@njit(inline="always")
def over_wide_rows(row, operator, first, second, operands, context, a_at, b_at, c_at, y_at):
    """Call `row` for every lane and row of LOOP_RANK tensors of one shape, whatever their types.

    Args:
        row: native function (operator, first, second, operands, a, a_step, b, b_step, c, c_step, y, y_step, count) of
            byte addresses and byte steps.
        operator, first, second: handed on.
        a_at, b_at, c_at: first words of the inputs; a kernel with fewer than three names one twice.
        y_at: first word of the output, whose sizes rule.
    """
    a_item, b_item = item_bytes(operands, a_at), item_bytes(operands, b_at)
    c_item, y_item = item_bytes(operands, c_at), item_bytes(operands, y_at)
    for lane in range(context[_LANES]):
        a_base, b_base = locate(operands, a_at, context, lane), locate(operands, b_at, context, lane)
        c_base, y_base = locate(operands, c_at, context, lane), locate(operands, y_at, context, lane)
        for i0 in range(operands[y_at + 1]):
            for i1 in range(operands[y_at + 2]):
                for i2 in range(operands[y_at + 3]):
                    for i3 in range(operands[y_at + 4]):
                        for i4 in range(operands[y_at + 5]):
                            row(
                                operator,
                                first,
                                second,
                                operands,
                                a_base + a_item * _offset(operands, a_at, i0, i1, i2, i3, i4),
                                a_item * operands[a_at + 2 * _R],
                                b_base + b_item * _offset(operands, b_at, i0, i1, i2, i3, i4),
                                b_item * operands[b_at + 2 * _R],
                                c_base + c_item * _offset(operands, c_at, i0, i1, i2, i3, i4),
                                c_item * operands[c_at + 2 * _R],
                                y_base + y_item * _offset(operands, y_at, i0, i1, i2, i3, i4),
                                y_item * operands[y_at + 2 * _R],
                                operands[y_at + _R],
                            )


@njit(inline="always")
def _offset(operands, position, i0, i1, i2, i3, i4):
    """Elements from a LOOP_RANK tensor's start to a row of it."""
    return (
        i0 * operands[position + _R + 1]
        + i1 * operands[position + _R + 2]
        + i2 * operands[position + _R + 3]
        + i3 * operands[position + _R + 4]
        + i4 * operands[position + _R + 5]
    )
