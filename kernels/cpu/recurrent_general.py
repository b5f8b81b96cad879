"""Native recurrent layers with all that ONNX allows, one direction: RNN, and the GRU and LSTM that others do not take.

The input part of many steps is one product a row; then all rows go step by step, with one product for the hidden part.
Products run on vectors, and so do sigmoid and tanh; other functions go number by number.

x [time, batch, input] and y [time, batch, hidden] have any strides, states contiguous rows.

Bound by reading R once a step, and for small layers by the functions.

Source: ONNX RNN, GRU and LSTM; with integer weights ONNX Runtime's DynamicQuantizeLSTM.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from ..contract import PANEL, Context
from ..schemas.recurrent_general import RECURRENT_GENERAL, Cell
from .gate_functions import Function
from .gate_vectors import VECTOR_BYTES, copy_floats
from .integer_products import Grid, grid_over, integer_products, products, widened
from .memory import bits_to_float, float_pointer, locate, word_pointer
from .native import device, native
from .recurrent import STEPS
from .recurrent_cells import gru_cells, gru_gates, lstm_cells, rnn_cells

_AT = RECURRENT_GENERAL.positions()
_X, _Y, _BIAS, _PEEPHOLES, _LENGTHS = (_AT[name] for name in ("x", "y", "bias", "peepholes", "lengths"))
_INPUT_WEIGHTS, _HIDDEN_WEIGHTS, _SCRATCH = _AT["input_weights"], _AT["hidden_weights"], _AT["scratch"]
_INPUT_SCALES, _HIDDEN_SCALES = _AT["input_scales"], _AT["hidden_scales"]
_INITIAL_HIDDEN, _INITIAL_CELL = _AT["initial_hidden"], _AT["initial_cell"]
_LAST_HIDDEN, _LAST_CELL = _AT["last_hidden"], _AT["last_cell"]
_CELL, _REVERSE, _CLIP, _F, _G, _H = (_AT[name] for name in ("cell", "reverse", "clip", "f", "g", "h"))
_LINEAR_BEFORE_RESET, _INPUT_FORGET = _AT["linear_before_reset"], _AT["input_forget"]
_GATES = (Cell.RNN.gates, Cell.GRU.gates, Cell.LSTM.gates)
_RNN, _GRU = int(Cell.RNN), int(Cell.GRU)
_LANES = int(Context.LANES)
_PANEL, _VECTOR = PANEL, VECTOR_BYTES
_ZERO, _ONE, _UNLIMITED = np.float32(0), np.float32(1), np.float32(np.inf)


class _Places(NamedTuple):
    """Addresses in scratch: what the first row has there, how many bytes on the next row has it, and what is behind."""

    h: int
    c: int
    reset_h: int
    from_hidden: int
    from_input: int
    row_bytes: int
    behind: int


@njit(inline="always")
def _gate_bytes(o):
    """Bytes of one step's gates of one row, in whole panels."""
    return (_GATES[o[_CELL]] * o[_Y + 3] + _PANEL - 1) // _PANEL * _VECTOR


@device
def _places(o, context, lane):
    state, gates = (o[_Y + 3] + _PANEL - 1) // _PANEL * _VECTOR, _gate_bytes(o)
    row_bytes = 3 * state + (1 + min(o[_X + 1], STEPS)) * gates
    h = locate(o, _SCRATCH, context, lane)
    from_hidden = h + 3 * state
    return _Places(h, h + state, h + 2 * state, from_hidden, from_hidden + gates, row_bytes, h + o[_X + 2] * row_bytes)


@device
def _length(o, context, lane, row):
    """Steps of a row."""
    if o[_LENGTHS] < 0:
        return o[_X + 1]
    lengths = word_pointer(locate(o, _LENGTHS, context, lane))
    return min(max(lengths[row * o[_LENGTHS + 2]], 0), o[_X + 1])


@device
def _input_part(o, context, lane, row, first, at, grid):
    """x W + Wb of a row, for up to STEPS of its steps from `first` on."""
    time, step, inner = 4 * o[_X + 4], 4 * o[_X + 6], o[_X + 3]
    length, target, gates = _length(o, context, lane, row), at.from_input + row * at.row_bytes, _gate_bytes(o)
    weights, bias = locate(o, _INPUT_WEIGHTS, context, 0), locate(o, _BIAS, context, 0)
    start, turn = first, time
    if o[_REVERSE]:
        start, turn = length - 1 - first, -time
    x, count = locate(o, _X, context, lane) + 4 * row * o[_X + 5] + start * time, min(STEPS, length - first)
    if o[_INPUT_SCALES] >= 0:
        scales = locate(o, _INPUT_SCALES, context, 0)
        integer_products(
            target, gates, bias, x, turn, step, weights, inner, count, gates // _VECTOR, scales, grid, at.behind
        )  # fmt: skip
    else:
        products(target, gates, bias, x, turn, step, weights, inner, count, gates // _VECTOR, 0)


@device
def _hidden_part(o, context, h, from_hidden, row_bytes, rows, first, end):
    """Columns `first` .. `end` - 1 of h R + Rb of some rows, and what else lies in their panels."""
    hidden, skipped = o[_Y + 3], first // _PANEL
    bias = locate(o, _BIAS, context, 0) + _gate_bytes(o) + skipped * _VECTOR
    weights = locate(o, _HIDDEN_WEIGHTS, context, 0) + skipped * hidden * _VECTOR
    count = (end + _PANEL - 1) // _PANEL - skipped
    products(from_hidden + skipped * _VECTOR, row_bytes, bias, h, row_bytes, 4, weights, hidden, rows, count, 0)


@device
def _integer_hidden_part(o, context, lane, step, at):
    """h R + Rb of all rows, on a grid over those that had not ended before the last step."""
    hidden, gates, reach = o[_Y + 3], _gate_bytes(o), (_ZERO, _ZERO)
    for row in range(o[_X + 2]):
        if step <= _length(o, context, lane, row):
            reach = widened(reach, at.h + row * at.row_bytes, 0, 4, 1, hidden)
    bias, scales = locate(o, _BIAS, context, 0) + gates, locate(o, _HIDDEN_SCALES, context, 0)
    integer_products(
        at.from_hidden, at.row_bytes, bias, at.h, at.row_bytes, 4, locate(o, _HIDDEN_WEIGHTS, context, 0), hidden,
        o[_X + 2], gates // _VECTOR, scales, grid_over(reach), at.behind,
    )  # fmt: skip


@njit(inline="always")
def _function(o, position, clip):
    """An activation's code, alpha and beta, and the limit of what goes in."""
    alpha, beta = bits_to_float(o[position + 1]), bits_to_float(o[position + 2])
    return Function(o[position], np.float32(alpha), np.float32(beta), clip)


@device
def _cells(o, context, row, step, at):
    """One step of one row whose input part and hidden part are there."""
    hidden, offset = o[_Y + 3], row * at.row_bytes
    h, c, from_hidden = at.h + offset, at.c + offset, at.from_hidden + offset
    from_input = at.from_input + offset + step % STEPS * _gate_bytes(o)
    clip = np.float32(bits_to_float(o[_CLIP]))
    f, g, last = _function(o, _F, clip), _function(o, _G, clip), _function(o, _H, _UNLIMITED)
    if o[_CELL] == _RNN:
        rnn_cells(f, hidden, h, from_input, from_hidden)
    elif o[_CELL] == _GRU:
        gru_gates(f, hidden, h, from_input, from_hidden, at.reset_h + offset)
        if not o[_LINEAR_BEFORE_RESET]:
            _hidden_part(o, context, at.reset_h + offset, from_hidden, 0, 1, 2 * hidden, 3 * hidden)
        gru_cells(g, o[_LINEAR_BEFORE_RESET], hidden, h, from_input, from_hidden)
    else:
        peepholes = locate(o, _PEEPHOLES, context, 0) if o[_PEEPHOLES] >= 0 else 0
        lstm_cells(f, g, last, o[_INPUT_FORGET], peepholes, hidden, h, c, from_input, from_hidden)


@device
def _write(o, context, lane, row, t, source):
    """y[t] of a row from the `hidden` numbers at an address."""
    y, h, stride = locate(o, _Y, context, lane) + 4 * (t * o[_Y + 4] + row * o[_Y + 5]), source, 4 * o[_Y + 6]
    for i in range(o[_Y + 3]):
        float_pointer(y + i * stride)[0] = float_pointer(h)[i]


@device
def _load(o, position, context, lane, row, target):
    if o[position] >= 0:
        copy_floats(target, locate(o, position, context, lane) + 4 * row * o[position + 3], o[_Y + 3])
    else:
        _clear(target, o[_Y + 3])


@device
def _clear(target, count):
    for i in range(count):
        float_pointer(target)[i] = _ZERO


@device
def _store(o, position, context, lane, row, source):
    if o[position] >= 0:
        copy_floats(locate(o, position, context, lane) + 4 * row * o[position + 3], source, o[_Y + 3])


@device
def _input_grid(o, context, lane, longest):
    """The grid over what all rows have in as many steps as the longest of them has."""
    reach = (_ZERO, _ZERO)
    for t in range(longest):
        x = locate(o, _X, context, lane) + 4 * t * o[_X + 4]
        reach = widened(reach, x, 4 * o[_X + 5], 4 * o[_X + 6], o[_X + 2], o[_X + 3])
    return grid_over(reach)


@device
def _steps(o, context, lane, at, longest):
    """All steps of all rows."""
    quantised, columns, grid = o[_INPUT_SCALES] >= 0, _GATES[o[_CELL]] * o[_Y + 3], Grid(_ONE, _ZERO)
    if o[_CELL] == _GRU and not o[_LINEAR_BEFORE_RESET]:
        columns = 2 * o[_Y + 3]  # the candidate waits for the reset
    if quantised:
        grid = _input_grid(o, context, lane, longest)
    for step in range(longest):
        if quantised:
            _integer_hidden_part(o, context, lane, step, at)
        else:
            _hidden_part(o, context, at.h, at.from_hidden, at.row_bytes, o[_X + 2], 0, columns)
        for row in range(o[_X + 2]):
            length = _length(o, context, lane, row)
            if step < length:
                if step % STEPS == 0:
                    _input_part(o, context, lane, row, step, at, grid)
                _cells(o, context, row, step, at)
                _write(o, context, lane, row, length - 1 - step if o[_REVERSE] else step, at.h + row * at.row_bytes)


@native
def recurrent_general(operands, context):
    """y and the last states of `reference.recurrent_general.recurrent_general`."""
    o = operands
    for lane in range(context[_LANES]):
        at, longest = _places(o, context, lane), 0
        for row in range(o[_X + 2]):
            longest = max(longest, _length(o, context, lane, row))
            _load(o, _INITIAL_HIDDEN, context, lane, row, at.h + row * at.row_bytes)
            _load(o, _INITIAL_CELL, context, lane, row, at.c + row * at.row_bytes)
        _steps(o, context, lane, at, longest)
        _clear(at.from_hidden, o[_Y + 3])
        for row in range(o[_X + 2]):
            length, h, c = _length(o, context, lane, row), at.h + row * at.row_bytes, at.c + row * at.row_bytes
            for t in range(length, o[_Y + 1]):
                _write(o, context, lane, row, t, at.from_hidden)
            if length == 0:
                h = c = at.from_hidden
            _store(o, _LAST_HIDDEN, context, lane, row, h)
            _store(o, _LAST_CELL, context, lane, row, c)
