"""Recurrent layers with all that ONNX allows: any activations, clipping, peepholes, sequences of unequal length.

And with integer weights, as ONNX Runtime's DynamicQuantizeLSTM has them: a real column of W or R is its scale times the
integers, and what it is multiplied by is quantised to 8 bits on the way, with the scale and zero point that ONNX's
DynamicQuantizeLinear gives it: x once for all rows and all steps that some row has, h at each step for all rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Any

from ..contract import Choice, Field, Float, Int, Kernel, Tensor
from .activation import padded
from .recurrent import RECURRENT_STEPS


class Cell(IntEnum):
    """The recurrent operator."""

    RNN = 0
    GRU = 1
    LSTM = 2

    @property
    def gates(self) -> int:
        """Gates, each as wide as the hidden state."""
        return (1, 3, 4)[self]

    @property
    def functions(self) -> int:
        """Activation functions: f; f and g; f, g and h."""
        return (1, 2, 3)[self]


class GateActivation(IntEnum):
    """An activation function of ONNX's recurrent operators, with its alpha and beta."""

    RELU = 0
    TANH = 1
    SIGMOID = 2
    AFFINE = 3
    """alpha x + beta"""
    LEAKYRELU = 4
    """x where x >= 0, alpha x elsewhere"""
    THRESHOLDEDRELU = 5
    """x where x >= alpha, 0 elsewhere"""
    SCALEDTANH = 6
    """alpha tanh(beta x)"""
    HARDSIGMOID = 7
    """alpha x + beta, limited to 0 .. 1"""
    ELU = 8
    """x where x >= 0, alpha (exp(x) - 1) elsewhere"""
    SOFTSIGN = 9
    SOFTPLUS = 10


def _function(name: str) -> tuple[Field, ...]:
    return Choice(name, GateActivation), Float(f"{name}_alpha"), Float(f"{name}_beta")


def _multiply_adds(operands: Mapping[str, Any]) -> int:
    time, batch, inner = operands["x"].shape
    hidden = operands["y"].shape[2]
    return time * batch * operands["cell"].gates * hidden * (inner + hidden)


EXACT_PRODUCTS = 256
"""Products of two integers of 9 bits, which float32 adds up exactly: 256 x 255^2 < 2^24."""

MOST_PRODUCTS = 33_000
"""As many as int32 adds up exactly: 33,000 x 255^2 < 2^31."""


def _scratch(operands: Mapping[str, Any]) -> int:
    # Of each row: hidden state, cell state, reset state; the hidden part of the gates and the input part of many steps.
    time, batch, hidden = operands["y"].shape
    steps, columns = min(time, RECURRENT_STEPS), padded(operands["cell"].gates * hidden)
    floats = batch * (3 * padded(hidden) + (1 + steps) * columns)
    if operands["input_scales"] is not None:
        # Zeros in the place of a bias; then of some rows what is multiplied, as integers, and the products.
        floats += columns + max(batch, steps) * (max(operands["x"].shape[2], hidden) + columns)
    return floats


RECURRENT_GENERAL = Kernel(
    "recurrent_general",  # one direction; gates and weights in the order of ONNX
    (
        Tensor("x", 3),  # [time, batch, input]
        Tensor("input_weights", 1, "dense"),  # all gates end to end, packed by packing_recurrent.gate_weights as one
        Tensor("hidden_weights", 1, "dense"),  # likewise; integers are packed by packing_recurrent.integer_weights
        Tensor("input_scales", 1, "dense", optional=True),  # of each column of integers, padded; absent: they are real
        Tensor("hidden_scales", 1, "dense", optional=True),  # likewise; LSTM only
        Tensor("bias", 1, "dense"),  # packed by packing_recurrent.gate_bias as one gate
        Tensor("peepholes", 1, "dense", optional=True),  # [3 hidden]: of i, o, f
        Tensor("lengths", 1, dtype="carrier", optional=True),  # [batch] int64: steps of each row; absent: all
        Tensor("initial_hidden", 2, "rows", optional=True),  # [batch, hidden]; absent: zeros
        Tensor("initial_cell", 2, "rows", optional=True),
        Tensor("y", 3, written=True),  # [time, batch, hidden]; zeros behind a row's length
        Tensor("last_hidden", 2, "rows", written=True, optional=True),  # after a row's last step
        Tensor("last_cell", 2, "rows", written=True, optional=True),
        Choice("cell", Cell),
        Int("reverse"),  # 1: from a row's last step to its first
        Float("clip"),  # what goes into f and g is limited to -clip .. clip; infinity: it is not
        Int("linear_before_reset"),  # GRU
        Int("input_forget"),  # LSTM: 1: f = 1 - i
        *_function("f"),
        *_function("g"),
        *_function("h"),
        Tensor("scratch", 1, "dense", written=True),
    ),
    scratch=_scratch,
    multiply_adds=_multiply_adds,
)
