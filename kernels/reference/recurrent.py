"""Definitions of the recurrent kernels: LSTM and GRU as the ONNX operators define them, one direction."""

from __future__ import annotations

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


def _start(initial: np.ndarray | None, y: np.ndarray) -> np.ndarray:
    """A copy: the last state may be written over the initial one."""
    return np.zeros(y.shape[1:], np.float32) if initial is None else initial.copy()


def _steps(x: np.ndarray, reverse: int) -> range:
    return range(len(x))[::-1] if reverse else range(len(x))


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
    hidden, cell = _start(initial_hidden, y), _start(initial_cell, y)
    for t in _steps(x, reverse):
        i, o, f, g = np.split(x[t] @ w + hidden @ r + wb + rb, LSTM_GATES, axis=1)
        cell = _sigmoid(f) * cell + _sigmoid(i) * np.tanh(g)
        hidden = _sigmoid(o) * np.tanh(cell)
        y[t] = hidden
    if last_hidden is not None:
        last_hidden[...] = hidden
    if last_cell is not None:
        last_cell[...] = cell


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
    hidden = _start(initial_hidden, y)
    for t in _steps(x, reverse):
        hidden = y[t] = _gru_step(x[t] @ w + wb, hidden, r, rb, linear_before_reset, candidate)
    if last_hidden is not None:
        last_hidden[...] = hidden


def _gru_step(
    from_input: np.ndarray,
    hidden: np.ndarray,
    r: np.ndarray,
    rb: np.ndarray,
    linear_before_reset: int,
    candidate: Activation,
) -> np.ndarray:
    """The next hidden state [batch, hidden] from x W + Wb [batch, gates * hidden] and R^T, Rb."""
    size = hidden.shape[1]
    input_z, input_r, input_n = np.split(from_input, GRU_GATES, axis=1)
    hidden_z, hidden_r, hidden_n = np.split(hidden @ r + rb, GRU_GATES, axis=1)
    update, reset = _sigmoid(input_z + hidden_z), _sigmoid(input_r + hidden_r)
    if linear_before_reset:
        total = input_n + reset * hidden_n
    else:
        total = input_n + (reset * hidden) @ r[:, 2 * size :] + rb[2 * size :]
    new = np.maximum(total, 0) if candidate is Activation.RELU else np.tanh(total)
    return (1 - update) * new + update * hidden


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
    """`gru` for every group, [groups, time, batch, input] -> [groups, directions, time, batch, hidden]."""
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
            hidden = _start(None if initial_hidden is None else initial_hidden[group, d], y[group, d])
            for t in _steps(x[group], direction.reversed[d]):
                hidden = y[group, d, t] = _gru_step(x[group, t] @ w + wb, hidden, r, rb, linear_before_reset, candidate)
            if last_hidden is not None:
                last_hidden[group, d] = hidden
