"""Native `conv_short`: convolution of short rows, a step of a stream, straight from x, vectors along the width.

Where `conv_wide` first copies padded rows, this kernel masks what lies outside the image at each tap: right for a few
hundred outputs a channel, where a copy costs as much as the arithmetic.

Bound by arithmetic, or by its call below about 10 thousand multiply-adds.

    x     [batch, channels, height, width]  contiguous rows; stride 1 or 2 along the width
    y     [batch, output channels, height, width]  any strides (fastest with contiguous rows)
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..contract import PANEL, Context
from ..opcodes import Activation
from ..packing import CHANNEL_BLOCK
from ..schemas.activation import ACTIVATION
from ..schemas.convolution import CONV_SHORT
from .activation import activate_rows, fill_starts, floor_of, is_stored, write_rows
from .memory import bits_to_float, locate
from .native import device, native
from .short_tiles import SHORT_COLUMNS, SHORT_ROWS, short_columns, short_columns_by_2
from .taps import inside, quotient
from .tile_code import ROW_STEP, tile_columns
from .vectors import stack_floats

_LANES = int(Context.LANES)
_P = CONV_SHORT.positions()
_X, _WEIGHTS, _BIAS, _Y = _P["x"], _P["weights"], _P["bias"], _P["y"]
_GROUPS, _PAD_TOP, _PAD_LEFT = _P["groups"], _P["pad_top"], _P["pad_left"]
_KERNEL_HEIGHT, _KERNEL_WIDTH = _P["kernel_height"], _P["kernel_width"]
_STRIDE_HEIGHT, _STRIDE_WIDTH = _P["stride_height"], _P["stride_width"]
_DILATION_HEIGHT, _DILATION_WIDTH = _P["dilation_height"], _P["dilation_width"]
_CODE, _ALPHA, _BETA, _SLOPE = (_P[field.name] for field in ACTIVATION)
_X_CHANNEL, _X_ROW = _X + 6, _X + 7
_Y_CHANNEL, _Y_ROW, _Y_COLUMN = _Y + 6, _Y + 7, _Y + 8
_BLOCK_FLOATS = SHORT_ROWS * SHORT_COLUMNS
_PRELU = int(Activation.PRELU)


class Group(NamedTuple):
    """One group of channels of one image; `bias` and `slopes` are addresses, `..._step` 1 or, for one number, 0."""

    inputs: int
    outputs: int
    x: int
    weights: int
    bias: int
    bias_step: int
    leaks: int
    leak_step: int


@device
def _columns(o, group, line, first, end, left, columns, y):
    """All output channels of `columns` neighbours from column `left` on; rows first .. end - 1 lie inside x."""
    block = stack_floats(_BLOCK_FLOATS)
    alpha, beta = np.float32(bits_to_float(o[_ALPHA])), np.float32(bits_to_float(o[_BETA]))
    taps, kernel = o[_KERNEL_WIDTH], o[_KERNEL_HEIGHT] * o[_KERNEL_WIDTH]
    start, stride = left * o[_STRIDE_WIDTH] - o[_PAD_LEFT], o[_STRIDE_WIDTH]
    direct = o[_Y_COLUMN] == 1
    step = group.outputs if direct else SHORT_ROWS  # as many as the block holds
    wide = columns
    for c in range(0, group.outputs, step):
        within = c % CHANNEL_BLOCK
        # Blocks lie end to end; within one, the taps of the rows above the image are left out.
        skipped = ((c - within) * kernel + first * taps * CHANNEL_BLOCK) * group.inputs + within
        target, channels = y + 4 * c * o[_Y_CHANNEL], min(step, group.outputs - c)
        arguments = (
            line,
            o[_X_CHANNEL],
            o[_DILATION_HEIGHT] * o[_X_ROW],
            group.inputs,
            end - first,
            taps,
            o[_DILATION_WIDTH],
            start,
            o[_X + 4],
            group.weights + 4 * skipped,
            CHANNEL_BLOCK * kernel * group.inputs,
            target if direct else block,
            o[_Y_CHANNEL] if direct else SHORT_COLUMNS,
            channels,
            columns,
            group.bias + 4 * c * group.bias_step,
            group.bias_step,
            group.leaks + 4 * c * group.leak_step,
            group.leak_step,
            floor_of(o[_CODE]),
        )
        done = short_columns(*arguments) if stride == 1 else short_columns_by_2(*arguments)
        wide = min(columns, done % ROW_STEP * PANEL)
        if not direct:
            write_rows(block, SHORT_COLUMNS, channels, wide, o[_CODE], alpha, beta, target, o[_Y_CHANNEL], o[_Y_COLUMN])
    return wide


@device
def _rows(o, group, y):
    """One group of one image, row by row; an activation goes over all channels of a row at once."""
    width, code = o[_Y + 4], o[_CODE]
    alpha, beta = np.float32(bits_to_float(o[_ALPHA])), np.float32(bits_to_float(o[_BETA]))
    for top in range(o[_Y + 3]):
        row = top * o[_STRIDE_HEIGHT] - o[_PAD_TOP]
        first, end = inside(row, o[_DILATION_HEIGHT], o[_KERNEL_HEIGHT], o[_X + 3])
        line = group.x + 4 * (row + first * o[_DILATION_HEIGHT]) * o[_X_ROW]
        left = 0
        while left < width:
            columns = tile_columns(width - left, SHORT_COLUMNS)
            at = y + 4 * (top * o[_Y_ROW] + left * o[_Y_COLUMN])
            left += _columns(o, group, line, first, end, left, columns, at)
        if o[_Y_COLUMN] == 1 and not is_stored(code):
            activate_rows(y + 4 * top * o[_Y_ROW], group.outputs, 4 * o[_Y_CHANNEL], width, code, alpha, beta)


@native
def conv_short(operands, context):
    """y = activation(conv(x, weights) + bias)."""
    o = operands
    zeros, same_leaks = stack_floats(PANEL), stack_floats(PANEL)
    fill_starts(zeros, same_leaks, 1, o[_CODE], np.float32(bits_to_float(o[_ALPHA])))
    inputs, outputs = quotient(o[_X + 2], o[_GROUPS]), quotient(o[_Y + 2], o[_GROUPS])
    kernel = o[_KERNEL_HEIGHT] * o[_KERNEL_WIDTH]
    group_weights = -(-outputs // CHANNEL_BLOCK) * CHANNEL_BLOCK * kernel * inputs
    weights = locate(o, _WEIGHTS, context, 0)
    bias, bias_step = (locate(o, _BIAS, context, 0), 1) if o[_BIAS] >= 0 else (zeros, 0)
    leaks, leak_step = (locate(o, _SLOPE, context, 0), 1) if o[_CODE] == _PRELU else (same_leaks, 0)
    for lane in range(context[_LANES]):
        x_base, y_base = locate(o, _X, context, lane), locate(o, _Y, context, lane)
        for n in range(o[_X + 1]):
            for g in range(o[_GROUPS]):
                group = Group(
                    inputs,
                    outputs,
                    x_base + 4 * (n * o[_X + 5] + g * inputs * o[_X_CHANNEL]),
                    weights + 4 * g * group_weights,
                    bias + 4 * g * outputs * bias_step,
                    bias_step,
                    leaks + 4 * g * outputs * leak_step,
                    leak_step,
                )
                _rows(o, group, y_base + 4 * (n * o[_Y + 5] + g * outputs * o[_Y_CHANNEL]))
