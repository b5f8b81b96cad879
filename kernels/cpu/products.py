"""Native products: `dense` by weights that are packed in panels, `matmul` of two matrices that both arrive.

Bound by arithmetic when there are many rows. A single row is bound by reading the weights, so the lanes of a batch then
share one pass over them as if they were the rows of one matrix.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..contract import PANEL, Context, Space
from ..schemas.activation import ACTIVATION
from ..schemas.products import DENSE, MATMUL
from .column_product import Finish, Rows, column_product, half_column_product
from .memory import bits_to_float, float_pointer, locate, locate_constant, space_of, stack_words
from .native import device, native
from .tile_code import ROW_STEP
from .tiles import MATRIX_TILES, tile_operation
from .vectors import address_of, stack_floats

_LANES, _ARENA_STRIDE = int(Context.LANES), int(Context.ARENA_STRIDE)
_ARENA = int(Space.ARENA)
_DENSE = DENSE.positions()
_X, _WEIGHTS, _BIAS, _Y = _DENSE["x"], _DENSE["weights"], _DENSE["bias"], _DENSE["y"]
_CODE, _ALPHA, _BETA, _SLOPE = (_DENSE[field.name] for field in ACTIVATION)
_MATMUL = MATMUL.positions()
_MA, _MB, _MY = _MATMUL["a"], _MATMUL["b"], _MATMUL["y"]
_LOWEST = np.float32(-np.inf)
_tile = tile_operation(MATRIX_TILES)
_MATRIX_ROWS = MATRIX_TILES.rows


def _dense_with(product: Any) -> Any:
    """A native function (operands, context) of `dense`, by a function of `column_product`."""

    @device
    def run(o, context):
        rows, inner = o[_X + 1], o[_X + 2]
        row_step, y_row = o[_X + 3], o[_Y + 3]
        lanes = context[_LANES]
        if rows == 1 and space_of(o, _X) == _ARENA and space_of(o, _Y) == _ARENA:
            rows, lanes = lanes, 1
            row_step = y_row = context[_ARENA_STRIDE] // 4
        offsets = stack_words(1)
        offsets[0] = 0
        source = Rows(row_step, inner, o[_X + 4], 1, address_of(offsets))
        finish = Finish(
            locate_constant(o, _BIAS, context),
            o[_CODE],
            bits_to_float(o[_ALPHA]),
            bits_to_float(o[_BETA]),
            locate_constant(o, _SLOPE, context),
        )
        weights = locate_constant(o, _WEIGHTS, context)
        for lane in range(lanes):
            x, y = locate(o, _X, context, lane), locate(o, _Y, context, lane)
            product(source, rows, o[_Y + 2], x, weights, finish, y, y_row, o[_Y + 4])

    return run


_run_dense, _run_dense_half = _dense_with(column_product), _dense_with(half_column_product)


@native
def dense(operands, context):
    """y = activation(x @ weights + bias); x and y of any strides."""
    _run_dense(operands, context)


@native
def dense_half(operands, context):
    """`dense`, with weights of float16 that are widened as they are read."""
    _run_dense_half(operands, context)


@device
def _matrix(rows, inner, columns, a, a_row, a_inner, b, b_inner, y, y_row, zeros, ones, offsets):
    row = 0
    while row < rows:
        column, height = 0, 1
        while column < columns:
            done = _tile(
                a + 4 * row * a_row,
                a_row,
                a_inner,
                b + 4 * column,
                PANEL,
                b_inner,
                offsets,
                1,
                inner,
                zeros,
                y + 4 * (row * y_row + column),
                y_row,
                rows - row,
                columns - column,
                ones,
                _LOWEST,
            )
            column += done % ROW_STEP * PANEL
            height = done // ROW_STEP
        row += height


@native
def matmul(operands, context):
    """y[i, j] = a[i, j] @ b[i, j]; a of any strides, b and y with contiguous rows; zero strides repeat a matrix."""
    o = operands
    zeros, ones, offsets = stack_floats(_MATRIX_ROWS), stack_floats(_MATRIX_ROWS), stack_words(1)
    offsets[0] = 0
    zero, one = float_pointer(zeros), float_pointer(ones)
    for i in range(_MATRIX_ROWS):
        zero[i] = 0.0
        one[i] = 1.0
    for lane in range(context[_LANES]):
        for i in range(o[_MY + 1]):
            for j in range(o[_MY + 2]):
                _matrix(
                    o[_MY + 3],
                    o[_MA + 4],
                    o[_MY + 4],
                    locate(o, _MA, context, lane) + 4 * (i * o[_MA + 5] + j * o[_MA + 6]),
                    o[_MA + 7],
                    o[_MA + 8],
                    locate(o, _MB, context, lane) + 4 * (i * o[_MB + 5] + j * o[_MB + 6]),
                    o[_MB + 7],
                    locate(o, _MY, context, lane) + 4 * (i * o[_MY + 5] + j * o[_MY + 6]),
                    o[_MY + 7],
                    zeros,
                    ones,
                    address_of(offsets),
                )
