"""Recurrent layers; names of axes: time, batch, hidden."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..contract import Choice, Field, Int, Kernel, Tensor
from ..opcodes import Activation
from .activation import padded

RECURRENT_STEPS = 64
"""Time steps whose input part `lstm` and `gru` compute at once, before their recurrence."""


def _recurrent_multiply_adds(gates: int) -> Callable[[Mapping[str, Any]], int]:
    def count(operands: Mapping[str, Any]) -> int:
        time, batch, inner = operands["x"].shape
        hidden = operands["y"].shape[2]
        return time * batch * gates * hidden * (inner + hidden)

    return count


def _gate_scratch(gates: int) -> Callable[[Mapping[str, Any]], int]:
    def count(operands: Mapping[str, Any]) -> int:
        # For each row: two vectors of running state, the hidden part of the gates, and the input part of many steps.
        time, batch, _ = operands["x"].shape
        width = padded(operands["y"].shape[2])
        return batch * width * (2 + gates + gates * min(time, RECURRENT_STEPS))

    return count


def _recurrent(name: str, gates: int, *extra: Field) -> Kernel:
    return Kernel(
        name,
        (
            Tensor("x", 3),  # [time, batch, input]
            Tensor("input_weights", 1, "dense"),  # packed by packing_recurrent.gate_weights
            Tensor("hidden_weights", 1, "dense"),  # packed by packing_recurrent.gate_weights
            Tensor("bias", 1, "dense"),  # packed by packing_recurrent.gate_bias
            Tensor("initial_hidden", 2, "rows", optional=True),  # [batch, hidden]; absent: zeros
            Tensor("y", 3, written=True, optional=False),  # [time, batch, hidden]
            Tensor("last_hidden", 2, "rows", written=True, optional=True),  # may be initial_hidden's own memory
            Int("reverse"),  # 1: time runs from the last step to the first
            *extra,
            Tensor("scratch", 1, "dense", written=True),
        ),
        scratch=_gate_scratch(gates),
        multiply_adds=_recurrent_multiply_adds(gates),
    )


LSTM = _recurrent(
    "lstm",
    4,
    Tensor("initial_cell", 2, "rows", optional=True),
    Tensor("last_cell", 2, "rows", written=True, optional=True),
)
GRU = _recurrent("gru", 3, Int("linear_before_reset"), Choice("candidate", Activation))  # candidate: TANH or RELU
