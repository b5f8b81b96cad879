"""Native GRU, one direction, gates of sigmoid and a candidate of tanh or Relu: `recurrent` describes how.

x [time, batch, input] and y [time, batch, hidden] of any strides, states [batch, hidden] with contiguous rows.

Bound by reading the weights once a step from the cache that they fit into; below a hidden size of about 64 by the
latency of products and gates.

Source: ONNX GRU.
"""

from __future__ import annotations

from typing import Any

from ..opcodes import Activation
from ..schemas.recurrent import GRU, GRU_HALF
from .gate_vectors import VECTOR_BYTES, gru_candidate, gru_cell, gru_reset
from .native import device, native
from .recurrent import layer

_POSITIONS = GRU.positions()
_LINEAR_BEFORE_RESET, _CANDIDATE = _POSITIONS["linear_before_reset"], _POSITIONS["candidate"]
_RELU = int(Activation.RELU)
_VECTOR = VECTOR_BYTES
_GATES = 3

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


def _cells(products: Any) -> Any:
    @device
    def reset_first(
        from_input, from_hidden, bias, h, reset_h, rectified, weights, hidden, region, rows, panels, backwards
    ):
        """The candidate needs r * h of all panels: a second pass over the weights, one gate in three of use."""
        for row in range(rows):
            at = row * region
            for panel in range(panels):
                gates, lanes = at + panel * _GATES * _VECTOR, at + panel * _VECTOR
                gru_reset(from_input + gates, from_hidden + gates, h + lanes, reset_h + lanes)
        products(from_hidden, region, bias, reset_h, region, 4, weights, hidden, rows, panels, backwards)
        for row in range(rows):
            at = row * region
            for panel in range(panels):
                gates = at + panel * _GATES * _VECTOR
                gru_candidate(from_input + gates, from_hidden + gates, h + at + panel * _VECTOR, rectified)

    @device
    def compute(o, from_input, from_hidden, bias, h, reset_h, weights, hidden, region, rows, panels, backwards):
        rectified = 1 if o[_CANDIDATE] == _RELU else 0
        if o[_LINEAR_BEFORE_RESET]:
            _cells_linear_before_reset(from_input, from_hidden, h, rectified, region, rows, panels)
        else:
            reset_first(
                from_input, from_hidden, bias, h, reset_h, rectified, weights, hidden, region, rows, panels, backwards
            )

    return compute


_run = layer(GRU, _GATES, 8, _cells)
_run_half = layer(GRU_HALF, _GATES, 8, _cells, half=True)


@native
def gru(operands, context):
    """y and last_hidden of `reference.recurrent.gru`."""
    _run(operands, context)


@native
def gru_half(operands, context):
    """`gru`, with weights of float16 that are widened as they are read."""
    _run_half(operands, context)
