"""Products of real rows with integer weights: rows become integers of 8 bits on the way, and sums are exact.

A row goes to integers as ONNX's DynamicQuantizeLinear does it. Without their zero points these have up to 9 bits, as
the weights have, and travel as float32. That adds up EXACT_PRODUCTS of their products exactly, so the vector code of
real products serves for blocks of as many; blocks are added up as int32, which MOST_PRODUCTS may fill. Bound by
reading the weights.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from ..contract import PANEL
from ..schemas.recurrent_general import EXACT_PRODUCTS
from .gate_vectors import VECTOR_BYTES, zero_vector
from .maths import plain_add, plain_divide, plain_multiply, round_f32
from .memory import float_pointer, int32_pointer
from .native import device
from .recurrent import gate_products

_PANEL, _VECTOR, _BLOCK = PANEL, VECTOR_BYTES, EXACT_PRODUCTS
_ZERO, _ONE, _MOST = np.float32(0), np.float32(1), np.float32(255)
products = gate_products(1, 8)


class Grid(NamedTuple):
    """The real numbers that integers q of 0 .. 255 stand for: scale (q - zero)."""

    scale: np.float32
    zero: np.float32


@device
def widened(reach, x, x_row, x_step, rows, count):
    """The least and the greatest number of `reach` and of x [rows, count]; strides in bytes."""
    least, greatest = reach
    for row in range(rows):
        for i in range(count):
            value = float_pointer(x + row * x_row + i * x_step)[0]
            least = value if value < least else least
            greatest = value if value > greatest else greatest
    return least, greatest


@njit(inline="always")
def _limited(value):
    value = value if value > _ZERO else _ZERO
    return value if value < _MOST else _MOST


@device
def grid_over(reach):
    """The grid from the least to the greatest number of a reach that has 0 in it."""
    least, greatest = reach
    scale = plain_divide(greatest - least, _MOST) if greatest > least else _ONE
    return Grid(scale, _limited(round_f32(plain_divide(-least, scale))))


@device
def _to_integers(x, count, grid):
    """x on its grid, without the zero point; halves go to even."""
    scale, zero = grid.scale, grid.zero
    for i in range(count):
        x[i] = _limited(round_f32(plain_divide(x[i], scale)) + zero) - zero


@device
def _add_block(total, block, count, first):
    for i in range(count):
        total[i] = np.int32(block[i]) if first else total[i] + np.int32(block[i])


@device
def integer_products(
    target, target_row, bias, x, x_row, x_step, weights, inner, rows, panels, scales, grid, scratch
):  # fmt: skip
    """target [rows, panels, PANEL] = bias + x [rows, inner], on its grid, @ weights times scales.

    Addresses and strides (bytes) as those of `gate_products`; weights are packed by packing_recurrent.integer_weights.
    scratch: [panels, PANEL], [rows, inner], [rows, panels, PANEL].
    """
    width = panels * _VECTOR
    integers, sums = scratch + width, scratch + width + 4 * rows * inner
    for panel in range(panels):
        zero_vector(scratch + panel * _VECTOR)
    for row in range(rows):
        left = float_pointer(integers + 4 * row * inner)
        for i in range(inner):
            left[i] = float_pointer(x + row * x_row + i * x_step)[0]
        _to_integers(left, inner, grid)
    for start in range(0, inner, _BLOCK):
        count = min(_BLOCK, inner - start)
        products(sums, width, scratch, integers + 4 * start, 4 * inner, 4, weights, count, rows, panels, 0)
        weights += panels * count * _VECTOR
        for row in range(rows):
            total = int32_pointer(target + row * target_row)
            _add_block(total, float_pointer(sums + row * width), panels * _PANEL, start == 0)
    factors, offsets = float_pointer(scales), float_pointer(bias)
    for row in range(rows):
        total, real = int32_pointer(target + row * target_row), float_pointer(target + row * target_row)
        for i in range(panels * _PANEL):
            factor = plain_multiply(grid.scale, factors[i])
            real[i] = plain_add(plain_multiply(np.float32(total[i]), factor), offsets[i])
