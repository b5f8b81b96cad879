"""Native activations of finished rows: what a product or convolution does to its result before it writes it."""

from __future__ import annotations

import numpy as np
from numba import njit

from ..contract import PANEL
from ..opcodes import Activation
from .activation_vectors import sigmoid, swish
from .maths import expm1_negative_f32, tanh_f32
from .memory import float_pointer
from .native import device
from .vectors import load, load_first, splat, stack_floats, store, store_first

_RELU, _LEAKY_RELU, _PRELU = int(Activation.RELU), int(Activation.LEAKY_RELU), int(Activation.PRELU)
_SIGMOID, _TANH, _ELU = int(Activation.SIGMOID), int(Activation.TANH), int(Activation.ELU)
_HARD_SIGMOID, _HARD_SWISH, _CLIP = int(Activation.HARD_SIGMOID), int(Activation.HARD_SWISH), int(Activation.CLIP)
_SWISH = int(Activation.SWISH)
_ZERO, _HALF, _ONE, _SIXTH = np.float32(0), np.float32(0.5), np.float32(1), np.float32(1 / 6)
_LOWEST = np.float32(-np.inf)


@njit(inline="always")
def is_stored(code):
    """Native: whether a tile applies an activation as it is stored: a factor below zero, then a lower limit."""
    return code <= _LEAKY_RELU or code == _PRELU


@njit(inline="always")
def floor_of(code):
    """Native: the lower limit that a tile applies as it is stored."""
    return _ZERO if code == _RELU else _LOWEST


@njit(inline="always")
def leak_of(code, alpha):
    """Native: the factor below zero that a tile applies as it is stored, unless each channel has its own (PRELU)."""
    return alpha if code == _LEAKY_RELU else _ONE


@device
def activate(address, vectors, code, alpha, beta):
    """Native: apply an activation in place, if it is not one that a tile applies as it is stored (`is_stored`).

    Args:
        address: of vectors * PANEL float32, contiguous.
        vectors: how many whole vectors to work on; what lies behind the valid elements must not matter.
        code: a member of Activation.
        alpha, beta: float32.
    """
    for v in range(vectors):
        y = float_pointer(address + 4 * PANEL * v)
        if code == _SWISH:
            store(y, swish(load(y), alpha))
        elif code == _SIGMOID:
            store(y, sigmoid(load(y)))
        elif code == _TANH:
            for i in range(PANEL):
                y[i] = tanh_f32(y[i])
        elif code == _ELU:
            for i in range(PANEL):
                y[i] = alpha * expm1_negative_f32(y[i]) if y[i] < _ZERO else y[i]
        elif code == _HARD_SIGMOID:
            for i in range(PANEL):
                y[i] = _clip(alpha * y[i] + beta, _ZERO, _ONE)
        elif code == _HARD_SWISH:
            for i in range(PANEL):
                y[i] = y[i] * _clip(y[i] * _SIXTH + _HALF, _ZERO, _ONE)
        elif code == _CLIP:
            for i in range(PANEL):
                y[i] = _clip(y[i], alpha, beta)


@device
def fill_starts(zeros, leaks, vectors, code, alpha):
    """Native: what a tile gets where there is no bias and no slope a channel: zeros, and one leak for all.

    Args:
        zeros, leaks: addresses of vectors * PANEL float32.
        code, alpha: the activation's, as for `activate`.
    """
    zero, leak = splat(_ZERO), splat(leak_of(code, alpha))
    for v in range(vectors):
        store(float_pointer(zeros + 4 * PANEL * v), zero)
        store(float_pointer(leaks + 4 * PANEL * v), leak)


@device
def write_rows(block, block_row, rows, columns, code, alpha, beta, y, y_row, y_column):
    """Native: apply an activation to the rows of a tile and write them with any strides.

    Args:
        block: address of the rows' float32, `block_row` elements (whole vectors) apart.
        code, alpha, beta: the activation's, as for `activate`; one that the tile has applied is left alone.
        y: address of the first output; y_row, y_column its strides in elements.
    """
    for r in range(rows):
        line = block + 4 * block_row * r
        if not is_stored(code):
            activate(line, -(-columns // PANEL), code, alpha, beta)
        values, written = float_pointer(line), float_pointer(y + 4 * r * y_row)
        for c in range(columns):
            written[c * y_column] = values[c]


@device
def activate_rows(address, rows, row_bytes, columns, code, alpha, beta):
    """Native: `activate` contiguous rows of any length in place; what lies behind their columns is not touched.

    Rows that lie end to end are one run of vectors, so that one fills the waits of another.
    """
    vectors, rest = columns // PANEL, columns % PANEL
    if rest == 0 and row_bytes == 4 * columns:
        activate(address, rows * vectors, code, alpha, beta)
        return
    block = stack_floats(PANEL)
    for r in range(rows):
        row = address + r * row_bytes
        activate(row, vectors, code, alpha, beta)
        if rest > 0:
            end, last = float_pointer(row + 4 * PANEL * vectors), float_pointer(block)
            store(last, load_first(end, rest))
            activate(block, 1, code, alpha, beta)
            store_first(end, load(last), rest)


@njit(inline="always")
def _clip(x, low, high):
    # A NaN is neither below nor above, and stays.
    x = low if x < low else x
    return high if x > high else x
