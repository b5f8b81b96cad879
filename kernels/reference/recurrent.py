"""Definitions of the recurrent kernels: LSTM and GRU as the ONNX operators define them, one direction."""

from __future__ import annotations

import numpy as np

from ..opcodes import Activation
from ..packing_recurrent import GRU_GATES, LSTM_GATES, unpack_gate_bias, unpack_gate_weights
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
    size = y.shape[2]
    hidden = _start(initial_hidden, y)
    for t in _steps(x, reverse):
        input_z, input_r, input_n = np.split(x[t] @ w + wb, GRU_GATES, axis=1)
        hidden_z, hidden_r, hidden_n = np.split(hidden @ r + rb, GRU_GATES, axis=1)
        update, reset = _sigmoid(input_z + hidden_z), _sigmoid(input_r + hidden_r)
        if linear_before_reset:
            total = input_n + reset * hidden_n
        else:
            total = input_n + (reset * hidden) @ r[:, 2 * size :] + rb[2 * size :]
        new = np.maximum(total, 0) if candidate is Activation.RELU else np.tanh(total)
        hidden = (1 - update) * new + update * hidden
        y[t] = hidden
    if last_hidden is not None:
        last_hidden[...] = hidden
