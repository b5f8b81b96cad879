"""Rows of x times weights packed in panels, with bias and activation: what `dense` and `conv_narrow` share."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..contract import PANEL
from ..opcodes import Activation
from .activation import activate, floor_of, is_stored, leak_of
from .memory import float_pointer
from .tiles import COLUMN_TILES, HALF_COLUMN_TILES, ROW_STEP, TileFamily, tile_operation
from .vectors import device, stack_floats

_ROWS, _COLUMNS = COLUMN_TILES.rows, COLUMN_TILES.columns
_BLOCK_FLOATS = _ROWS * _COLUMNS
_PRELU = int(Activation.PRELU)
_ZERO = np.float32(0)


class Rows(NamedTuple):
    """Which elements of x one output row adds up, in float32 elements."""

    step: int
    """From row to row."""
    inner: int
    inner_step: int
    taps: int
    offsets: int
    """Address of int64[taps]: where each run of `inner` elements starts."""


class Finish(NamedTuple):
    """What becomes of the sums; addresses are those of the first column, one float32 a column."""

    bias: int
    """Address, or 0."""
    code: int
    alpha: float
    beta: float
    slopes: int


@device
def _write_block(block, rows, columns, code, alpha, beta, y, y_row, y_column):
    """Apply an activation to a tile in `block` and write it with any strides."""
    for r in range(rows):
        line = block + 4 * _COLUMNS * r
        if not is_stored(code):
            activate(line, -(-columns // PANEL), code, alpha, beta)
        values, written = float_pointer(line), float_pointer(y + 4 * r * y_row)
        for c in range(columns):
            written[c * y_column] = values[c]


def _column_product(tiles: TileFamily) -> Any:
    """The function for float32 or float16 weights."""
    tile, heights, element_bytes = tile_operation(tiles), tiles.heights, 2 if tiles.half else 4

    @device
    def product(source, rows, columns, x, weights, finish, y, y_row, y_column):
        """Native: y[rows, columns] = activation(x @ weights + bias), tile by tile.

        Columns run outermost, so that a few panels of weights serve all rows before the next are read.

        Args:
            source: Rows.
            x: address of the first row.
            weights: address of the first panel.
            finish: Finish.
            y: address of the first output; y_row, y_column its strides in elements.
        """
        block, zeros, same_leaks = stack_floats(_BLOCK_FLOATS), stack_floats(_COLUMNS), stack_floats(_COLUMNS)
        code, alpha, beta = finish.code, np.float32(finish.alpha), np.float32(finish.beta)
        direct = y_column == 1 and is_stored(code)
        floor = floor_of(code)
        panel_step = source.taps * source.inner * PANEL
        zero, leak = float_pointer(zeros), float_pointer(same_leaks)
        for i in range(0, min(columns, _COLUMNS), PANEL):
            for j in range(i, i + PANEL):
                zero[j] = _ZERO
                leak[j] = leak_of(code, alpha)
        row = 0
        while row < rows:
            # Rows that go through tiles of one height: as many as there are of the tallest, then what is left.
            height = 1
            for candidate in heights:
                if height == 1 and candidate <= rows - row:
                    height = candidate
            end = rows - (rows - row) % height
            column = 0
            while column < columns:
                panels = 1
                for r in range(row, end, height):
                    at = y + 4 * (r * y_row + column * y_column)
                    target, target_row = block, _COLUMNS
                    if direct:
                        target, target_row = at, y_row
                    done = tile(
                        x + 4 * r * source.step,
                        source.step,
                        source.inner_step,
                        weights + element_bytes * (column // PANEL) * panel_step,
                        panel_step,
                        PANEL,
                        source.offsets,
                        source.taps,
                        source.inner,
                        finish.bias + 4 * column if finish.bias != 0 else zeros,
                        target,
                        target_row,
                        height,
                        columns - column,
                        finish.slopes + 4 * column if code == _PRELU else same_leaks,
                        floor,
                    )
                    panels = done % ROW_STEP
                    if not direct:
                        wide = min(columns - column, panels * PANEL)
                        _write_block(block, height, wide, code, alpha, beta, at, y_row, y_column)
                column += panels * PANEL
            row = end

    return product


column_product = _column_product(COLUMN_TILES)
"""Of float32 weights."""

half_column_product = _column_product(HALF_COLUMN_TILES)
"""Of float16 weights."""
