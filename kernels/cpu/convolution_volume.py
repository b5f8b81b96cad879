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
from ..opcodes import Activation
from ..schemas.activation import ACTIVATION
from ..schemas.volume import CONV_VOLUME
from .activation import activate, floor_of, is_stored, leak_of
from .memory import bits_to_float, float_pointer, locate, word_pointer
from .native import native
from .taps import inside, quotient
from .tiles import ROW_STEP, VOLUME_TILES, tile_operation
from .vectors import (
    device,
    emit_prefetch,
    load,
    load_first,
    operation,
    splat,
    stack_floats,
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

_tile = tile_operation(VOLUME_TILES)
_ROWS, _COLUMNS = VOLUME_TILES.rows, VOLUME_TILES.columns
_BLOCK_FLOATS = _ROWS * _COLUMNS
_ZERO = np.float32(0)
_PRELU = int(Activation.PRELU)

_volume_columns = njit(inline="always")(windows.volume_columns)
_volume_strip = njit(inline="always")(windows.volume_strip)
_strip_phases = njit(inline="always")(windows.strip_phases)
_phase_columns = njit(inline="always")(windows.phase_columns)
_row_floats = njit(inline="always")(windows.row_floats)
_tap_floats = njit(inline="always")(windows.tap_floats)


class Volume(NamedTuple):
    """One group of channels, as the tiles see it; steps in float32 elements."""

    inputs: int
    outputs: int
    strip: int
    """Output columns of a strip."""
    channel_step: int
    """From one row of the copy to the next channel's."""
    row_step: int
    """From one row of all channels to the next."""
    phases: int
    phase_step: int
    """Sets of columns in a row of the copy, and from one to the next."""


class Buffers(NamedTuple):
    """Addresses for one group of one volume; `bias` may be 0."""

    x: int
    weights: int
    bias: int
    slopes: int
    offsets: int
    strip: int


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
def _ask_for_rows(o, volume, buffers, plane, front, back, row, ready, start):
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
            for c in range(volume.inputs):
                for column in range(left, right, PANEL):
                    prefetch(float_pointer(line + 4 * (c * o[_X_STEP + _CHANNEL] + column)))


@njit(inline="always")
def _fill_rows(o, volume, buffers, plane, front, back, row, first, end, turn, start):
    """Copy the input rows that taps first .. end - 1 of the height read, in the planes of taps front .. back - 1."""
    for i in range(front, back):
        source = buffers.x + 4 * (plane + i * o[_DILATION_DEPTH]) * o[_X_STEP + _PLANE]
        for j in range(first, end):
            slot = turn + j
            if slot >= o[_KERNEL_HEIGHT]:
                slot -= o[_KERNEL_HEIGHT]
            line = source + 4 * (row + j * o[_DILATION_HEIGHT]) * o[_X_STEP + _ROW]
            target = buffers.strip + 4 * (i * o[_KERNEL_HEIGHT] + slot) * volume.row_step
            for c in range(volume.inputs):
                _copy_row(o, volume, line + 4 * c * o[_X_STEP + _CHANNEL], start, target + 4 * c * volume.channel_step)


@device
def _list_taps(o, volume, offsets, front, back, first, end, turn):
    """Write where the weights and the input of each tap lie; returns how many taps there are."""
    offset = word_pointer(offsets)
    stride, dilation, taps = o[_STRIDE_WIDTH], o[_DILATION_WIDTH], o[_KERNEL_WIDTH]
    step = volume.inputs * o[_BLOCK]
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
                # A step of `dilation` columns, in phases of the stride.
                phase += dilation
                while phase >= stride:
                    column += 1
                    phase -= stride
    return tap


@device
def _columns(o, volume, buffers, taps, x, columns, y):
    """All output channels of `columns` neighbours; x and y are the addresses of the first."""
    block, zeros, same_leaks = stack_floats(_BLOCK_FLOATS), stack_floats(_ROWS), stack_floats(_ROWS)
    side, window = o[_BLOCK], o[_KERNEL_DEPTH] * o[_KERNEL_HEIGHT] * o[_KERNEL_WIDTH]
    code, alpha, beta = o[_CODE], np.float32(bits_to_float(o[_ALPHA])), np.float32(bits_to_float(o[_BETA]))
    zero, leak = float_pointer(zeros), float_pointer(same_leaks)
    for r in range(_ROWS):
        zero[r] = _ZERO
        leak[r] = leak_of(code, alpha)
    floor = floor_of(code)
    y_channel, y_column = o[_Y_STEP + _CHANNEL], o[_Y_STEP + _COLUMN]
    direct = y_column == 1 and is_stored(code)
    c, within, weights = 0, 0, buffers.weights
    while c < volume.outputs:
        at = y + 4 * c * y_channel
        target, target_row = block, _COLUMNS
        if direct:
            target, target_row = at, y_channel
        done = _tile(
            weights + 4 * within,
            1,
            side,
            x,
            PANEL,
            volume.channel_step,
            buffers.offsets,
            taps,
            volume.inputs,
            buffers.bias + 4 * c if buffers.bias != 0 else zeros,
            target,
            target_row,
            min(volume.outputs - c, side - within),
            columns,
            buffers.slopes + 4 * c if code == _PRELU else same_leaks,
            floor,
        )
        rows = done // ROW_STEP
        if not direct:
            for r in range(rows):
                line = block + 4 * _COLUMNS * r
                if not is_stored(code):
                    activate(line, -(-columns // PANEL), code, alpha, beta)
                values, written = float_pointer(line), float_pointer(at + 4 * r * y_channel)
                for i in range(columns):
                    written[i * y_column] = values[i]
        c += rows
        within += rows
        if within >= side:
            within = 0
            weights += 4 * window * volume.inputs * side


@njit(inline="always")
def _output_row(o, volume, buffers, taps, left, y):
    """One output row of one strip, whose first column is `left`."""
    column, stop = 0, min(volume.strip, o[_Y_SIZE + _COLUMN] - left)
    widest = min(_COLUMNS, _volume_columns(o[_BLOCK]))
    while column < stop:
        columns = min(widest, stop - column)
        if widest > 2 * PANEL and 0 < stop - column - widest <= PANEL:
            columns = widest - PANEL  # so that the last tile is not a single vector, which would starve
        target = y + 4 * (left + column) * o[_Y_STEP + _COLUMN]
        _columns(o, volume, buffers, taps, buffers.strip + 4 * column, columns, target)
        column += columns


@njit(inline="always")
def _plane(o, volume, buffers, plane, front, back, y):
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
                _fill_rows(o, volume, buffers, plane, front, back, row, max(first, ready), end, turn, start)
                ready = max(ready, end) - advance
                if top + apart < height:
                    following, kept = row + apart * stride, ready
                else:
                    following, kept = (lead + 1) * stride - o[_PAD_TOP], 0
                _ask_for_rows(o, volume, buffers, plane, front, back, following, kept, start)
                taps = _list_taps(o, volume, buffers.offsets, front, back, first, end, turn)
                _output_row(o, volume, buffers, taps, left, y + 4 * top * o[_Y_STEP + _ROW])
                turn = (turn + advance) % kernel


@njit(inline="always")
def _group(o, volume, buffers, y):
    """One group of channels of one volume: its planes, those that share input planes together."""
    stride, dilation = o[_STRIDE_DEPTH], o[_DILATION_DEPTH]
    apart = dilation // gcd(stride, dilation)
    for lead in range(min(apart, o[_Y_SIZE + _PLANE])):
        for at in range(lead, o[_Y_SIZE + _PLANE], apart):
            plane = at * stride - o[_PAD_FRONT]
            front, back = inside(plane, dilation, o[_KERNEL_DEPTH], o[_X_SIZE + _PLANE])
            _plane(o, volume, buffers, plane, front, back, y + 4 * at * o[_Y_STEP + _PLANE])


@native
def conv_volume(operands, context):
    """y = activation(conv(x, weights) + bias)."""
    o = operands
    inputs, outputs = quotient(o[_X_SIZE + _CHANNEL], o[_GROUPS]), quotient(o[_Y_SIZE + _CHANNEL], o[_GROUPS])
    kernel, stride, dilation = o[_KERNEL_WIDTH], o[_STRIDE_WIDTH], o[_DILATION_WIDTH]
    window = o[_KERNEL_DEPTH] * o[_KERNEL_HEIGHT] * o[_KERNEL_WIDTH]
    strip = _volume_strip(o[_Y_SIZE + _COLUMN], o[_KERNEL_DEPTH] * o[_KERNEL_HEIGHT] * inputs)
    phases, columns = _strip_phases(kernel, stride, dilation), _phase_columns(strip, kernel, stride, dilation)
    row = _row_floats(phases, columns)
    volume = Volume(inputs, outputs, strip, row, inputs * row, phases, columns)
    group_weights = -(-outputs // o[_BLOCK]) * o[_BLOCK] * window * inputs
    weights = locate(o, _WEIGHTS, context, 0)
    bias = locate(o, _BIAS, context, 0) if o[_BIAS] >= 0 else 0
    slopes = locate(o, _SLOPE, context, 0) if o[_SLOPE] >= 0 else 0
    for lane in range(context[_LANES]):
        scratch = locate(o, _SCRATCH, context, lane)
        for n in range(o[_X_SIZE]):
            for g in range(o[_GROUPS]):
                first = g * outputs
                buffers = Buffers(
                    locate(o, _X, context, lane) + 4 * (n * o[_X_STEP] + g * inputs * o[_X_STEP + _CHANNEL]),
                    weights + 4 * g * group_weights,
                    bias + 4 * first if bias != 0 else 0,
                    slopes + 4 * first,
                    scratch,
                    scratch + 4 * _tap_floats(2 * window),
                )
                y = locate(o, _Y, context, lane) + 4 * (n * o[_Y_STEP] + first * o[_Y_STEP + _CHANNEL])
                _group(o, volume, buffers, y)
