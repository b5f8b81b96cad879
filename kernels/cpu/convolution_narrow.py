"""Native `conv_narrow`: convolution with vectors along the output channels, for the few steps that a stream adds.

The inner loops are those of `dense`: rows are neighbouring outputs along the width (along the height where the width
is 1). A convolution of a single output shares one pass over its weights among all lanes. Where windows reach over the
edge, x is first copied to scratch with its padding.

Bound by reading the weights when there are few outputs, by arithmetic otherwise.

    x     [batch, channels, height, width]  any strides
    y     [batch, output channels, height, width]  any strides
"""

from __future__ import annotations

import numpy as np
from numba import njit

from .. import windows
from ..contract import PANEL, Context, Space
from ..schemas.activation import ACTIVATION
from ..schemas.convolution import CONV_NARROW
from .column_product import Finish, Rows, column_product
from .memory import bits_to_float, float_pointer, locate, locate_constant, space_of, word_pointer
from .native import device, native
from .taps import quotient
from .vectors import load_window, store

_LANES, _ARENA_STRIDE = int(Context.LANES), int(Context.ARENA_STRIDE)
_ARENA = int(Space.ARENA)
_P = CONV_NARROW.positions()
_X, _WEIGHTS, _BIAS, _Y, _SCRATCH = _P["x"], _P["weights"], _P["bias"], _P["y"], _P["scratch"]
_GROUPS, _PAD_TOP, _PAD_LEFT = _P["groups"], _P["pad_top"], _P["pad_left"]
_KERNEL_HEIGHT, _KERNEL_WIDTH = _P["kernel_height"], _P["kernel_width"]
_STRIDE_HEIGHT, _STRIDE_WIDTH = _P["stride_height"], _P["stride_width"]
_DILATION_HEIGHT, _DILATION_WIDTH = _P["dilation_height"], _P["dilation_width"]
_CODE, _ALPHA, _BETA, _SLOPE = (_P[field.name] for field in ACTIVATION)
_ZERO = np.float32(0)

_needs_padding = njit(inline="always")(windows.needs_padding)
_window_span = njit(inline="always")(windows.window_span)
_whole_vectors = njit(inline="always")(windows.whole_vectors)
_tap_floats = njit(inline="always")(windows.tap_floats)


@device
def _pad(o, x, target, height, width):
    """Copy one image [channels, height, width] with zeros around it to `target`; width is in whole vectors."""
    x_height, x_width, column_step = o[_X + 3], o[_X + 4], o[_X + 8]
    for c in range(o[_X + 2]):
        for h in range(height):
            row = h - o[_PAD_TOP]
            line = target + 4 * (c * height + h) * width
            # Outside the image every column is.
            limit = x_width if 0 <= row < x_height else 0
            source = float_pointer(x + 4 * (c * o[_X + 6] + row * o[_X + 7]))
            if column_step == 1:
                for v in range(0, width, PANEL):
                    store(float_pointer(line + 4 * v), load_window(source, v - o[_PAD_LEFT], limit, _ZERO))
            else:
                written = float_pointer(line)
                for i in range(width):
                    column = i - o[_PAD_LEFT]
                    written[i] = source[column * column_step] if 0 <= column < limit else 0.0


@device
def _image(o, channel_step, row_step, column_step, x, weights, bias, slopes, y, offsets, together, lane_step):
    """All groups of one image, line by line: each is a product of its outputs with the weights.

    Args:
        channel_step, row_step, column_step: of x, or of its padded copy; x is the address of the first tap.
        offsets: address of the taps' offsets.
        together, lane_step: of a single output: how many lanes to compute, and the elements from one to the next.
    """
    inputs, outputs = quotient(o[_X + 2], o[_GROUPS]), quotient(o[_Y + 2], o[_GROUPS])
    taps = o[_KERNEL_HEIGHT] * o[_KERNEL_WIDTH]
    lines, rows, y_line, y_row = o[_Y + 3], o[_Y + 4], o[_Y + 7], o[_Y + 8]
    x_line, x_row = row_step * o[_STRIDE_HEIGHT], column_step * o[_STRIDE_WIDTH]
    if lines * rows == 1:
        rows, x_row, y_row = together, lane_step, lane_step
    elif rows == 1:
        lines, rows, x_row, y_row = 1, lines, x_line, y_line
    source = Rows(x_row, inputs, channel_step, taps, offsets)
    alpha, beta = bits_to_float(o[_ALPHA]), bits_to_float(o[_BETA])
    for g in range(o[_GROUPS]):
        first = g * outputs
        finish = Finish(bias + 4 * first if bias != 0 else 0, o[_CODE], alpha, beta, slopes + 4 * first)
        for i in range(lines):
            column_product(
                source,
                rows,
                outputs,
                x + 4 * (g * inputs * channel_step + i * x_line),
                weights + 4 * g * _whole_vectors(outputs) * inputs * taps,
                finish,
                y + 4 * (first * o[_Y + 6] + i * y_line),
                y_row,
                o[_Y + 6],
            )


@device
def _list_taps(o, row_step, column_step, offsets):
    """Write the offset of each tap of a window."""
    offset = word_pointer(offsets)
    for i in range(o[_KERNEL_HEIGHT]):
        for j in range(o[_KERNEL_WIDTH]):
            offset[i * o[_KERNEL_WIDTH] + j] = i * o[_DILATION_HEIGHT] * row_step + j * o[_DILATION_WIDTH] * column_step


@native
def conv_narrow(operands, context):
    """y = activation(conv(x, weights) + bias)."""
    o = operands
    weights = locate_constant(o, _WEIGHTS, context)
    bias = locate_constant(o, _BIAS, context)
    slopes = locate_constant(o, _SLOPE, context)
    padded = _needs_padding(
        o[_X + 3], o[_Y + 3], o[_KERNEL_HEIGHT], o[_STRIDE_HEIGHT], o[_DILATION_HEIGHT], o[_PAD_TOP]
    ) or _needs_padding(o[_X + 4], o[_Y + 4], o[_KERNEL_WIDTH], o[_STRIDE_WIDTH], o[_DILATION_WIDTH], o[_PAD_LEFT])
    height = _window_span(o[_Y + 3], o[_KERNEL_HEIGHT], o[_STRIDE_HEIGHT], o[_DILATION_HEIGHT])
    width = _whole_vectors(_window_span(o[_Y + 4], o[_KERNEL_WIDTH], o[_STRIDE_WIDTH], o[_DILATION_WIDTH]))
    channel_step, row_step, column_step = o[_X + 6], o[_X + 7], o[_X + 8]
    if padded:
        channel_step, row_step, column_step = height * width, width, 1
    offsets = locate(o, _SCRATCH, context, 0)
    _list_taps(o, row_step, column_step, offsets)
    copy = 4 * _tap_floats(o[_KERNEL_HEIGHT] * o[_KERNEL_WIDTH])
    lanes, lane_step = context[_LANES], context[_ARENA_STRIDE] // 4
    passes, together = lanes, 1
    if space_of(o, _X) == _ARENA and space_of(o, _Y) == _ARENA and o[_X + 1] * o[_Y + 3] * o[_Y + 4] == 1:
        passes, together = 1, lanes  # the lanes are the rows of one product
    for lane in range(passes):
        for n in range(o[_X + 1]):
            x = locate(o, _X, context, lane) + 4 * n * o[_X + 5]
            y = locate(o, _Y, context, lane) + 4 * n * o[_Y + 5]
            if padded:
                for other in range(lane, lane + together):
                    image = locate(o, _X, context, other) + 4 * n * o[_X + 5]
                    _pad(o, image, locate(o, _SCRATCH, context, other) + copy, height, width)
                x = locate(o, _SCRATCH, context, lane) + copy
            _image(o, channel_step, row_step, column_step, x, weights, bias, slopes, y, offsets, together, lane_step)
