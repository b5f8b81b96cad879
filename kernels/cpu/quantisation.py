"""Native quantisation, element by element, with broadcast through zero strides.

Bound by memory.

Rows with one scale (per tensor, per channel before the last axis) run as vectors. Divisions
are true ones, never products with a reciprocal (fastmath=False; without it Numba hands a caller's flags on): at a tie
the last bit decides where a number is rounded to.

Source: ONNX QuantizeLinear and DequantizeLinear.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from ..schemas.quantisation import DEQUANTIZE, QUANTIZE
from .loops import over_rows, read, write
from .memory import bits_to_float
from .native import device, native

_Q = QUANTIZE.positions()
_QX, _Q_SCALE, _Q_ZERO, _QY, _LOW, _HIGH = (_Q[n] for n in ("x", "scale", "zero_point", "y", "low", "high"))
_RESTORED = _Q["restored"]
_D = DEQUANTIZE.positions()
_DX, _D_SCALE, _D_ZERO, _DY = (_D[n] for n in ("x", "scale", "zero_point", "y"))


@njit(inline="always")
def _limited(value, low, high):
    """value within [low, high]; NaN becomes low."""
    value = value if value > low else low
    return value if value < high else high


@njit(fastmath=False, error_model="numpy")
def _quantize_row(restored, low, high, x, x_step, scale, scale_step, zero, zero_step, y, y_step, count):
    least, most = np.float32(low), np.float32(high)
    if x_step == 1 and y_step == 1 and scale_step == 0 and zero_step == 0:
        divisor, offset = scale[0], zero[0]
        if restored:
            for i in range(count):
                write(y, i, (_limited(np.rint(read(x, i) / divisor) + offset, least, most) - offset) * divisor)
        else:
            for i in range(count):
                write(y, i, _limited(np.rint(read(x, i) / divisor) + offset, least, most))
    else:
        for i in range(count):
            divisor, offset = scale[i * scale_step], zero[i * zero_step]
            whole = _limited(np.rint(x[i * x_step] / divisor) + offset, least, most)
            y[i * y_step] = (whole - offset) * divisor if restored else whole


@native
def quantize(operands, context):
    """y = round(x / scale) + zero_point within [low, high] [LOOP_RANK axes], or what it stands for; any strides."""
    low, high = bits_to_float(operands[_LOW]), bits_to_float(operands[_HIGH])
    over_rows(_quantize_row, operands[_RESTORED], low, high, operands, context, _QX, _Q_SCALE, _Q_ZERO, _QY)


@device
def _dequantize_row(operator, first, second, x, x_step, scale, scale_step, zero, zero_step, y, y_step, count):
    if x_step == 1 and y_step == 1 and scale_step == 0 and zero_step == 0:
        factor, offset = scale[0], zero[0]
        for i in range(count):
            write(y, i, (read(x, i) - offset) * factor)
    elif x_step == 1 and y_step == 1 and scale_step == 1 and zero_step == 1:
        for i in range(count):
            write(y, i, (read(x, i) - read(zero, i)) * read(scale, i))
    else:
        for i in range(count):
            y[i * y_step] = (x[i * x_step] - zero[i * zero_step]) * scale[i * scale_step]


@native
def dequantize(operands, context):
    """y = (x - zero_point) scale [LOOP_RANK axes], any strides."""
    over_rows(_dequantize_row, 0, 0.0, 0.0, operands, context, _DX, _D_SCALE, _D_ZERO, _DY)
