"""Native recurrent layers with all that ONNX allows, one direction: RNN, and the GRU and LSTM that others do not take.

Row by row: the input part of many steps as one product, then step by step; the products run on vectors, the gates
number by number through their activation's code. Bound by those branches, some nanoseconds a hidden number and step,
and for large layers by reading R once a row and step. Equations: ONNX operators RNN, GRU and LSTM.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from ..contract import PANEL, Context
from ..schemas.recurrent_general import RECURRENT_GENERAL, Cell
from .gate_functions import Function, apply, limited
from .gate_vectors import VECTOR_BYTES, copy_floats
from .memory import bits_to_float, float_pointer, locate, word_pointer
from .native import native
from .recurrent import STEPS, gate_products
from .vectors import address_of, device

_AT = RECURRENT_GENERAL.positions()
_X, _Y, _BIAS, _PEEPHOLES, _LENGTHS = (_AT[name] for name in ("x", "y", "bias", "peepholes", "lengths"))
_INPUT_WEIGHTS, _HIDDEN_WEIGHTS, _SCRATCH = _AT["input_weights"], _AT["hidden_weights"], _AT["scratch"]
_INITIAL_HIDDEN, _INITIAL_CELL = _AT["initial_hidden"], _AT["initial_cell"]
_LAST_HIDDEN, _LAST_CELL = _AT["last_hidden"], _AT["last_cell"]
_CELL, _REVERSE, _CLIP, _F, _G, _H = (_AT[name] for name in ("cell", "reverse", "clip", "f", "g", "h"))
_LINEAR_BEFORE_RESET, _INPUT_FORGET = _AT["linear_before_reset"], _AT["input_forget"]
_GATES = (Cell.RNN.gates, Cell.GRU.gates, Cell.LSTM.gates)
_RNN, _GRU = int(Cell.RNN), int(Cell.GRU)
_LANES = int(Context.LANES)
_PANEL, _VECTOR = PANEL, VECTOR_BYTES
_ZERO, _ONE = np.float32(0), np.float32(1)
_products = gate_products(1, 8)


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
def _hidden_part(o, context, hidden, h, from_hidden, first, end):
    """Columns `first` .. `end` - 1 of h R + Rb, and what else lies in their panels."""
    panels, skipped = (_GATES[o[_CELL]] * hidden + _PANEL - 1) // _PANEL, first // _PANEL
    bias = locate(o, _BIAS, context, 0) + (panels + skipped) * _VECTOR
    weights = locate(o, _HIDDEN_WEIGHTS, context, 0) + skipped * hidden * _VECTOR
    count = (end + _PANEL - 1) // _PANEL - skipped
    _products(address_of(from_hidden) + skipped * _VECTOR, 0, bias, address_of(h), 0, 4, weights, hidden, 1, count, 0)


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
        _hidden_part(o, context, hidden, reset_h, from_hidden, 2 * hidden, 3 * hidden)
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
def _cells(o, context, hidden, h, c, reset_h, from_input, from_hidden):
    """One step of one row, whose input part is there."""
    columns = _GATES[o[_CELL]] * hidden
    if o[_CELL] == _GRU and not o[_LINEAR_BEFORE_RESET]:
        columns = 2 * hidden  # the candidate waits for the reset
    _hidden_part(o, context, hidden, h, from_hidden, 0, columns)
    if o[_CELL] == _RNN:
        _rnn_cells(o, hidden, h, from_input, from_hidden)
    elif o[_CELL] == _GRU:
        _gru_cells(o, hidden, h, reset_h, from_input, from_hidden, context)
    else:
        _lstm_cells(o, hidden, h, c, from_input, from_hidden, context)


@device
def _row(o, context, length, x, y, h, c, reset_h, from_hidden, from_input):
    """All steps of one row; x and y: addresses of its first step."""
    hidden = o[_Y + 3]
    panels = (_GATES[o[_CELL]] * hidden + _PANEL - 1) // _PANEL
    weights, bias = locate(o, _INPUT_WEIGHTS, context, 0), locate(o, _BIAS, context, 0)
    x_time, y_time, y_step = 4 * o[_X + 4], 4 * o[_Y + 4], o[_Y + 6]
    for first in range(0, length, STEPS):
        count = min(STEPS, length - first)
        start, turn = first, 1
        if o[_REVERSE]:
            start, turn = length - 1 - first, -1
        _products(
            from_input, panels * _VECTOR, bias, x + start * x_time, turn * x_time, 4 * o[_X + 6], weights, o[_X + 3],
            count, panels, 0,
        )  # fmt: skip
        for step in range(count):
            _cells(o, context, hidden, h, c, reset_h, float_pointer(from_input + step * panels * _VECTOR), from_hidden)
            written = float_pointer(y + (start + turn * step) * y_time)
            for i in range(hidden):
                written[i * y_step] = h[i]
    for t in range(length, o[_Y + 1]):
        written = float_pointer(y + t * y_time)
        for i in range(hidden):
            written[i * y_step] = _ZERO


@device
def _load(o, position, context, lane, row, target, hidden):
    if o[position] >= 0:
        copy_floats(address_of(target), locate(o, position, context, lane) + 4 * row * o[position + 3], hidden)
    else:
        for i in range(hidden):
            target[i] = _ZERO


@device
def _store(o, position, context, lane, row, source, hidden):
    if o[position] >= 0:
        copy_floats(locate(o, position, context, lane) + 4 * row * o[position + 3], address_of(source), hidden)


@native
def recurrent_general(operands, context):
    """y and the last states of `reference.recurrent_general.recurrent_general`."""
    o = operands
    time, rows, hidden = o[_X + 1], o[_X + 2], o[_Y + 3]
    width = (hidden + _PANEL - 1) // _PANEL * _VECTOR
    gates_width = (_GATES[o[_CELL]] * hidden + _PANEL - 1) // _PANEL * _VECTOR
    for lane in range(context[_LANES]):
        scratch = locate(o, _SCRATCH, context, lane)
        h, c, reset_h = float_pointer(scratch), float_pointer(scratch + width), float_pointer(scratch + 2 * width)
        from_hidden, from_input = float_pointer(scratch + 3 * width), scratch + 3 * width + gates_width
        x, y = locate(o, _X, context, lane), locate(o, _Y, context, lane)
        for row in range(rows):
            length = time
            if o[_LENGTHS] >= 0:
                lengths = word_pointer(locate(o, _LENGTHS, context, lane))
                length = min(max(lengths[row * o[_LENGTHS + 2]], 0), time)
            _load(o, _INITIAL_HIDDEN, context, lane, row, h, hidden)
            _load(o, _INITIAL_CELL, context, lane, row, c, hidden)
            x_row, y_row = x + 4 * row * o[_X + 5], y + 4 * row * o[_Y + 5]
            _row(o, context, length, x_row, y_row, h, c, reset_h, from_hidden, from_input)
            _store(o, _LAST_HIDDEN, context, lane, row, h, hidden)
            _store(o, _LAST_CELL, context, lane, row, c, hidden)
