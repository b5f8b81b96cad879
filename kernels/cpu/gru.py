"""Native GRU, one direction, gates of sigmoid and a candidate of tanh or Relu: `recurrent` describes how."""

from __future__ import annotations

from numba import njit

from ..contract import PANEL, Context
from ..opcodes import Activation
from ..schemas.recurrent import GRU
from .gate_vectors import VECTOR_BYTES, gru_candidate, gru_cell, gru_reset
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

_POSITIONS = GRU.positions()
_X, _Y, _SCRATCH, _BIAS = (_POSITIONS[name] for name in ("x", "y", "scratch", "bias"))
_INPUT_WEIGHTS, _HIDDEN_WEIGHTS = _POSITIONS["input_weights"], _POSITIONS["hidden_weights"]
_INITIAL_HIDDEN, _LAST_HIDDEN = _POSITIONS["initial_hidden"], _POSITIONS["last_hidden"]
_REVERSE, _LINEAR_BEFORE_RESET = _POSITIONS["reverse"], _POSITIONS["linear_before_reset"]
_CANDIDATE, _RELU = _POSITIONS["candidate"], int(Activation.RELU)
_LANES = int(Context.LANES)
_PANEL = PANEL
_VECTOR = VECTOR_BYTES
_GATES = 3

_products = gate_products(_GATES, 8)
_input_products = input_products(_products, _GATES)
_cell, _two_cells = gru_cell(1), gru_cell(2)


@device
def _cells_linear_before_reset(from_input, from_hidden, h, rectified, region, rows, panels):
    """All cells of all rows: by two rows, then by two panels, so that one fills the other's waits."""
    column = _GATES * _VECTOR
    row = 0
    while row + 2 <= rows:
        for panel in range(panels):
            gate, state = row * region + panel * column, row * region + panel * _VECTOR
            _two_cells(from_input + gate, from_hidden + gate, h + state, rectified, region, region)
        row += 2
    if row < rows:
        at, panel = row * region, 0
        while panel + 2 <= panels:
            gate, state = at + panel * column, at + panel * _VECTOR
            _two_cells(from_input + gate, from_hidden + gate, h + state, rectified, column, _VECTOR)
            panel += 2
        if panel < panels:
            gate, state = at + panel * column, at + panel * _VECTOR
            _cell(from_input + gate, from_hidden + gate, h + state, rectified, 0, 0)


@njit(inline="always")
def _cells_reset_first(from_input, from_hidden, bias, h, reset_h, rectified, weights, hidden, region, rows, panels):
    """The candidate needs r * h of all panels: a second pass over the weights, of which it uses one gate in three."""
    for row in range(rows):
        at = row * region
        for panel in range(panels):
            gates, lanes = at + panel * _GATES * _VECTOR, at + panel * _VECTOR
            gru_reset(from_input + gates, from_hidden + gates, h + lanes, reset_h + lanes)
    _products(from_hidden, region, bias, reset_h, region, 4, weights, hidden, rows, panels)
    for row in range(rows):
        at = row * region
        for panel in range(panels):
            gates = at + panel * _GATES * _VECTOR
            gru_candidate(from_input + gates, from_hidden + gates, h + at + panel * _VECTOR, rectified)


@native
def gru(operands, context):
    """y and last_hidden of `reference.recurrent.gru`."""
    time, inner, hidden = operands[_X + 1], operands[_X + 3], operands[_Y + 3]
    panels = (hidden + _PANEL - 1) // _PANEL
    shared = shares_weights(operands, _X, context)
    rows = context[_LANES] if shared else operands[_X + 2]
    gates = _GATES * panels
    rectified = 1 if operands[_CANDIDATE] == _RELU else 0
    region = region_distance(context, shared, 2 * panels + gates * (1 + min(time, STEPS)))
    x_row, x_time, x_step = row_distance(operands, _X, context, shared), 4 * operands[_X + 4], 4 * operands[_X + 6]
    input_weights = locate(operands, _INPUT_WEIGHTS, context, 0)
    hidden_weights = locate(operands, _HIDDEN_WEIGHTS, context, 0)
    bias = locate(operands, _BIAS, context, 0)
    for group in range(1 if shared else context[_LANES]):
        x = locate(operands, _X, context, group)
        h = locate(operands, _SCRATCH, context, group)
        reset_h = h + panels * _VECTOR
        from_hidden = reset_h + panels * _VECTOR
        from_input = from_hidden + gates * _VECTOR
        load_state(operands, _INITIAL_HIDDEN, context, group, rows, shared, h, region, panels)
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
                inputs, hidden_bias = from_input + step * gates * _VECTOR, bias + gates * _VECTOR
                _products(from_hidden, region, hidden_bias, h, region, 4, hidden_weights, hidden, rows, panels)
                if operands[_LINEAR_BEFORE_RESET]:
                    _cells_linear_before_reset(inputs, from_hidden, h, rectified, region, rows, panels)
                else:
                    _cells_reset_first(
                        inputs, from_hidden, hidden_bias, h, reset_h, rectified,
                        hidden_weights, hidden, region, rows, panels,
                    )  # fmt: skip
                store_step(operands, _Y, context, group, rows, shared, start + turn * step, h, region)
        store_state(operands, _LAST_HIDDEN, context, group, rows, shared, h, region)
