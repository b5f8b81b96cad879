"""Native `conv_wide`: convolution with vectors along the output's width, for images and long signals.

A tile of 8 output channels x 48 columns stays in registers while all taps pass by: one vector load from x for each 16
columns, one broadcast for each output channel.

Bound by arithmetic from about 16 input channels on.

Where windows reach over the edge, or columns are strided, or many output channels read the same input, the rows of
one strip of columns are first copied to scratch: padded with zeros, sorted by column phase, channels a short way
apart. The last `kernel height` rows of a strip stay there while the outputs go down, so each is copied once.

    x     [batch, channels, height, width]  any strides (fastest with contiguous rows)
    y     [batch, output channels, height, width]  any strides (fastest with contiguous rows)
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from .. import windows
from ..contract import PANEL, Context
from ..packing import CHANNEL_BLOCK
from ..schemas.activation import ACTIVATION
from ..schemas.convolution import CONV_WIDE
from .convolution_strips import (
    Buffers,
    Channels,
    channel_tiles,
    of_group,
    step_column,
    strip_layout,
    tap_floats,
)
from .memory import bits_to_float, float_pointer, locate, locate_constant, word_pointer
from .native import device, native
from .taps import inside, quotient
from .tile_code import tile_columns
from .tiles import ROW_TILES
from .vectors import evens, gather_window, load_window, odds, store

_LANES = int(Context.LANES)
_P = CONV_WIDE.positions()
_X, _WEIGHTS, _BIAS, _Y, _SCRATCH = _P["x"], _P["weights"], _P["bias"], _P["y"], _P["scratch"]
_GROUPS, _PAD_TOP, _PAD_LEFT = _P["groups"], _P["pad_top"], _P["pad_left"]
_KERNEL_HEIGHT, _KERNEL_WIDTH = _P["kernel_height"], _P["kernel_width"]
_STRIDE_HEIGHT, _STRIDE_WIDTH = _P["stride_height"], _P["stride_width"]
_DILATION_HEIGHT, _DILATION_WIDTH = _P["dilation_height"], _P["dilation_width"]
_CODE, _ALPHA, _BETA, _SLOPE = (_P[field.name] for field in ACTIVATION)
_X_CHANNEL, _X_ROW, _X_COLUMN = _X + 6, _X + 7, _X + 8
_Y_CHANNEL, _Y_ROW, _Y_COLUMN = _Y + 6, _Y + 7, _Y + 8

_channel_tiles = channel_tiles(ROW_TILES)
_COLUMNS = ROW_TILES.columns
_ZERO = np.float32(0)

_needs_padding = njit(inline="always")(windows.needs_padding)
_strip_columns = njit(inline="always")(windows.strip_columns)
_copies_strips = njit(inline="always")(windows.copies_strips)


class Image(NamedTuple):
    """One group of channels, as the tiles see it; steps in float32 elements."""

    inputs: int
    outputs: int
    x_height: int
    x_width: int
    height: int
    width: int
    """Of the output."""
    strip: int
    """Output columns of a strip."""
    direct: int
    """1: taps are read from x itself, 0: from the copy of a strip."""
    rolling: int
    """1: rows copied for one output row serve the next."""
    channel_step: int
    """Of what the taps are read from."""
    row_step: int
    """From one row, or one row of the copy, to the next."""
    phases: int
    phase_step: int
    """Sets of columns in a row of the copy, and from one to the next."""


@device
def _copy_row(o, image, row, start, target):
    """Copy one input row's columns from `start` on to `target`, zeros outside the row, sorted by phase."""
    x, stride, count = float_pointer(row), o[_STRIDE_WIDTH], image.phase_step
    if o[_X_COLUMN] == 1 and stride == 1:
        for v in range(0, count, PANEL):
            store(float_pointer(target + 4 * v), load_window(x, start + v, image.x_width, _ZERO))
    elif o[_X_COLUMN] == 1 and stride == 2:
        for v in range(0, count, PANEL):
            low = load_window(x, start + 2 * v, image.x_width, _ZERO)
            high = load_window(x, start + 2 * v + PANEL, image.x_width, _ZERO)
            store(float_pointer(target + 4 * v), evens(low, high))
            if image.phases == 2:
                store(float_pointer(target + 4 * (count + v)), odds(low, high))
    else:
        for phase in range(image.phases):
            for v in range(0, count, PANEL):
                first = start + phase + v * stride
                columns = gather_window(x, first, stride, image.x_width, o[_X_COLUMN], _ZERO)
                store(float_pointer(target + 4 * (phase * count + v)), columns)


@device
def _list_taps(o, image, offsets, row, first, end):
    """Write where the taps first .. end - 1 of each column of the kernel lie; tap 0 reads input row `row`."""
    offset = word_pointer(offsets)
    stride, dilation, taps = o[_STRIDE_WIDTH], o[_DILATION_WIDTH], o[_KERNEL_WIDTH]
    slot, step, slots = row + first * o[_DILATION_HEIGHT], o[_DILATION_HEIGHT], image.x_height
    if not image.direct:
        slots = o[_KERNEL_HEIGHT]
        slot, step = slot % slots if image.rolling else first, 1
    tap = 0
    for _ in range(first, end):
        column, phase = slot * image.row_step, 0
        for _ in range(taps):
            offset[tap] = column + phase * image.phase_step
            tap += 1
            column, phase = step_column(column, phase, stride, dilation)
        slot += step
        if slot >= slots:
            slot -= slots


@device
def _fill_strip(o, image, channels, buffers, row, first, end, ready, start):
    """Copy the input rows that the taps first .. end - 1 read and that are not there yet."""
    for i in range(first, end):
        line = row + i * o[_DILATION_HEIGHT]
        slot = i
        if image.rolling:
            if line < ready:
                continue
            slot = line % o[_KERNEL_HEIGHT]
        for c in range(channels.inputs):
            source = buffers.x + 4 * (c * o[_X_CHANNEL] + line * o[_X_ROW])
            _copy_row(o, image, source, start, buffers.strip + 4 * (slot * image.row_step + c * channels.input_step))


@device
def _group(o, image, channels, buffers, y):
    """One group of channels of one image: strip by strip of columns, down the rows of each."""
    strip, taps = image.strip, o[_KERNEL_WIDTH]
    for left in range(0, image.width, strip):
        ready = -o[_PAD_TOP]  # the copy has the input rows before this one
        for top in range(image.height):
            row = top * o[_STRIDE_HEIGHT] - o[_PAD_TOP]
            first, end = inside(row, o[_DILATION_HEIGHT], o[_KERNEL_HEIGHT], image.x_height)
            source = buffers.x + 4 * left
            if not image.direct:
                start = left * o[_STRIDE_WIDTH] - o[_PAD_LEFT]
                _fill_strip(o, image, channels, buffers, row, first, end, ready, start)
                ready = row + end
                source = buffers.strip
            _list_taps(o, image, buffers.offsets, row, first, end)
            # In each block of weights, the taps of the rows above the image are left out.
            weights = channels.weights + 4 * first * taps * CHANNEL_BLOCK * channels.inputs
            column, stop = 0, min(strip, image.width - left)
            while column < stop:
                columns = tile_columns(stop - column, _COLUMNS)
                target = y + 4 * (top * o[_Y_ROW] + (left + column) * o[_Y_COLUMN])
                x, count = source + 4 * column, (end - first) * taps
                _channel_tiles(channels, weights, x, buffers.offsets, count, columns, target)
                column += columns


@device
def _image(o):
    """The sizes of one group. An image that a 1x1 kernel reads whole is one long row."""
    inputs, outputs = quotient(o[_X + 2], o[_GROUPS]), quotient(o[_Y + 2], o[_GROUPS])
    x_height, x_width, height, width = o[_X + 3], o[_X + 4], o[_Y + 3], o[_Y + 4]
    kernel, stride, dilation = o[_KERNEL_WIDTH], o[_STRIDE_WIDTH], o[_DILATION_WIDTH]
    kernel_height, stride_height, dilation_height = o[_KERNEL_HEIGHT], o[_STRIDE_HEIGHT], o[_DILATION_HEIGHT]
    over_height = _needs_padding(x_height, height, kernel_height, stride_height, dilation_height, o[_PAD_TOP])
    over_width = _needs_padding(x_width, width, kernel, stride, dilation, o[_PAD_LEFT])
    copies = _copies_strips(inputs, outputs, x_height, x_width, over_height or over_width, stride, o[_X_COLUMN])
    point = kernel_height * kernel * stride_height * stride == 1 and not over_height and not over_width
    if point and x_width == width and o[_X_ROW] == width * o[_X_COLUMN] and o[_Y_ROW] == width * o[_Y_COLUMN]:
        width *= height
        x_width, x_height, height = width, 1, 1
    rolling = int(dilation_height == 1 and stride_height < kernel_height)
    strip = _strip_columns(width, kernel_height * inputs)
    sizes = (inputs, outputs, x_height, x_width, height, width, strip)
    if not copies:
        return Image(*sizes, 1, rolling, o[_X_CHANNEL], o[_X_ROW], 1, 0)
    phases, columns, row = strip_layout(strip, kernel, stride, dilation)
    return Image(*sizes, 0, rolling, row, inputs * row, phases, columns)


@native
def conv_wide(operands, context):
    """y = activation(conv(x, weights) + bias)."""
    o = operands
    image = _image(o)
    kernel = o[_KERNEL_HEIGHT] * o[_KERNEL_WIDTH]
    all_channels = Channels(
        image.inputs,
        image.outputs,
        image.channel_step,
        CHANNEL_BLOCK,
        CHANNEL_BLOCK * kernel * image.inputs,
        locate_constant(o, _WEIGHTS, context),
        locate_constant(o, _BIAS, context),
        locate_constant(o, _SLOPE, context),
        o[_CODE],
        np.float32(bits_to_float(o[_ALPHA])),
        np.float32(bits_to_float(o[_BETA])),
        o[_Y_CHANNEL],
        o[_Y_COLUMN],
    )
    for lane in range(context[_LANES]):
        scratch = locate(o, _SCRATCH, context, lane)
        for n in range(o[_X + 1]):
            for g in range(o[_GROUPS]):
                x = locate(o, _X, context, lane) + 4 * (n * o[_X + 5] + g * image.inputs * o[_X_CHANNEL])
                y = locate(o, _Y, context, lane) + 4 * (n * o[_Y + 5] + g * image.outputs * o[_Y_CHANNEL])
                buffers = Buffers(x, scratch, scratch + 4 * tap_floats(kernel))
                _group(o, image, of_group(all_channels, g), buffers, y)
