"""Native copy, where and conversions of any element type, one element at a time.

Bound by their branches, not by memory: they serve integers, doubles and the doors between types. Float32 alone has
vectors: `movement` copies it, `elementwise` chooses from it.
"""

from __future__ import annotations

import math

import numpy as np

from ..contract import ElementType
from ..opcodes_general import Overflow
from ..schemas.general import CONVERT, COPY_WIDE, NARROW_FLOAT, NARROW_INTEGER, WHERE_WIDE
from .general_loops import load_float, load_integer, over_wide_rows, store_integer
from .memory import bits_to_float, double_bits, double_pointer, element_type, float_pointer, word_pointer
from .native import device, native

_COPY = COPY_WIDE.positions()
_COPY_X, _COPY_Y = _COPY["x"], _COPY["y"]
_WHERE = WHERE_WIDE.positions()
_WHERE_CONDITION, _WHERE_A, _WHERE_B, _WHERE_Y = _WHERE["condition"], _WHERE["a"], _WHERE["b"], _WHERE["y"]
_CONVERT = CONVERT.positions()
_CONVERT_X, _CONVERT_Y, _CONVERT_UNSIGNED = _CONVERT["x"], _CONVERT["y"], _CONVERT["unsigned"]
_INTEGER = NARROW_INTEGER.positions()
_INTEGER_X, _INTEGER_Y = _INTEGER["x"], _INTEGER["y"]
_INTEGER_BITS, _INTEGER_SIGNED = _INTEGER["bits"], _INTEGER["signed"]
_FLOAT = NARROW_FLOAT.positions()
_FLOAT_X, _FLOAT_Y, _FLOAT_FRACTION = _FLOAT["x"], _FLOAT["y"], _FLOAT["fraction_bits"]
_FLOAT_EXPONENT, _FLOAT_LARGEST, _FLOAT_OVERFLOW = _FLOAT["smallest_exponent"], _FLOAT["largest"], _FLOAT["overflow"]
_FLOAT32, _INT64 = int(ElementType.FLOAT32), int(ElementType.INT64)
_DOUBLE_BIAS = 1023
_SATURATE, _NAN = int(Overflow.SATURATE), int(Overflow.NAN)


@device
def _copy_row(operator, first, second, operands, a, a_step, b, b_step, c, c_step, y, y_step, count):
    for i in range(count):
        word_pointer(y + i * y_step)[0] = word_pointer(a + i * a_step)[0]


@native
def copy_wide(operands, context):
    """y = x, elements of 8 bytes [LOOP_RANK axes], any strides on both sides."""
    over_wide_rows(_copy_row, 0, 0, 0, operands, context, _COPY_X, _COPY_X, _COPY_X, _COPY_Y)


@device
def _where_row(operator, first, second, operands, a, a_step, b, b_step, c, c_step, y, y_step, count):
    for i in range(count):
        chosen = a + i * a_step if float_pointer(c + i * c_step)[0] != 0 else b + i * b_step
        word_pointer(y + i * y_step)[0] = word_pointer(chosen)[0]


@native
def where_wide(operands, context):
    """y = condition ? a : b, a, b and y of 8 bytes an element, the condition float32 [LOOP_RANK axes], any strides."""
    over_wide_rows(_where_row, 0, 0, 0, operands, context, _WHERE_A, _WHERE_B, _WHERE_CONDITION, _WHERE_Y)


@device
def _widen_row(a, a_step, y, y_step, count):
    for i in range(count):
        double_pointer(y + i * y_step)[0] = np.float64(float_pointer(a + i * a_step)[0])


@device
def _to_integer_row(source, a, a_step, y, y_step, count):
    for i in range(count):
        word_pointer(y + i * y_step)[0] = load_integer(a + i * a_step, source)


@device
def _to_unsigned_row(source, a, a_step, y, y_step, count):
    for i in range(count):
        value = load_float(a + i * a_step, source)
        if value >= 9223372036854775808.0 and value < 18446744073709551616.0:
            word_pointer(y + i * y_step)[0] = np.int64(np.uint64(value))
        else:
            word_pointer(y + i * y_step)[0] = load_integer(a + i * a_step, source)


@device
def _from_unsigned_row(target, a, a_step, y, y_step, count):
    if target == _FLOAT32:
        for i in range(count):
            float_pointer(y + i * y_step)[0] = np.float32(np.uint64(word_pointer(a + i * a_step)[0]))
    else:
        for i in range(count):
            double_pointer(y + i * y_step)[0] = np.float64(np.uint64(word_pointer(a + i * a_step)[0]))


@device
def _to_float_row(source, a, a_step, y, y_step, count):
    if source == _INT64:  # at once: by way of float64 it would be rounded twice
        for i in range(count):
            float_pointer(y + i * y_step)[0] = np.float32(word_pointer(a + i * a_step)[0])
    else:
        for i in range(count):
            float_pointer(y + i * y_step)[0] = np.float32(load_float(a + i * a_step, source))


@device
def _to_double_row(a, a_step, y, y_step, count):
    for i in range(count):
        double_pointer(y + i * y_step)[0] = np.float64(word_pointer(a + i * a_step)[0])


@device
def _convert_row(unsigned, first, second, operands, a, a_step, b, b_step, c, c_step, y, y_step, count):
    """A loop for each pair: with the choice of types inside, LLVM 20 unrolls one that loses its first store."""
    source, target = element_type(operands, _CONVERT_X), element_type(operands, _CONVERT_Y)
    if unsigned == 1 and source == _INT64 and target != _INT64:
        _from_unsigned_row(target, a, a_step, y, y_step, count)
    elif unsigned == 1 and source != _INT64 and target == _INT64:
        _to_unsigned_row(source, a, a_step, y, y_step, count)
    elif target == _INT64:
        _to_integer_row(source, a, a_step, y, y_step, count)
    elif target == _FLOAT32:
        _to_float_row(source, a, a_step, y, y_step, count)
    elif source == _FLOAT32:
        _widen_row(a, a_step, y, y_step, count)
    elif source == _INT64:
        _to_double_row(a, a_step, y, y_step, count)
    else:
        _copy_row(unsigned, first, second, operands, a, a_step, b, b_step, c, c_step, y, y_step, count)


@native
def convert(operands, context):
    """y = x in another carrier [LOOP_RANK axes], any strides; floats are cut off towards zero for int64 and uint64."""
    unsigned = operands[_CONVERT_UNSIGNED]
    over_wide_rows(_convert_row, unsigned, 0, 0, operands, context, _CONVERT_X, _CONVERT_X, _CONVERT_X, _CONVERT_Y)


@device
def _integer_row(operator, first, second, operands, a, a_step, b, b_step, c, c_step, y, y_step, count):
    target = element_type(operands, _INTEGER_Y)
    up = 64 - operands[_INTEGER_BITS]
    for i in range(count):
        word = word_pointer(a + i * a_step)[0] << up
        if operands[_INTEGER_SIGNED] == 1 or up == 0:
            store_integer(y + i * y_step, target, word >> up)
        else:
            store_integer(y + i * y_step, target, np.int64(np.uint64(word) >> np.uint64(up)))


@native
def narrow_integer(operands, context):
    """y = the low bits of an int64 x as an integer of that many bits [LOOP_RANK axes], any strides."""
    over_wide_rows(_integer_row, 0, 0, 0, operands, context, _INTEGER_X, _INTEGER_X, _INTEGER_X, _INTEGER_Y)


@device
def _round(value, fraction_bits, smallest_exponent):
    """A finite value rounded, halves to even, to a float with so many fraction bits."""
    exponent = ((double_bits(value) >> 52) & 0x7FF) - _DOUBLE_BIAS
    quantum = bits_to_float((max(exponent, smallest_exponent) - fraction_bits + _DOUBLE_BIAS) << 52)
    return np.rint(value / quantum) * quantum


@device
def _float_row(operator, largest, second, operands, a, a_step, b, b_step, c, c_step, y, y_step, count):
    source = element_type(operands, _FLOAT_X)
    limit = np.inf
    if operator == _SATURATE:
        limit = largest
    elif operator == _NAN:
        limit = np.nan
    for i in range(count):
        value = load_float(a + i * a_step, source)
        if math.isfinite(value):
            value = _round(value, operands[_FLOAT_FRACTION], operands[_FLOAT_EXPONENT])
        if abs(value) > largest:
            value = math.copysign(limit, value)
        float_pointer(y + i * y_step)[0] = np.float32(value)


@native
def narrow_float(operands, context):
    """y = x rounded to a float of fewer bits, kept in float32 [LOOP_RANK axes], any strides."""
    largest = bits_to_float(operands[_FLOAT_LARGEST])
    over_wide_rows(
        _float_row, operands[_FLOAT_OVERFLOW], largest, 0, operands, context, _FLOAT_X, _FLOAT_X, _FLOAT_X, _FLOAT_Y
    )
