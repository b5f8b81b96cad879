"""Cells of the general recurrent layers: one step of one row, with any activations, as passes over vectors.

Arguments that are addresses point to float32: the states h and c [hidden], and both parts of the gates [gates, hidden],
that of the input and that of the hidden state. The gates are worked out in the place of the input's part.
"""

from __future__ import annotations

import numpy as np

from .gate_functions import activate
from .memory import float_pointer
from .native import device

_ONE = np.float32(1)


@device
def _add(target, source, count):
    total, more = float_pointer(target), float_pointer(source)
    for i in range(count):
        total[i] += more[i]


@device
def _add_products(target, left, right, count):
    total, a, b = float_pointer(target), float_pointer(left), float_pointer(right)
    for i in range(count):
        total[i] += a[i] * b[i]


@device
def rnn_cells(f, hidden, h, from_input, from_hidden):
    """Native: h = f(x W + h R + Wb + Rb)."""
    new, a, b = float_pointer(h), float_pointer(from_input), float_pointer(from_hidden)
    for i in range(hidden):
        new[i] = a[i] + b[i]
    activate(f, h, hidden)


@device
def gru_gates(f, hidden, h, from_input, from_hidden, reset_h):
    """Native: z and r in the place of their inputs, and r * h."""
    _add(from_input, from_hidden, 2 * hidden)
    activate(f, from_input, 2 * hidden)
    target, r, state = float_pointer(reset_h), float_pointer(from_input + 4 * hidden), float_pointer(h)
    for i in range(hidden):
        target[i] = r[i] * state[i]


@device
def gru_cells(g, linear_before_reset, hidden, h, from_input, from_hidden):
    """Native: h = (1 - z) n + z h of z and r as `gru_gates` left them; the hidden part of n has r in it, or gets it."""
    r, n, part = from_input + 4 * hidden, from_input + 8 * hidden, from_hidden + 8 * hidden
    if linear_before_reset:
        _add_products(n, r, part, hidden)
    else:
        _add(n, part, hidden)
    activate(g, n, hidden)
    state, z, new = float_pointer(h), float_pointer(from_input), float_pointer(n)
    for i in range(hidden):
        state[i] = (_ONE - z[i]) * new[i] + z[i] * state[i]


@device
def lstm_cells(f, g, last, input_forget, peepholes, hidden, h, c, from_input, from_hidden):
    """Native: c and h of the gates i, o, f, g; `peepholes` [3, hidden] of i, o, f, or 0; `last`: the function of c."""
    width = 4 * hidden
    i, o, forget, new = from_input, from_input + width, from_input + 2 * width, from_input + 3 * width
    _add(from_input, from_hidden, 4 * hidden)
    if peepholes:
        _add_products(i, peepholes, c, hidden)
        _add_products(forget, peepholes + 2 * width, c, hidden)
    activate(f, i, hidden)
    activate(g, new, hidden)
    cell, state, taken, kept = float_pointer(c), float_pointer(h), float_pointer(i), float_pointer(forget)
    if input_forget:
        for k in range(hidden):
            kept[k] = _ONE - taken[k]
    else:
        activate(f, forget, hidden)
    for k in range(hidden):
        cell[k] = state[k] = kept[k] * cell[k] + taken[k] * float_pointer(new)[k]
    if peepholes:
        _add_products(o, peepholes + width, c, hidden)
    activate(f, o, hidden)
    activate(last, h, hidden)
    for k in range(hidden):
        state[k] *= float_pointer(o)[k]
