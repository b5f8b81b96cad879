"""The definition of the general recurrent layer: RNN, GRU and LSTM as ONNX describes them, one direction."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ..packing_recurrent import unpack_gate_bias, unpack_gate_weights, unpack_integer_weights
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
    input_scales: np.ndarray | None,
    hidden_scales: np.ndarray | None,
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
    """All rows step by step; `_rnn`, `_gru` and `_lstm` say what a step is. A row without steps ends in zeros.

    Where weights are integers, x is quantised in one, over as many steps as the longest row has, and h at each step,
    over the rows that had not ended before the last one.

    Args:
        x: [time, batch, input] float32.
        input_weights, hidden_weights: [elements] float32: all gates as one, by `packing_recurrent.gate_weights`, or
            integers by `packing_recurrent.integer_weights`.
        input_scales, hidden_scales: [columns padded to PANEL] float32 of the integers; None where weights are real.
        bias: [elements] float32: all gates as one, by `packing_recurrent.gate_bias`.
        lengths: [batch] int64: steps of each row; None: all.
        initial_hidden, initial_cell: [batch, hidden] float32 or None for zeros.
        y: [time, batch, hidden] float32; zeros behind a row's length.
        last_hidden, last_cell: [batch, hidden] float32 after a row's last step, or None.
        cell: which of the three; `reverse`: 1 goes from a row's last step to its first.
        scratch: of the native kernel.
        options: clip, linear_before_reset, input_forget; f, g and h with alpha and beta.
            peepholes: [3 hidden] float32, of i, o and f, or None.

    Source: ONNX RNN, GRU and LSTM; ONNX Runtime's DynamicQuantizeLSTM.
    """
    time, batch, inner = x.shape
    columns = cell.gates * y.shape[2]
    wb, rb = unpack_gate_bias(bias, 1, columns)
    input_part = _part(input_weights, input_scales, wb, inner)
    hidden_part = _part(hidden_weights, hidden_scales, rb, y.shape[2])
    steps = np.full(batch, time) if lengths is None else np.clip(lengths, 0, time)
    h, c = (np.zeros(y.shape[1:]) if s is None else s.astype(np.float64) for s in (initial_hidden, initial_cell))
    step = partial({Cell.RNN: _rnn, Cell.GRU: _gru, Cell.LSTM: _lstm}[cell], hidden_part=hidden_part, options=options)
    _run(step, input_part(x[: steps.max(initial=0)]), steps, h, c, y, reverse=reverse)
    for state, last in ((h, last_hidden), (c, last_cell)):
        if last is not None:
            last[...] = np.where(steps[:, None] > 0, state, 0)


def _run(
    step: Callable[..., tuple[np.ndarray, np.ndarray]],
    from_input: np.ndarray,
    steps: np.ndarray,
    h: np.ndarray,
    c: np.ndarray,
    y: np.ndarray,
    *,
    reverse: int,
) -> None:
    """Write y, and leave in h and c what each row, of so many steps, ends with."""
    rows = np.arange(len(steps))
    y[...] = 0
    for done in range(len(from_input)):
        t = steps - 1 - done if reverse else np.full(len(rows), done)
        counted = np.where(done <= steps[:, None], h, 0)
        new_h, new_c = step(from_input[t, rows], h=counted, c=c)
        running = done < steps
        h[running], c[running] = new_h[running], new_c[running]
        y[t[running], running] = h[running]


_Part = Callable[[np.ndarray], np.ndarray]
"""From x or h [..., inner] its part of what goes into the gates [..., columns], float64."""


def _part(weights: np.ndarray, scales: np.ndarray | None, bias: np.ndarray, inner: int) -> _Part:
    """a W + bias; with scales quantised(a) W scales + bias, whose integers are exact in float64."""
    if scales is None:
        real = unpack_gate_weights(weights, 1, len(bias), inner).T.astype(np.float64)
        return lambda a: a @ real + bias
    integers = unpack_integer_weights(weights, len(bias), inner).T.astype(np.float64)

    def part(a: np.ndarray) -> np.ndarray:
        centred, scale = quantised(a.astype(np.float32))
        return centred @ integers * (scale * scales[: len(bias)]) + bias

    return part


def quantised(x: np.ndarray) -> tuple[np.ndarray, np.float32]:
    """x as ONNX's DynamicQuantizeLinear has it: integers of 0 .. 255 minus the zero point, and their scale.

    They span the least to the greatest of x and 0; an x of zeros alone has a scale of 1. NaN becomes the least.
    """
    least, greatest = (limit.reduce(x, axis=None, initial=np.float32(0)) for limit in (np.fmin, np.fmax))
    scale = (greatest - least) / np.float32(255) if greatest > least else np.float32(1)
    zero_point = np.clip(np.rint(-least / scale), 0, 255)
    return np.fmin(np.fmax(np.rint(x / scale) + zero_point, 0), 255) - zero_point, scale


def _applied(name: str, x: np.ndarray, options: dict[str, Any]) -> np.ndarray:
    function = FUNCTIONS[options[name]]
    return function(x, np.float32(options[f"{name}_alpha"]), np.float32(options[f"{name}_beta"]))


def _limited(name: str, x: np.ndarray, options: dict[str, Any]) -> np.ndarray:
    return _applied(name, np.clip(x, -options["clip"], options["clip"]), options)


def _rnn(
    from_input: np.ndarray, hidden_part: _Part, h: np.ndarray, c: np.ndarray, options: dict[str, Any]
) -> tuple[np.ndarray, np.ndarray]:
    """h = f(x W + h R + Wb + Rb)."""
    return _limited("f", from_input + hidden_part(h), options), c


def _gru(
    from_input: np.ndarray, hidden_part: _Part, h: np.ndarray, c: np.ndarray, options: dict[str, Any]
) -> tuple[np.ndarray, np.ndarray]:
    """As `recurrent.gru`, with f for z and r and g for the candidate."""
    xz, xr, xn = np.split(from_input, 3, axis=1)
    hz, hr, hn = np.split(hidden_part(h), 3, axis=1)
    z, reset = _limited("f", xz + hz, options), _limited("f", xr + hr, options)
    reset_hn = reset * hn if options["linear_before_reset"] else hidden_part(reset * h)[:, 2 * h.shape[1] :]
    return (1 - z) * _limited("g", xn + reset_hn, options) + z * h, c


def _lstm(
    from_input: np.ndarray, hidden_part: _Part, h: np.ndarray, c: np.ndarray, options: dict[str, Any]
) -> tuple[np.ndarray, np.ndarray]:
    """i, f, o = f(x W + h R + Wb + Rb + P * c), o with the new c; c = f * c + i * g(...); h = o * h(c)."""
    i, o, f, g = np.split(from_input + hidden_part(h), 4, axis=1)
    pi, po, pf = (0, 0, 0) if options["peepholes"] is None else np.split(options["peepholes"], 3)
    i = _limited("f", i + pi * c, options)
    f = 1 - i if options["input_forget"] else _limited("f", f + pf * c, options)
    c = f * c + i * _limited("g", g, options)
    o = _limited("f", o + po * c, options)
    return o * _applied("h", c, options), c
