"""Native LSTM, one direction, with the default activations: `recurrent` describes how."""

from __future__ import annotations

from ..contract import PANEL, Context
from ..schemas.recurrent import LSTM
from .gate_vectors import VECTOR_BYTES, lstm_cell
from .memory import locate
from .native import native
from .recurrent import (
    STEPS,
    gate_products,
    input_products,
    load_state,
    region_distance,
    row_distance,
    shares_weights,
    store_state,
    store_step,
)
from .vectors import device

_POSITIONS = LSTM.positions()
_X, _Y, _SCRATCH, _BIAS = (_POSITIONS[name] for name in ("x", "y", "scratch", "bias"))
_INPUT_WEIGHTS, _HIDDEN_WEIGHTS = _POSITIONS["input_weights"], _POSITIONS["hidden_weights"]
_INITIAL_HIDDEN, _LAST_HIDDEN = _POSITIONS["initial_hidden"], _POSITIONS["last_hidden"]
_INITIAL_CELL, _LAST_CELL = _POSITIONS["initial_cell"], _POSITIONS["last_cell"]
_REVERSE = _POSITIONS["reverse"]
_LANES = int(Context.LANES)
_PANEL = PANEL
_VECTOR = VECTOR_BYTES
_GATES = 4

_products = gate_products(_GATES, 6)
_input_products = input_products(_products, _GATES)
_cell, _two_cells = lstm_cell(1), lstm_cell(2)


@device
def _cells(from_input, from_hidden, c, h, region, rows, panels):
    """All cells of all rows: by two rows, then by two panels, so that one fills the other's waits."""
    column = _GATES * _VECTOR
    row = 0
    while row + 2 <= rows:
        for panel in range(panels):
            gate, state = row * region + panel * column, row * region + panel * _VECTOR
            _two_cells(from_input + gate, from_hidden + gate, c + state, h + state, region, region)
        row += 2
    if row < rows:
        at, panel = row * region, 0
        while panel + 2 <= panels:
            gate, state = at + panel * column, at + panel * _VECTOR
            _two_cells(from_input + gate, from_hidden + gate, c + state, h + state, column, _VECTOR)
            panel += 2
        if panel < panels:
            gate, state = at + panel * column, at + panel * _VECTOR
            _cell(from_input + gate, from_hidden + gate, c + state, h + state, 0, 0)


@native
def lstm(operands, context):
    """y, last_hidden and last_cell of `reference.recurrent.lstm`."""
    time, inner, hidden = operands[_X + 1], operands[_X + 3], operands[_Y + 3]
    panels = (hidden + _PANEL - 1) // _PANEL
    shared = shares_weights(operands, _X, context)
    rows = context[_LANES] if shared else operands[_X + 2]
    gates = _GATES * panels
    region = region_distance(context, shared, 2 * panels + gates * (1 + min(time, STEPS)))
    x_row, x_time, x_step = row_distance(operands, _X, context, shared), 4 * operands[_X + 4], 4 * operands[_X + 6]
    input_weights = locate(operands, _INPUT_WEIGHTS, context, 0)
    hidden_weights = locate(operands, _HIDDEN_WEIGHTS, context, 0)
    bias = locate(operands, _BIAS, context, 0)
    for group in range(1 if shared else context[_LANES]):
        x = locate(operands, _X, context, group)
        h = locate(operands, _SCRATCH, context, group)
        c = h + panels * _VECTOR
        from_hidden = c + panels * _VECTOR
        from_input = from_hidden + gates * _VECTOR
        load_state(operands, _INITIAL_HIDDEN, context, group, rows, shared, h, region, panels)
        load_state(operands, _INITIAL_CELL, context, group, rows, shared, c, region, panels)
        for first in range(0, time, STEPS):
            count = min(STEPS, time - first)
            start, turn = first, 1
            if operands[_REVERSE]:
                start, turn = time - 1 - first, -1
            _input_products(
                from_input, region, bias, x + start * x_time, x_row, turn * x_time, x_step,
                input_weights, inner, rows, count, panels,
            )  # fmt: skip
            for step in range(count):
                _products(
                    from_hidden, region, bias + gates * _VECTOR, h, region, 4, hidden_weights, hidden, rows, panels
                )
                _cells(from_input + step * gates * _VECTOR, from_hidden, c, h, region, rows, panels)
                store_step(operands, _Y, context, group, rows, shared, start + turn * step, h, region)
        store_state(operands, _LAST_HIDDEN, context, group, rows, shared, h, region)
        store_state(operands, _LAST_CELL, context, group, rows, shared, c, region)
