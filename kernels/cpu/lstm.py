"""Native LSTM, one direction, with the default activations: `recurrent` describes how.

x [time, batch, input] and y [time, batch, hidden] of any strides, states [batch, hidden] with contiguous rows.

Bound by reading the weights once a step from the cache that they fit into; below a hidden size of about 64 by the
latency of products and gates.

Source: ONNX LSTM.
"""

from __future__ import annotations

from typing import Any

from ..schemas.recurrent import LSTM, LSTM_HALF
from .gate_vectors import VECTOR_BYTES, lstm_cell
from .native import device, native
from .recurrent import layer

_VECTOR = VECTOR_BYTES
_GATES = 4

_cell, _two_cells = lstm_cell(1), lstm_cell(2)


def _cells(products: Any) -> Any:
    @device
    def compute(o, from_input, from_hidden, bias, h, c, weights, hidden, region, rows, panels, backwards):
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

    return compute


_run = layer(LSTM, _GATES, 6, _cells)
_run_half = layer(LSTM_HALF, _GATES, 6, _cells, half=True)


@native
def lstm(operands, context):
    """y, last_hidden and last_cell of `reference.recurrent.lstm`."""
    _run(operands, context)


@native
def lstm_half(operands, context):
    """`lstm`, with weights of float16 that are widened as they are read."""
    _run_half(operands, context)
