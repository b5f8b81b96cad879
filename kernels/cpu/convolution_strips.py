"""What `conv_wide` and `conv_volume` share: tiles of output channels x columns, along strips of the output's width."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from .. import windows
from ..contract import PANEL
from ..opcodes import Activation
from .activation import fill_starts, floor_of, is_stored, write_rows
from .native import device
from .tile_code import ROW_STEP
from .tiles import TileFamily, tile_operation
from .vectors import stack_floats

_PRELU = int(Activation.PRELU)

strip_layout = njit(inline="always")(windows.strip_layout)
tap_floats = njit(inline="always")(windows.tap_floats)


class Channels(NamedTuple):
    """The channels of one group: sizes, steps in float32 elements, addresses of what belongs to the outputs."""

    inputs: int
    outputs: int
    input_step: int
    """From one input channel to the next, where the taps are read."""
    block: int
    """Output channels that lie side by side in the packed weights."""
    block_step: int
    """Weights of a block, from one to the next."""
    weights: int
    bias: int
    """Or 0."""
    slopes: int
    code: int
    """A member of Activation."""
    alpha: np.float32
    beta: np.float32
    output_step: int
    column_step: int
    """Of y."""


class Buffers(NamedTuple):
    """Addresses for one group of one image or volume."""

    x: int
    offsets: int
    strip: int


@device
def of_group(channels, group):
    """Native: the Channels of a group, from those of the first."""
    first = 4 * group * channels.outputs
    blocks = -(-channels.outputs // channels.block)
    return Channels(
        channels.inputs,
        channels.outputs,
        channels.input_step,
        channels.block,
        channels.block_step,
        channels.weights + 4 * group * blocks * channels.block_step,
        channels.bias + first if channels.bias != 0 else 0,
        channels.slopes + first,
        channels.code,
        channels.alpha,
        channels.beta,
        channels.output_step,
        channels.column_step,
    )


@device
def step_column(column, phase, stride, dilation):
    """Native: (column, phase) of a strip, `dilation` input columns on: loops, as a division costs more."""
    phase += dilation
    while phase >= stride:
        column += 1
        phase -= stride
    return column, phase


def channel_tiles(tiles: TileFamily) -> Any:
    """A native function for the outputs of some columns, by a family whose rows are output channels."""
    tile, widest, block_floats = tile_operation(tiles), tiles.columns, tiles.rows * tiles.columns

    @device
    def run(channels, weights, x, offsets, taps, columns, y):
        """Native: all output channels of `columns` neighbours of one row.

        Args:
            channels: Channels.
            weights: address of the first tap's, of the first block.
            x, y: addresses of the first column.
            offsets, taps: as for the tiles (`tile_operation`).
        """
        block, zeros, same_leaks = stack_floats(block_floats), stack_floats(PANEL), stack_floats(PANEL)
        code, alpha, beta = channels.code, channels.alpha, channels.beta
        fill_starts(zeros, same_leaks, 1, code, alpha)
        floor = floor_of(code)
        y_row, y_column = channels.output_step, channels.column_step
        direct = y_column == 1 and is_stored(code)
        c, within = 0, 0
        while c < channels.outputs:
            at = y + 4 * c * y_row
            target, target_row = block, widest
            if direct:
                target, target_row = at, y_row
            done = tile(
                weights + 4 * within,
                1,
                channels.block,
                x,
                PANEL,
                channels.input_step,
                offsets,
                taps,
                channels.inputs,
                channels.bias + 4 * c if channels.bias != 0 else zeros,
                target,
                target_row,
                min(channels.outputs - c, channels.block - within),
                columns,
                channels.slopes + 4 * c if code == _PRELU else same_leaks,
                floor,
            )
            rows = done // ROW_STEP
            if not direct:
                write_rows(block, widest, rows, columns, code, alpha, beta, at, y_row, y_column)
            c += rows
            within += rows
            if within >= channels.block:
                within = 0
                weights += 4 * channels.block_step

    return run
