"""Native `conv_depthwise`: one input channel a group, vectors along the output's width.

Bound by memory.

    x     [batch, channels, height, width]  any strides (fastest with contiguous rows)
    y     [batch, output channels, height, width]  any strides (fastest with contiguous rows)

Output channel c reads input channel c // (output channels / channels).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..contract import PANEL, Context
from ..opcodes import Activation
from ..schemas.activation import ACTIVATION
from ..schemas.convolution import CONV_DEPTHWISE
from .activation import floor_of, is_stored, leak_of, write_rows
from .depthwise_rows import LARGEST_PLANE, LARGEST_WINDOW, depthwise_rows_tile
from .depthwise_tiles import TILE_VECTORS, depthwise_tile, depthwise_tile_by_2
from .memory import bits_to_float, float_pointer, locate
from .native import device, native
from .taps import inside, quotient
from .tile_code import ROW_STEP
from .vectors import (
    at_least,
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
_SMALL_IMAGE = 2048
"""Elements of a channel up to which the rows of all channels are worked on together."""


class Channel(NamedTuple):
    """What belongs to a channel: addresses, and steps in float32 elements to the next channel."""

    weights: int
    window: int
    """Weights of a channel."""
    bias: int
    bias_step: int
    leak: int
    leak_step: int


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
def _output_row(o, line, rows, at, channels, floor, y):
    """One output row of some channels; `line` and `at.weights` belong to the first of the window's rows inside x."""
    width, code = o[_Y + 4], o[_CODE]
    alpha, beta = np.float32(bits_to_float(o[_ALPHA])), np.float32(bits_to_float(o[_BETA]))
    block = stack_floats(_BLOCK_FLOATS)
    stride, direct = o[_STRIDE_WIDTH], o[_Y + 8] == 1 and is_stored(code)
    tiled = o[_X + 8] == 1 and stride <= 2
    left = 0
    while left < width:
        start = left * stride - o[_PAD_LEFT]
        target, valid, done = y + 4 * left * o[_Y + 8], min(_BLOCK_FLOATS, width - left), PANEL
        if tiled:
            arguments = (
                channels,
                line,
                o[_X + 6],
                o[_DILATION_HEIGHT] * o[_X + 7],
                rows,
                o[_KERNEL_WIDTH],
                o[_DILATION_WIDTH],
                start,
                o[_X + 4],
                at.weights,
                at.window,
                o[_KERNEL_WIDTH],
                target if direct else block,
                o[_Y + 6],
                valid,
                at.bias,
                at.bias_step,
                at.leak,
                at.leak_step,
                floor,
            )
            done = depthwise_tile(*arguments) if stride == 1 else depthwise_tile_by_2(*arguments)
            done = done % ROW_STEP * PANEL
        else:
            sums = _strided_columns(o, line, rows, start, at.weights, float_pointer(at.bias)[0])
            sums = at_least(splat(floor), leaky(sums, splat(float_pointer(at.leak)[0])))
            store_first(float_pointer(target if direct else block), sums, valid)
        if not direct:
            write_rows(block, _BLOCK_FLOATS, 1, min(valid, done), code, alpha, beta, target, 0, o[_Y + 8])
        left += done


@device
def _channels(o, x, at, channels, y):
    """Some neighbouring output channels of one image, row by row."""
    floor = floor_of(o[_CODE])
    for top in range(o[_Y + 3]):
        row = top * o[_STRIDE_HEIGHT] - o[_PAD_TOP]
        first, end = inside(row, o[_DILATION_HEIGHT], o[_KERNEL_HEIGHT], o[_X + 3])
        line = x + 4 * (row + first * o[_DILATION_HEIGHT]) * o[_X + 7]
        skipped = 4 * first * o[_KERNEL_WIDTH]
        shifted = Channel(at.weights + skipped, at.window, at.bias, at.bias_step, at.leak, at.leak_step)
        _output_row(o, line, end - first, shifted, channels, floor, y + 4 * top * o[_Y + 7])


@device
def _runs_on(o):
    """Whether vectors that run on over the ends of rows are fewer: rows lie end to end in x and in y, equally wide."""
    height, width, taps = o[_Y + 3], o[_Y + 4], o[_KERNEL_HEIGHT] * o[_KERNEL_WIDTH]
    by_row, run_on = height * -(-width // PANEL), -(-height * width // PANEL)
    alike = o[_X + 4] == width and o[_STRIDE_HEIGHT] == 1 and o[_STRIDE_WIDTH] == 1
    gapless = (o[_X + 7] == width or o[_X + 3] == 1) and o[_Y + 7] == width and o[_X + 8] == 1 and o[_Y + 8] == 1
    return alike and gapless and taps <= LARGEST_WINDOW and height * width <= LARGEST_PLANE and run_on < by_row


@device
def _one_long_row(o, x, at, channels, y):
    """Some neighbouring output channels of one image whose rows lie end to end."""
    first, outputs, floor = 0, o[_Y + 3] * o[_Y + 4], floor_of(o[_CODE])
    while first < outputs:
        done = depthwise_rows_tile(
            channels,
            x,
            o[_X + 6],
            o[_X + 3],
            o[_X + 4],
            o[_KERNEL_HEIGHT],
            o[_KERNEL_WIDTH],
            o[_DILATION_HEIGHT],
            o[_DILATION_WIDTH],
            o[_PAD_TOP],
            o[_PAD_LEFT],
            at.weights,
            y,
            o[_Y + 6],
            first,
            outputs - first,
            at.bias,
            at.bias_step,
            at.leak,
            at.leak_step,
            floor,
        )
        first += done % ROW_STEP * PANEL


@native
def conv_depthwise(operands, context):
    """y = activation(conv(x, weights) + bias), one input channel a group."""
    o = operands
    zero, same_leak = stack_floats(1), stack_floats(1)
    float_pointer(zero)[0] = _ZERO
    float_pointer(same_leak)[0] = leak_of(o[_CODE], np.float32(bits_to_float(o[_ALPHA])))
    weights = locate(o, _WEIGHTS, context, 0)
    bias, bias_step = (locate(o, _BIAS, context, 0), 1) if o[_BIAS] >= 0 else (zero, 0)
    leak, leak_step = (locate(o, _SLOPE, context, 0), 1) if o[_CODE] == _PRELU else (same_leak, 0)
    multiplier = quotient(o[_Y + 2], o[_X + 2])
    window = o[_KERNEL_HEIGHT] * o[_KERNEL_WIDTH]
    # Short rows of all channels at once, so that little is done but multiply-adds; large images channel by channel,
    # whose rows stay in the first-level cache from one output row to the next.
    small = o[_X + 3] * o[_X + 4] <= _SMALL_IMAGE and o[_X + 8] == 1 and o[_STRIDE_WIDTH] <= 2
    together = small and multiplier == 1 and o[_Y + 8] == 1 and is_stored(o[_CODE])
    one_row = multiplier == 1 and is_stored(o[_CODE]) and _runs_on(o)
    for lane in range(context[_LANES]):
        x_base, y_base = locate(o, _X, context, lane), locate(o, _Y, context, lane)
        for n in range(o[_X + 1]):
            x, y = x_base + 4 * n * o[_X + 5], y_base + 4 * n * o[_Y + 5]
            if one_row or together:
                at = Channel(weights, window, bias, bias_step, leak, leak_step)
                if one_row:
                    _one_long_row(o, x, at, o[_Y + 2], y)
                else:
                    _channels(o, x, at, o[_Y + 2], y)
                continue
            for g in range(o[_X + 2]):
                for c in range(g * multiplier, (g + 1) * multiplier):
                    at = Channel(
                        weights + 4 * c * window,
                        window,
                        bias + 4 * c * bias_step,
                        bias_step,
                        leak + 4 * c * leak_step,
                        leak_step,
                    )
                    _channels(o, x + 4 * g * o[_X + 6], at, 1, y + 4 * c * o[_Y + 6])
