"""Definitions of the recurrent kernels: LSTM and GRU as the ONNX operators define them, one direction.

Where a kernel's own docstring says nothing else, all are float32 and

x: [time, batch, input]
input_weights, hidden_weights: [elements] packed by `packing_recurrent.gate_weights`
bias: [elements] packed by `packing_recurrent.gate_bias`
y: [time, batch, hidden]
initial_hidden, initial_cell: [batch, hidden] or None for zeros
last_hidden, last_cell: [batch, hidden] or None; may be the initial one's own memory

Source: ONNX LSTM and GRU.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ..opcodes import Activation
from ..packing_recurrent import (
    GRU_GATES,
    LSTM_GATES,
    small_block,
    unpack_gate_bias,
    unpack_gate_weights,
    unpack_small_gate_weights,
)
from ..schemas.recurrent import Direction
from .execute import definition


def _sigmoid(x: np.ndarray) -> np.ndarray:
    # Through tanh: no overflow on either side.
    return (0.5 * np.tanh(0.5 * x.astype(np.float64)) + 0.5).astype(np.float32)


def _unpacked(
    gates: int, x: np.ndarray, y: np.ndarray, input_weights: np.ndarray, hidden_weights: np.ndarray, bias: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """W^T [input, gates * hidden], R^T [hidden, gates * hidden], Wb and Rb [gates * hidden]."""
    hidden, inner = y.shape[2], x.shape[2]
    w = unpack_gate_weights(input_weights, gates, hidden, inner)
    r = unpack_gate_weights(hidden_weights, gates, hidden, hidden)
    wb, rb = unpack_gate_bias(bias, gates, hidden)
    return w.T, r.T, wb, rb


def _run(
    step: Callable[..., tuple[np.ndarray, ...]],
    from_input: np.ndarray,
    y: np.ndarray,
    reverse: int,
    initial: Sequence[np.ndarray | None],
    last: Sequence[np.ndarray | None],
) -> None:
    """All steps of a layer: y [time, batch, hidden] and the last states, which may lie where the initial ones do.

    Args:
        step: from the input part of one step [batch, gates * hidden] and the states, the hidden one first, to the next.
        from_input: [time, batch, gates * hidden].
        y, reverse: of the kernel.
        initial: [batch, hidden] each; None: zeros.
        last: likewise, written; None: not wanted.
    """
    states = tuple(np.zeros(y.shape[1:], np.float32) if state is None else state for state in initial)
    for t in range(len(y))[::-1] if reverse else range(len(y)):
        states = step(from_input[t], *states)
        y[t] = states[0]
    for state, target in zip(states, last, strict=True):
        if target is not None:
            target[...] = state


@definition
def lstm(  # noqa: PLR0913  (the operands of the schema)
    x: np.ndarray,
    input_weights: np.ndarray,
    hidden_weights: np.ndarray,
    bias: np.ndarray,
    initial_hidden: np.ndarray | None,
    y: np.ndarray,
    last_hidden: np.ndarray | None,
    reverse: int,
    initial_cell: np.ndarray | None,
    last_cell: np.ndarray | None,
    scratch: np.ndarray,
) -> None:
    """i, o, f = sigmoid(x W + h R + Wb + Rb), g = tanh(likewise); c = f * c + i * g; h = o * tanh(c)."""
    w, r, wb, rb = _unpacked(LSTM_GATES, x, y, input_weights, hidden_weights, bias)

    def step(from_input: np.ndarray, h: np.ndarray, c: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        i, o, f, g = np.split(from_input + h @ r + rb, LSTM_GATES, axis=1)
        c = _sigmoid(f) * c + _sigmoid(i) * np.tanh(g)
        return _sigmoid(o) * np.tanh(c), c

    _run(step, x @ w + wb, y, reverse, (initial_hidden, initial_cell), (last_hidden, last_cell))


@definition
def gru(  # noqa: PLR0913  (the operands of the schema)
    x: np.ndarray,
    input_weights: np.ndarray,
    hidden_weights: np.ndarray,
    bias: np.ndarray,
    initial_hidden: np.ndarray | None,
    y: np.ndarray,
    last_hidden: np.ndarray | None,
    reverse: int,
    linear_before_reset: int,
    candidate: Activation,
    scratch: np.ndarray,
) -> None:
    """z, r = sigmoid(x W + h R + Wb + Rb); h = (1 - z) * n + z * h.

    n = g(x Wn + Wbn + r * (h Rn + Rbn)) with linear_before_reset, else g(x Wn + Wbn + (r * h) Rn + Rbn);
    g is the candidate's activation, tanh or Relu.
    """
    w, r, wb, rb = _unpacked(GRU_GATES, x, y, input_weights, hidden_weights, bias)
    step = _gru_step(r, rb, linear_before_reset, candidate)
    _run(step, x @ w + wb, y, reverse, (initial_hidden,), (last_hidden,))


def _gru_step(
    r: np.ndarray, rb: np.ndarray, linear_before_reset: int, candidate: Activation
) -> Callable[[np.ndarray, np.ndarray], tuple[np.ndarray]]:
    """The step of a GRU with R^T and Rb."""

    def step(from_input: np.ndarray, h: np.ndarray) -> tuple[np.ndarray]:
        input_z, input_r, input_n = np.split(from_input, GRU_GATES, axis=1)
        hidden_z, hidden_r, hidden_n = np.split(h @ r + rb, GRU_GATES, axis=1)
        z, reset = _sigmoid(input_z + hidden_z), _sigmoid(input_r + hidden_r)
        if linear_before_reset:
            total = input_n + reset * hidden_n
        else:
            total = input_n + (reset * h) @ r[:, -h.shape[1] :] + rb[-h.shape[1] :]
        n = np.maximum(total, 0) if candidate is Activation.RELU else np.tanh(total)
        return ((1 - z) * n + z * h,)

    return step


@definition
def gru_small(  # noqa: PLR0913  (the operands of the schema)
    x: np.ndarray,
    input_weights: np.ndarray,
    hidden_weights: np.ndarray,
    bias: np.ndarray,
    initial_hidden: np.ndarray | None,
    y: np.ndarray,
    last_hidden: np.ndarray | None,
    direction: Direction,
    linear_before_reset: int,
    candidate: Activation,
) -> None:
    """`gru` for every group and direction.

    Args:
        x: [groups, time, batch, input].
        input_weights, hidden_weights: [elements] packed by `packing_recurrent.small_gate_weights`.
        bias: [elements] packed by `packing_recurrent.small_gate_bias`.
        initial_hidden, last_hidden: [groups, directions, batch, hidden] or None.
        y: [groups, directions, time, batch, hidden].
        direction: which of the directions there are.
        linear_before_reset, candidate: as for `gru`.
    """
    groups, directions, _, _, size = y.shape
    inner, block = x.shape[3], small_block(size)
    for group in range(groups):
        for d in range(directions):
            sequence = group * directions + d
            w = unpack_small_gate_weights(input_weights, sequence, size, inner).T
            r = unpack_small_gate_weights(hidden_weights, sequence, size, size).T
            at = sequence * block
            z_bias, r_bias, wbn, rbn = bias.reshape(4, -1)[:, at : at + size]
            wb, rb = np.concatenate([z_bias, r_bias, wbn]), np.concatenate([0 * rbn, 0 * rbn, rbn])
            step = _gru_step(r, rb, linear_before_reset, candidate)
            before, after = (state if state is None else state[group, d] for state in (initial_hidden, last_hidden))
            _run(step, x[group] @ w + wb, y[group, d], direction.reversed[d], (before,), (after,))
