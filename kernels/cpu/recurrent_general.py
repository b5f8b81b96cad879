"""Native recurrent layers with all that ONNX allows, one direction: RNN, and the GRU and LSTM that others do not take.

The input part of many steps is one product a row, then all rows go step by step; the products run on vectors, the gates
number by number through their activation's code. Bound by those branches, some nanoseconds a hidden number and step,
and for large layers by reading R once a step. Equations: ONNX operators RNN, GRU and LSTM; with integer weights
onnxruntime's DynamicQuantizeLSTM.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from ..contract import PANEL, Context
from ..schemas.recurrent_general import RECURRENT_GENERAL, Cell
from .gate_functions import Function, apply, limited
from .gate_vectors import VECTOR_BYTES, copy_floats
from .integer_products import Grid, grid_over, integer_products, products, widened
from .memory import bits_to_float, float_pointer, locate, word_pointer
from .native import native
from .recurrent import STEPS
from .vectors import address_of, device

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
_ZERO, _ONE = np.float32(0), np.float32(1)


class _Places(NamedTuple):
    """Where the first row has its numbers in scratch, the bytes to those of the next, and what lies behind all rows."""

    h: int
    c: int
    reset_h: int
    from_hidden: int
    from_input: int
    row: int
    behind: int


@device
def _places(o, context, lane):
    hidden = o[_Y + 3]
    width = (hidden + _PANEL - 1) // _PANEL * _VECTOR
    gates = _panels(o) * _VECTOR
    h, row = locate(o, _SCRATCH, context, lane), 3 * width + (1 + min(o[_X + 1], STEPS)) * gates
    from_hidden = h + 3 * width
    return _Places(h, h + width, h + 2 * width, from_hidden, from_hidden + gates, row, h + o[_X + 2] * row)


@njit(inline="always")
def _panels(o):
    """Panels of all gates."""
    return (_GATES[o[_CELL]] * o[_Y + 3] + _PANEL - 1) // _PANEL


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
    length, target, panels = _length(o, context, lane, row), at.from_input + row * at.row, _panels(o)
    weights, bias = locate(o, _INPUT_WEIGHTS, context, 0), locate(o, _BIAS, context, 0)
    start, turn = first, time
    if o[_REVERSE]:
        start, turn = length - 1 - first, -time
    x, count = locate(o, _X, context, lane) + 4 * row * o[_X + 5] + start * time, min(STEPS, length - first)
    if o[_INPUT_SCALES] >= 0:
        scales = locate(o, _INPUT_SCALES, context, 0)
        integer_products(
            target, panels * _VECTOR, bias, x, turn, step, weights, inner, count, panels, scales, grid, at.behind
        )  # fmt: skip
    else:
        products(target, panels * _VECTOR, bias, x, turn, step, weights, inner, count, panels, 0)


@device
def _hidden_part(o, context, h, from_hidden, row, rows, first, end):
    """Columns `first` .. `end` - 1 of h R + Rb of some rows, and what else lies in their panels."""
    hidden, skipped = o[_Y + 3], first // _PANEL
    bias = locate(o, _BIAS, context, 0) + (_panels(o) + skipped) * _VECTOR
    weights = locate(o, _HIDDEN_WEIGHTS, context, 0) + skipped * hidden * _VECTOR
    count = (end + _PANEL - 1) // _PANEL - skipped
    products(from_hidden + skipped * _VECTOR, row, bias, h, row, 4, weights, hidden, rows, count, 0)


@device
def _integer_hidden_part(o, context, lane, step, at):
    """h R + Rb of all rows, on a grid over those that have not ended before the last step."""
    hidden, panels, reach = o[_Y + 3], _panels(o), (_ZERO, _ZERO)
    for row in range(o[_X + 2]):
        if step <= _length(o, context, lane, row):
            reach = widened(reach, at.h + row * at.row, 0, 4, 1, hidden)
    bias = locate(o, _BIAS, context, 0) + panels * _VECTOR
    weights, scales = locate(o, _HIDDEN_WEIGHTS, context, 0), locate(o, _HIDDEN_SCALES, context, 0)
    integer_products(
        at.from_hidden, at.row, bias, at.h, at.row, 4, weights, hidden, o[_X + 2], panels, scales, grid_over(reach),
        at.behind,
    )  # fmt: skip


@njit(inline="always")
def _function(o, position):
    """An activation's code, alpha and beta, and the limit of what goes in."""
    return Function(
        o[position],
        np.float32(bits_to_float(o[position + 1])),
        np.float32(bits_to_float(o[position + 2])),
        np.float32(bits_to_float(o[_CLIP])),
    )


@device
def _rnn_cells(o, hidden, h, from_input, from_hidden):
    f = _function(o, _F)
    for i in range(hidden):
        h[i] = limited(f, from_input[i] + from_hidden[i])


@device
def _gru_cells(o, hidden, h, reset_h, from_input, from_hidden, context):
    f, g = _function(o, _F), _function(o, _G)
    linear = o[_LINEAR_BEFORE_RESET]
    for i in range(hidden):
        from_input[i] = limited(f, from_input[i] + from_hidden[i])
        reset = limited(f, from_input[hidden + i] + from_hidden[hidden + i])
        reset_h[i] = reset * h[i]
        if linear:
            from_hidden[2 * hidden + i] *= reset
    if not linear:
        _hidden_part(o, context, address_of(reset_h), address_of(from_hidden), 0, 1, 2 * hidden, 3 * hidden)
    for i in range(hidden):
        candidate = limited(g, from_input[2 * hidden + i] + from_hidden[2 * hidden + i])
        z = from_input[i]
        h[i] = (_ONE - z) * candidate + z * h[i]


@device
def _lstm_cells(o, hidden, h, c, from_input, from_hidden, context):
    f, g, last = _function(o, _F), _function(o, _G), _function(o, _H)
    has_peepholes, coupled = o[_PEEPHOLES] >= 0, o[_INPUT_FORGET]
    p = float_pointer(locate(o, _PEEPHOLES, context, 0))
    for i in range(hidden):
        into_i = from_input[i] + from_hidden[i]
        into_o = from_input[hidden + i] + from_hidden[hidden + i]
        into_f = from_input[2 * hidden + i] + from_hidden[2 * hidden + i]
        if has_peepholes:
            into_i += p[i] * c[i]
            into_f += p[2 * hidden + i] * c[i]
        taken = limited(f, into_i)
        kept = _ONE - taken if coupled else limited(f, into_f)
        c[i] = kept * c[i] + taken * limited(g, from_input[3 * hidden + i] + from_hidden[3 * hidden + i])
        if has_peepholes:
            into_o += p[hidden + i] * c[i]
        h[i] = limited(f, into_o) * apply(last, c[i])


@device
def _cells(o, context, lane, row, step, at):
    """One step of one row whose input part and hidden part are there."""
    hidden, offset = o[_Y + 3], row * at.row
    h, c, reset_h = float_pointer(at.h + offset), float_pointer(at.c + offset), float_pointer(at.reset_h + offset)
    from_hidden = float_pointer(at.from_hidden + offset)
    from_input = float_pointer(at.from_input + offset + step % STEPS * _panels(o) * _VECTOR)
    if o[_CELL] == _RNN:
        _rnn_cells(o, hidden, h, from_input, from_hidden)
    elif o[_CELL] == _GRU:
        _gru_cells(o, hidden, h, reset_h, from_input, from_hidden, context)
    else:
        _lstm_cells(o, hidden, h, c, from_input, from_hidden, context)


@device
def _write(o, context, lane, row, t, source):
    """y[t] of a row: `hidden` numbers from an address, or zeros from address 0."""
    y = float_pointer(locate(o, _Y, context, lane) + 4 * (t * o[_Y + 4] + row * o[_Y + 5]))
    for i in range(o[_Y + 3]):
        y[i * o[_Y + 6]] = float_pointer(source)[i] if source else _ZERO


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
    rows, quantised, grid = o[_X + 2], o[_INPUT_SCALES] >= 0, Grid(_ONE, _ZERO)
    columns = _GATES[o[_CELL]] * o[_Y + 3]
    if o[_CELL] == _GRU and not o[_LINEAR_BEFORE_RESET]:
        columns = 2 * o[_Y + 3]  # the candidate waits for the reset
    if quantised:
        grid = _input_grid(o, context, lane, longest)
    for step in range(longest):
        if quantised:
            _integer_hidden_part(o, context, lane, step, at)
        else:
            _hidden_part(o, context, at.h, at.from_hidden, at.row, rows, 0, columns)
        for row in range(rows):
            length = _length(o, context, lane, row)
            if step < length:
                if step % STEPS == 0:
                    _input_part(o, context, lane, row, step, at, grid)
                _cells(o, context, lane, row, step, at)
                _write(o, context, lane, row, length - 1 - step if o[_REVERSE] else step, at.h + row * at.row)


@native
def recurrent_general(operands, context):
    """y and the last states of `reference.recurrent_general.recurrent_general`."""
    o = operands
    for lane in range(context[_LANES]):
        at, longest = _places(o, context, lane), 0
        for row in range(o[_X + 2]):
            longest = max(longest, _length(o, context, lane, row))
            _load(o, _INITIAL_HIDDEN, context, lane, row, at.h + row * at.row)
            _load(o, _INITIAL_CELL, context, lane, row, at.c + row * at.row)
        _steps(o, context, lane, at, longest)
        for row in range(o[_X + 2]):
            length, h, c = _length(o, context, lane, row), at.h + row * at.row, at.c + row * at.row
            for t in range(length, o[_Y + 1]):
                _write(o, context, lane, row, t, 0)
            if length == 0:
                _clear(h, o[_Y + 3])
                _clear(c, o[_Y + 3])
            _store(o, _LAST_HIDDEN, context, lane, row, h)
            _store(o, _LAST_CELL, context, lane, row, c)
