"""Native `conv_depthwise`: one input channel a group, vectors along the output's width. Bound by memory.

    x     [batch, channels, height, width]  any strides (fastest with contiguous rows)
    y     [batch, output channels, height, width]  any strides (fastest with contiguous rows)

Output channel c reads input channel c // (output channels / channels).
"""

from __future__ import annotations

import numpy as np

from ..contract import PANEL, Context
from ..opcodes import Activation
from ..schemas.activation import ACTIVATION
from ..schemas.convolution import CONV_DEPTHWISE
from .activation import activate, floor_of, is_stored, leak_of
from .depthwise_tiles import TILE_VECTORS, depthwise_tile
from .memory import bits_to_float, float_pointer, locate
from .native import native
from .taps import inside, quotient
from .vectors import (
    at_least,
    device,
    leaky,
    multiply_add,
    splat,
    stack_floats,
    store_first,
    strided_window,
)

_LANES = int(Context.LANES)
_P = CONV_DEPTHWISE.positions()
_X, _WEIGHTS, _BIAS, _Y = _P["x"], _P["weights"], _P["bias"], _P["y"]
_PAD_TOP, _PAD_LEFT = _P["pad_top"], _P["pad_left"]
_KERNEL_HEIGHT, _KERNEL_WIDTH = _P["kernel_height"], _P["kernel_width"]
_STRIDE_HEIGHT, _STRIDE_WIDTH = _P["stride_height"], _P["stride_width"]
_DILATION_HEIGHT, _DILATION_WIDTH = _P["dilation_height"], _P["dilation_width"]
_CODE, _ALPHA, _BETA, _SLOPE = (_P[field.name] for field in ACTIVATION)
_ZERO = np.float32(0)
_PRELU = int(Activation.PRELU)
_BLOCK_FLOATS = TILE_VECTORS * PANEL


@device
def _strided_columns(o, line, rows, start, weights, bias):
    """PANEL outputs of any strides, from column `start` of x on; `line` is the first row inside x."""
    sums, w = splat(bias), float_pointer(weights)
    for j in range(o[_KERNEL_WIDTH]):
        for i in range(rows):
            row = float_pointer(line + 4 * i * o[_DILATION_HEIGHT] * o[_X + 7])
            column = start + j * o[_DILATION_WIDTH]
            values = strided_window(row, column, o[_STRIDE_WIDTH], o[_X + 4], o[_X + 8], _ZERO)
            sums = multiply_add(splat(w[i * o[_KERNEL_WIDTH] + j]), values, sums)
    return sums


@device
def _output_row(o, line, rows, weights, bias, leak, y):
    """One output row of one channel; `line` and `weights` belong to the first of the window's rows inside x."""
    width, code, floor = o[_Y + 4], o[_CODE], floor_of(o[_CODE])
    alpha, beta = np.float32(bits_to_float(o[_ALPHA])), np.float32(bits_to_float(o[_BETA]))
    block = stack_floats(_BLOCK_FLOATS)
    plain, direct = o[_X + 8] == 1 and o[_STRIDE_WIDTH] == 1, o[_Y + 8] == 1 and is_stored(code)
    left = 0
    while left < width:
        start = left * o[_STRIDE_WIDTH] - o[_PAD_LEFT]
        target, valid, done = y + 4 * left * o[_Y + 8], min(_BLOCK_FLOATS, width - left), PANEL
        if plain:
            done = depthwise_tile(
                line,
                o[_DILATION_HEIGHT] * o[_X + 7],
                rows,
                o[_KERNEL_WIDTH],
                o[_DILATION_WIDTH],
                start,
                o[_X + 4],
                weights,
                o[_KERNEL_WIDTH],
                target if direct else block,
                valid,
                bias,
                leak,
                floor,
            )
        else:
            sums = _strided_columns(o, line, rows, start, weights, bias)
            sums = at_least(splat(floor), leaky(sums, splat(leak)))
            store_first(float_pointer(target if direct else block), sums, valid)
        if not direct:
            columns = min(valid, done)
            if not is_stored(code):
                activate(block, -(-columns // PANEL), code, alpha, beta)
            values, written = float_pointer(block), float_pointer(target)
            for i in range(columns):
                written[i * o[_Y + 8]] = values[i]
        left += done


@device
def _channel(o, x, weights, bias, leak, y):
    """One output channel of one image."""
    for top in range(o[_Y + 3]):
        row = top * o[_STRIDE_HEIGHT] - o[_PAD_TOP]
        first, end = inside(row, o[_DILATION_HEIGHT], o[_KERNEL_HEIGHT], o[_X + 3])
        line = x + 4 * (row + first * o[_DILATION_HEIGHT]) * o[_X + 7]
        w = weights + 4 * first * o[_KERNEL_WIDTH]
        _output_row(o, line, end - first, w, bias, leak, y + 4 * top * o[_Y + 7])


@native
def conv_depthwise(operands, context):
    """y = activation(conv(x, weights) + bias), one input channel a group."""
    o = operands
    weights = locate(o, _WEIGHTS, context, 0)
    bias = locate(o, _BIAS, context, 0) if o[_BIAS] >= 0 else 0
    slopes = locate(o, _SLOPE, context, 0) if o[_SLOPE] >= 0 else 0
    same_leak = leak_of(o[_CODE], np.float32(bits_to_float(o[_ALPHA])))
    multiplier = quotient(o[_Y + 2], o[_X + 2])
    window = o[_KERNEL_HEIGHT] * o[_KERNEL_WIDTH]
    for lane in range(context[_LANES]):
        x_base, y_base = locate(o, _X, context, lane), locate(o, _Y, context, lane)
        for n in range(o[_X + 1]):
            for g in range(o[_X + 2]):
                for c in range(g * multiplier, (g + 1) * multiplier):
                    _channel(
                        o,
                        x_base + 4 * (n * o[_X + 5] + g * o[_X + 6]),
                        weights + 4 * c * window,
                        float_pointer(bias)[c] if bias != 0 else _ZERO,
                        float_pointer(slopes)[c] if o[_CODE] == _PRELU else same_leak,
                        y_base + 4 * (n * o[_Y + 5] + c * o[_Y + 6]),
                    )
