"""Native bits: float32 as integers and back, one element at a time.

Bound by the loop around the elements.
"""

from __future__ import annotations

import numpy as np

from ..contract import ElementType
from ..schemas.bits import BITS
from .general_loops import over_wide_rows
from .memory import element_type, int32_pointer, word_pointer
from .native import device, native

_X, _Y = BITS.positions()["x"], BITS.positions()["y"]
_FLOAT32 = int(ElementType.FLOAT32)


@device
def _read_row(a, a_step, y, y_step, count):
    for i in range(count):
        word_pointer(y + i * y_step)[0] = np.int64(int32_pointer(a + i * a_step)[0])


@device
def _write_row(a, a_step, y, y_step, count):
    for i in range(count):
        int32_pointer(y + i * y_step)[0] = np.int32(word_pointer(a + i * a_step)[0])


@device
def _bits_row(operator, first, second, operands, a, a_step, b, b_step, c, c_step, y, y_step, count):
    if element_type(operands, _X) == _FLOAT32:
        _read_row(a, a_step, y, y_step, count)
    else:
        _write_row(a, a_step, y, y_step, count)


@native
def bits(operands, context):
    """y = the 32 bits of a float32 x, or the float32 of an int64 x's low 32 bits [LOOP_RANK axes], any strides."""
    over_wide_rows(_bits_row, 0, 0, 0, operands, context, _X, _X, _X, _Y)
