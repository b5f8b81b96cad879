"""Native `conv_volume`: convolution over depth, height and width with vectors along the width.

A tile of 6 output channels x 64 columns (or 8 x 48) stays in registers while all taps pass by, as in `conv_wide`:
networks of volumes have few channels and long windows, so a tile often holds every channel of its columns.

Bound by arithmetic.

The input rows that the windows of one output row read are copied to scratch: padded with zeros, sorted by column
phase. Output rows whose windows share input rows follow each other, a dilation apart, so that a row is copied once
for each plane of the kernel; so do output planes, so that what they read stays in the second cache. Taps that lie
above, below, before or behind the volume are left out: at dilation 16 in a cube of 64 that is a third of all.

    x     [batch, channels, depth, height, width]  any strides (fastest with contiguous rows)
    y     [batch, output channels, depth, height, width]  any strides (fastest with contiguous rows)
"""

from __future__ import annotations

from math import gcd
from typing import NamedTuple

import numpy as np
from numba import njit, types

from .. import windows
from ..contract import PANEL, Context
from ..schemas.activation import ACTIVATION
from ..schemas.convolution import CONV_VOLUME
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
from .tiles import VOLUME_TILES
from .vectors import (
    emit_prefetch,
    load,
    load_first,
    operation,
    splat,
    store,
    store_first,
    strided_window,
)

_LANES = int(Context.LANES)
_P = CONV_VOLUME.positions()
_X, _WEIGHTS, _BIAS, _Y, _SCRATCH = _P["x"], _P["weights"], _P["bias"], _P["y"], _P["scratch"]
_GROUPS, _BLOCK = _P["groups"], _P["block"]
_KERNEL_DEPTH, _KERNEL_HEIGHT, _KERNEL_WIDTH = _P["kernel_depth"], _P["kernel_height"], _P["kernel_width"]
_STRIDE_DEPTH, _STRIDE_HEIGHT, _STRIDE_WIDTH = _P["stride_depth"], _P["stride_height"], _P["stride_width"]
_DILATION_DEPTH, _DILATION_HEIGHT = _P["dilation_depth"], _P["dilation_height"]
_DILATION_WIDTH = _P["dilation_width"]
_PAD_FRONT, _PAD_TOP, _PAD_LEFT = _P["pad_front"], _P["pad_top"], _P["pad_left"]
_CODE, _ALPHA, _BETA, _SLOPE = (_P[field.name] for field in ACTIVATION)
_X_SIZE, _X_STEP, _Y_SIZE, _Y_STEP = _X + 1, _X + 6, _Y + 1, _Y + 6
_CHANNEL, _PLANE, _ROW, _COLUMN = 1, 2, 3, 4

prefetch = operation("prefetch", types.void, (types.CPointer(types.float32),), emit_prefetch)
"""Native: ask for the line at a pointer, which need not be valid memory."""

_channel_tiles = channel_tiles(VOLUME_TILES)
_COLUMNS = VOLUME_TILES.columns
_ZERO = np.float32(0)

_volume_columns = njit(inline="always")(windows.volume_columns)
_volume_strip = njit(inline="always")(windows.volume_strip)


class Volume(NamedTuple):
    """How the input of a strip lies in its copy; steps in float32 elements."""

    strip: int
    """Output columns of a strip."""
    row_step: int
    """From one row of all channels to the next."""
    phases: int
    phase_step: int
    """Sets of columns in a row of the copy, and from one to the next."""


@device
def _copy_row(o, volume, row, start, target):
    """Copy one input row's columns from `start` on to `target`, sorted by phase.

    Outside the row there are zeros; of neighbours in memory only what lies inside is copied, the rest is zero already.
    """
    x, stride = float_pointer(row), o[_STRIDE_WIDTH]
    if stride == 1 and o[_X_STEP + _COLUMN] == 1:
        first = max(start, 0)
        count = min(start + volume.phase_step, o[_X_SIZE + _COLUMN]) - first
        source, line = row + 4 * first, target + 4 * (first - start)
        if count < PANEL:
            store_first(float_pointer(line), load_first(float_pointer(source), count), count)
            return
        for v in range(0, count - PANEL, PANEL):
            store(float_pointer(line + 4 * v), load(float_pointer(source + 4 * v)))
        last = 4 * (count - PANEL)
        store(float_pointer(line + last), load(float_pointer(source + last)))
        return
    for phase in range(volume.phases):
        line = target + 4 * phase * volume.phase_step
        for v in range(0, volume.phase_step, PANEL):
            first = start + phase + v * stride
            values = strided_window(x, first, stride, o[_X_SIZE + _COLUMN], o[_X_STEP + _COLUMN], _ZERO)
            store(float_pointer(line + 4 * v), values)


@device
def _clear(o, volume, strip):
    """Fill the copy with the zeros that surround the input."""
    zero = splat(_ZERO)
    for v in range(0, o[_KERNEL_DEPTH] * o[_KERNEL_HEIGHT] * volume.row_step, PANEL):
        store(float_pointer(strip + 4 * v), zero)


@device
def _ask_for_rows(o, volume, channels, buffers, plane, front, back, row, ready, start):
    """Prefetch the input rows that `_fill_rows` will copy: they lie too far apart for the hardware to foresee."""
    first, end = inside(row, o[_DILATION_HEIGHT], o[_KERNEL_HEIGHT], o[_X_SIZE + _ROW])
    if o[_X_STEP + _COLUMN] != 1:
        return
    left = max(start, 0)
    right = min(start + volume.phase_step * o[_STRIDE_WIDTH], o[_X_SIZE + _COLUMN])
    for i in range(front, back):
        source = buffers.x + 4 * (plane + i * o[_DILATION_DEPTH]) * o[_X_STEP + _PLANE]
        for j in range(max(first, ready), end):
            line = source + 4 * (row + j * o[_DILATION_HEIGHT]) * o[_X_STEP + _ROW]
            for c in range(channels.inputs):
                for column in range(left, right, PANEL):
                    prefetch(float_pointer(line + 4 * (c * o[_X_STEP + _CHANNEL] + column)))


@njit(inline="always")
def _fill_rows(o, volume, channels, buffers, plane, front, back, row, first, end, turn, start):
    """Copy the input rows that taps first .. end - 1 of the height read, in the planes of taps front .. back - 1."""
    for i in range(front, back):
        source = buffers.x + 4 * (plane + i * o[_DILATION_DEPTH]) * o[_X_STEP + _PLANE]
        for j in range(first, end):
            slot = turn + j
            if slot >= o[_KERNEL_HEIGHT]:
                slot -= o[_KERNEL_HEIGHT]
            line = source + 4 * (row + j * o[_DILATION_HEIGHT]) * o[_X_STEP + _ROW]
            target = buffers.strip + 4 * (i * o[_KERNEL_HEIGHT] + slot) * volume.row_step
            for c in range(channels.inputs):
                _copy_row(o, volume, line + 4 * c * o[_X_STEP + _CHANNEL], start, target + 4 * c * channels.input_step)


@device
def _list_taps(o, volume, channels, offsets, front, back, first, end, turn):
    """Write where the weights and the input of each tap lie; returns how many taps there are."""
    offset = word_pointer(offsets)
    stride, dilation, taps = o[_STRIDE_WIDTH], o[_DILATION_WIDTH], o[_KERNEL_WIDTH]
    step = channels.inputs * o[_BLOCK]
    tap = 0
    for i in range(front, back):
        for j in range(first, end):
            slot = turn + j
            if slot >= o[_KERNEL_HEIGHT]:
                slot -= o[_KERNEL_HEIGHT]
            column, phase = (i * o[_KERNEL_HEIGHT] + slot) * volume.row_step, 0
            weights = (i * o[_KERNEL_HEIGHT] + j) * taps * step
            for _ in range(taps):
                offset[2 * tap] = weights
                offset[2 * tap + 1] = column + phase * volume.phase_step
                tap += 1
                weights += step
                column, phase = step_column(column, phase, stride, dilation)
    return tap


@njit(inline="always")
def _output_row(o, volume, channels, buffers, taps, left, y):
    """One output row of one strip, whose first column is `left`."""
    column, stop = 0, min(volume.strip, o[_Y_SIZE + _COLUMN] - left)
    widest = min(_COLUMNS, _volume_columns(o[_BLOCK]))
    while column < stop:
        columns = tile_columns(stop - column, widest)
        x, target = buffers.strip + 4 * column, y + 4 * (left + column) * channels.column_step
        _channel_tiles(channels, channels.weights, x, buffers.offsets, taps, columns, target)
        column += columns


@njit(inline="always")
def _plane(o, volume, channels, buffers, plane, front, back, y):
    """One output plane: strip by strip of columns, down the rows of each, those that share input rows together."""
    kernel, stride, dilation = o[_KERNEL_HEIGHT], o[_STRIDE_HEIGHT], o[_DILATION_HEIGHT]
    height, width = o[_Y_SIZE + _ROW], o[_Y_SIZE + _COLUMN]
    apart = dilation // gcd(stride, dilation)
    advance = apart * stride // dilation  # input rows, a dilation apart, from one output row to the next
    for left in range(0, width, volume.strip):
        start = left * o[_STRIDE_WIDTH] - o[_PAD_LEFT]
        _clear(o, volume, buffers.strip)
        for lead in range(min(apart, height)):
            turn, ready = 0, 0  # the copy has the rows before tap `ready` of this output row
            for top in range(lead, height, apart):
                row = top * stride - o[_PAD_TOP]
                first, end = inside(row, dilation, kernel, o[_X_SIZE + _ROW])
                _fill_rows(o, volume, channels, buffers, plane, front, back, row, max(first, ready), end, turn, start)
                ready = max(ready, end) - advance
                if top + apart < height:
                    following, kept = row + apart * stride, ready
                else:
                    following, kept = (lead + 1) * stride - o[_PAD_TOP], 0
                _ask_for_rows(o, volume, channels, buffers, plane, front, back, following, kept, start)
                taps = _list_taps(o, volume, channels, buffers.offsets, front, back, first, end, turn)
                _output_row(o, volume, channels, buffers, taps, left, y + 4 * top * o[_Y_STEP + _ROW])
                turn = (turn + advance) % kernel


@njit(inline="always")
def _group(o, volume, channels, buffers, y):
    """One group of channels of one volume: its planes, those that share input planes together."""
    stride, dilation = o[_STRIDE_DEPTH], o[_DILATION_DEPTH]
    apart = dilation // gcd(stride, dilation)
    for lead in range(min(apart, o[_Y_SIZE + _PLANE])):
        for at in range(lead, o[_Y_SIZE + _PLANE], apart):
            plane = at * stride - o[_PAD_FRONT]
            front, back = inside(plane, dilation, o[_KERNEL_DEPTH], o[_X_SIZE + _PLANE])
            _plane(o, volume, channels, buffers, plane, front, back, y + 4 * at * o[_Y_STEP + _PLANE])


@native
def conv_volume(operands, context):
    """y = activation(conv(x, weights) + bias)."""
    o = operands
    inputs, outputs = quotient(o[_X_SIZE + _CHANNEL], o[_GROUPS]), quotient(o[_Y_SIZE + _CHANNEL], o[_GROUPS])
    window = o[_KERNEL_DEPTH] * o[_KERNEL_HEIGHT] * o[_KERNEL_WIDTH]
    strip = _volume_strip(o[_Y_SIZE + _COLUMN], o[_KERNEL_DEPTH] * o[_KERNEL_HEIGHT] * inputs)
    phases, columns, row = strip_layout(strip, o[_KERNEL_WIDTH], o[_STRIDE_WIDTH], o[_DILATION_WIDTH])
    volume = Volume(strip, inputs * row, phases, columns)
    all_channels = Channels(
        inputs,
        outputs,
        row,
        o[_BLOCK],
        o[_BLOCK] * window * inputs,
        locate_constant(o, _WEIGHTS, context),
        locate_constant(o, _BIAS, context),
        locate_constant(o, _SLOPE, context),
        o[_CODE],
        np.float32(bits_to_float(o[_ALPHA])),
        np.float32(bits_to_float(o[_BETA])),
        o[_Y_STEP + _CHANNEL],
        o[_Y_STEP + _COLUMN],
    )
    for lane in range(context[_LANES]):
        scratch = locate(o, _SCRATCH, context, lane)
        for n in range(o[_X_SIZE]):
            for g in range(o[_GROUPS]):
                x = locate(o, _X, context, lane) + 4 * (n * o[_X_STEP] + g * inputs * o[_X_STEP + _CHANNEL])
                y = locate(o, _Y, context, lane) + 4 * (n * o[_Y_STEP] + g * outputs * o[_Y_STEP + _CHANNEL])
                buffers = Buffers(x, scratch, scratch + 4 * tap_floats(2 * window))
                _group(o, volume, of_group(all_channels, g), buffers, y)
