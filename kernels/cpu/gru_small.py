"""Native GRUs of up to 16 hidden numbers: several sequences side by side in the lanes of one vector.

Both directions of a layer, and layers that do not wait for each other, take a block of lanes each, so that one chain of
waits serves them all. The hidden state never leaves its register, a product with R is a shuffle within blocks and a
multiply-add, and the input part of the next step fills the waits of this one.

    x       [groups, time, batch, input]  any strides
    y       [groups, directions, time, batch, hidden]  contiguous rows
    states  [groups, directions, batch, hidden]  contiguous rows

Bound by the latency of one cell, about 170 cycles a step: two exponentials and two divisions, one after the other.
"""

from __future__ import annotations

from ..contract import PANEL, Context
from ..opcodes import Activation
from ..schemas.recurrent import GRU_SMALL, Direction
from .gate_vectors import VECTOR_BYTES
from .memory import float_pointer, locate, stack_words
from .native import device, native
from .small_gate_vectors import (
    blend,
    first_of_blocks,
    gate_candidate,
    gate_sigmoid,
    gathered_inputs,
    hidden_products,
    load_part,
    product,
    store_part,
)
from .vectors import address_of, load, multiply_add, splat

_POSITIONS = GRU_SMALL.positions()
_X, _Y, _BIAS = (_POSITIONS[name] for name in ("x", "y", "bias"))
_INPUT_WEIGHTS, _HIDDEN_WEIGHTS = _POSITIONS["input_weights"], _POSITIONS["hidden_weights"]
_INITIAL, _LAST = _POSITIONS["initial_hidden"], _POSITIONS["last_hidden"]
_DIRECTION, _LINEAR_BEFORE_RESET = _POSITIONS["direction"], _POSITIONS["linear_before_reset"]
_CANDIDATE, _RELU = _POSITIONS["candidate"], int(Activation.RELU)
_FORWARD, _REVERSE = int(Direction.FORWARD), int(Direction.REVERSE)
_LANES = int(Context.LANES)
_VECTOR = VECTOR_BYTES
_GATE_ROW = 3 * VECTOR_BYTES
_MOST = PANEL // 4


@device
def _starts(o, context, lane, x_at, x_step, y_at, y_step, initial_at, last_at):
    """Where each sequence's first step and state lie for the first row, and how far the next step is, in bytes."""
    time, s = o[_X + 2], 0
    x, y = locate(o, _X, context, lane), locate(o, _Y, context, lane)
    for group in range(o[_Y + 1]):
        for direction in range(o[_Y + 2]):
            x_at[s], x_step[s] = x + 4 * group * o[_X + 5], 4 * o[_X + 6]
            y_at[s], y_step[s] = y + 4 * (group * o[_Y + 6] + direction * o[_Y + 7]), 4 * o[_Y + 8]
            if o[_DIRECTION] != _FORWARD and (direction == 1 or o[_DIRECTION] == _REVERSE):
                x_at[s] += (time - 1) * x_step[s]
                y_at[s] += (time - 1) * y_step[s]
                x_step[s], y_step[s] = -x_step[s], -y_step[s]
            if o[_INITIAL] >= 0:
                offset = group * o[_INITIAL + 5] + direction * o[_INITIAL + 6]
                initial_at[s] = locate(o, _INITIAL, context, lane) + 4 * offset
            if o[_LAST] >= 0:
                last_at[s] = locate(o, _LAST, context, lane) + 4 * (group * o[_LAST + 5] + direction * o[_LAST + 6])
            s += 1
    for rest in range(s, _MOST):  # lanes that belong to no sequence
        x_at[rest], x_step[rest] = x_at[0], x_step[0]


def _rows_of(block: int):
    """A native function: all rows of all lanes, each sequence in a block of `block` lanes."""
    inputs, products, valid = gathered_inputs(block), hidden_products(block), first_of_blocks(block)

    @device
    def run(o, context):
        x_at, x_step, y_at, y_step = stack_words(_MOST), stack_words(_MOST), stack_words(_MOST), stack_words(_MOST)
        initial_at, last_at = stack_words(_MOST), stack_words(_MOST)
        time, rows, inner, x_inner = o[_X + 2], o[_X + 3], o[_X + 4], 4 * o[_X + 8]
        hidden, sequences = o[_Y + 5], o[_Y + 1] * o[_Y + 2]
        linear, rectified = o[_LINEAR_BEFORE_RESET], 1 if o[_CANDIDATE] == _RELU else 0
        w, u = locate(o, _INPUT_WEIGHTS, context, 0), locate(o, _HIDDEN_WEIGHTS, context, 0)
        bias, sources, steps = locate(o, _BIAS, context, 0), address_of(x_at), address_of(x_step)
        x_row, y_row, initial_row, last_row = 4 * o[_X + 7], 4 * o[_Y + 9], 4 * o[_INITIAL + 7], 4 * o[_LAST + 7]
        for lane in range(context[_LANES]):
            _starts(o, context, lane, x_at, x_step, y_at, y_step, initial_at, last_at)
            for row in range(rows):
                h = splat(0.0)
                if o[_INITIAL] >= 0:
                    for s in range(sequences):
                        h = load_part(h, initial_at[s] + row * initial_row, s * block, hidden)
                for step in range(time):
                    z, r = load(float_pointer(bias)), load(float_pointer(bias + _VECTOR))
                    n, from_hidden = load(float_pointer(bias + 2 * _VECTOR)), load(float_pointer(bias + 3 * _VECTOR))
                    for k in range(inner):
                        x = inputs(sources, steps, step, row * x_row + k * x_inner)
                        z = multiply_add(x, load(float_pointer(w + k * _GATE_ROW)), z)
                        r = multiply_add(x, load(float_pointer(w + k * _GATE_ROW + _VECTOR)), r)
                        n = multiply_add(x, load(float_pointer(w + k * _GATE_ROW + 2 * _VECTOR)), n)
                    reset, update = gate_sigmoid(products(r, h, u + _VECTOR)), gate_sigmoid(products(z, h, u))
                    if linear:
                        total = multiply_add(reset, products(from_hidden, h, u + 2 * _VECTOR), n)
                    else:
                        total = multiply_add(splat(1.0), products(from_hidden, product(reset, h), u + 2 * _VECTOR), n)
                    h = valid(blend(update, gate_candidate(total, rectified), h), hidden)
                    for s in range(sequences):
                        store_part(h, y_at[s] + step * y_step[s] + row * y_row, s * block, hidden)
                if o[_LAST] >= 0:
                    for s in range(sequences):
                        store_part(h, last_at[s] + row * last_row, s * block, hidden)

    return run


_run_4, _run_8, _run_16 = _rows_of(4), _rows_of(8), _rows_of(16)


@native
def gru_small(operands, context):
    """y and last_hidden of `reference.recurrent.gru_small`."""
    hidden = operands[_Y + 5]
    if hidden <= 4:
        _run_4(operands, context)
    elif hidden <= 8:
        _run_8(operands, context)
    else:
        _run_16(operands, context)
