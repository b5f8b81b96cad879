"""The definition of the general recurrent layer: RNN, GRU and LSTM as ONNX describes them, one direction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..packing_recurrent import unpack_gate_bias, unpack_gate_weights
from ..schemas.recurrent_general import Cell, GateActivation
from .execute import definition

FUNCTIONS: dict[GateActivation, Callable[..., np.ndarray]] = {
    GateActivation.RELU: lambda x, a, b: np.maximum(x, 0),
    GateActivation.TANH: lambda x, a, b: np.tanh(x),
    GateActivation.SIGMOID: lambda x, a, b: 0.5 * np.tanh(0.5 * x) + 0.5,
    GateActivation.AFFINE: lambda x, a, b: a * x + b,
    GateActivation.LEAKYRELU: lambda x, a, b: np.where(x < 0, a * x, x),
    GateActivation.THRESHOLDEDRELU: lambda x, a, b: np.where(x < a, 0, x),
    GateActivation.SCALEDTANH: lambda x, a, b: a * np.tanh(b * x),
    GateActivation.HARDSIGMOID: lambda x, a, b: np.clip(a * x + b, 0, 1),
    GateActivation.ELU: lambda x, a, b: np.where(x < 0, a * np.expm1(np.minimum(x, 0)), x),
    GateActivation.SOFTSIGN: lambda x, a, b: x / (1 + np.abs(x)),
    GateActivation.SOFTPLUS: lambda x, a, b: np.logaddexp(x, 0),
}
"""f(x, alpha, beta), on float64."""


@definition
def recurrent_general(  # noqa: PLR0913  (the operands of the schema)
    x: np.ndarray,
    input_weights: np.ndarray,
    hidden_weights: np.ndarray,
    bias: np.ndarray,
    lengths: np.ndarray | None,
    initial_hidden: np.ndarray | None,
    initial_cell: np.ndarray | None,
    y: np.ndarray,
    last_hidden: np.ndarray | None,
    last_cell: np.ndarray | None,
    cell: Cell,
    reverse: int,
    scratch: np.ndarray,
    **options: Any,
) -> None:
    """Row after row, step after step; `_rnn`, `_gru` and `_lstm` say what a step is."""
    time, batch, inner = x.shape
    hidden = y.shape[2]
    columns = cell.gates * hidden
    w = unpack_gate_weights(input_weights, 1, columns, inner).T.astype(np.float64)
    r = unpack_gate_weights(hidden_weights, 1, columns, hidden).T.astype(np.float64)
    wb, rb = unpack_gate_bias(bias, 1, columns)
    step = {Cell.RNN: _rnn, Cell.GRU: _gru, Cell.LSTM: _lstm}[cell]
    starts = [np.zeros(y.shape[1:]) if s is None else s.astype(np.float64) for s in (initial_hidden, initial_cell)]
    y[...] = 0
    for row in range(batch):
        length = time if lengths is None else min(max(int(lengths[row]), 0), time)
        h, c = starts[0][row], starts[1][row]
        for t in range(length)[::-1] if reverse else range(length):
            h, c = step(x[t, row] @ w + wb, h, c, r, rb, options)
            y[t, row] = h
        if last_hidden is not None:
            last_hidden[row] = h
        if last_cell is not None:
            last_cell[row] = c


def _applied(name: str, x: np.ndarray, options: dict[str, Any]) -> np.ndarray:
    function = FUNCTIONS[options[name]]
    return function(x, np.float32(options[f"{name}_alpha"]), np.float32(options[f"{name}_beta"]))


def _limited(name: str, x: np.ndarray, options: dict[str, Any]) -> np.ndarray:
    return _applied(name, np.clip(x, -options["clip"], options["clip"]), options)


def _rnn(
    total: np.ndarray, h: np.ndarray, c: np.ndarray, r: np.ndarray, rb: np.ndarray, options: dict[str, Any]
) -> tuple[np.ndarray, np.ndarray]:
    """h = f(x W + h R + Wb + Rb)."""
    return _limited("f", total + h @ r + rb, options), c


def _gru(
    total: np.ndarray, h: np.ndarray, c: np.ndarray, r: np.ndarray, rb: np.ndarray, options: dict[str, Any]
) -> tuple[np.ndarray, np.ndarray]:
    """As `recurrent.gru`, with f for z and r and g for the candidate."""
    xz, xr, xn = np.split(total, 3)
    hz, hr, hn = np.split(h @ r + rb, 3)
    z, reset = _limited("f", xz + hz, options), _limited("f", xr + hr, options)
    if options["linear_before_reset"]:
        candidate = xn + reset * hn
    else:
        candidate = xn + (reset * h) @ r[:, 2 * len(h) :] + rb[2 * len(h) :]
    return (1 - z) * _limited("g", candidate, options) + z * h, c


def _lstm(
    total: np.ndarray, h: np.ndarray, c: np.ndarray, r: np.ndarray, rb: np.ndarray, options: dict[str, Any]
) -> tuple[np.ndarray, np.ndarray]:
    """i, f, o = f(x W + h R + Wb + Rb + P * c), o with the new c; c = f * c + i * g(...); h = o * h(c)."""
    i, o, f, g = np.split(total + h @ r + rb, 4)
    pi, po, pf = (0, 0, 0) if options["peepholes"] is None else np.split(options["peepholes"], 3)
    i = _limited("f", i + pi * c, options)
    f = 1 - i if options["input_forget"] else _limited("f", f + pf * c, options)
    c = f * c + i * _limited("g", g, options)
    o = _limited("f", o + po * c, options)
    return o * _applied("h", c, options), c
