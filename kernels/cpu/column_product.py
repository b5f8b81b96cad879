"""Rows of x times weights packed in panels, with bias and activation: what `dense` and `conv_narrow` share."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..contract import PANEL
from ..opcodes import Activation
from .activation import fill_starts, floor_of, is_stored, write_rows
from .native import device
from .tile_code import ROW_STEP
from .tiles import COLUMN_TILES, HALF_COLUMN_TILES, TileFamily, tile_operation
from .vectors import stack_floats

_ROWS, _COLUMNS = COLUMN_TILES.rows, COLUMN_TILES.columns
_BLOCK_FLOATS = _ROWS * _COLUMNS
_PRELU = int(Activation.PRELU)


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


def _band(tiles: TileFamily) -> Any:
    """The function for rows that go through tiles of one height."""
    tile, element_bytes = tile_operation(tiles), 2 if tiles.half else 4

    @device
    def band(source, first, end, height, columns, x, weights, finish, zeros, same_leaks, y, y_row, y_column):
        """Native: rows first .. end - 1, a multiple of `height`; zeros and same_leaks are from `fill_starts`."""
        block = stack_floats(_BLOCK_FLOATS)
        code, alpha, beta = finish.code, np.float32(finish.alpha), np.float32(finish.beta)
        direct, floor = y_column == 1 and is_stored(code), floor_of(code)
        panel_step = source.taps * source.inner * PANEL
        column = 0
        while column < columns:
            panels = 1
            for r in range(first, end, height):
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
                    write_rows(block, _COLUMNS, height, wide, code, alpha, beta, at, y_row, y_column)
            column += panels * PANEL

    return band


def _column_product(tiles: TileFamily) -> Any:
    """The function for float32 or float16 weights."""
    band, heights = _band(tiles), tiles.heights

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
        zeros, same_leaks = stack_floats(_COLUMNS), stack_floats(_COLUMNS)
        vectors = -(-min(columns, _COLUMNS) // PANEL)
        fill_starts(zeros, same_leaks, vectors, finish.code, np.float32(finish.alpha))
        row = 0
        while row < rows:
            # As many rows as go through the tallest tiles, then what is left.
            height = 1
            for candidate in heights:
                if height == 1 and candidate <= rows - row:
                    height = candidate
            end = rows - (rows - row) % height
            band(source, row, end, height, columns, x, weights, finish, zeros, same_leaks, y, y_row, y_column)
            row = end

    return product


column_product = _column_product(COLUMN_TILES)
"""Of float32 weights."""

half_column_product = _column_product(HALF_COLUMN_TILES)
"""Of float16 weights."""
