"""Recurrent layers; names of axes: time, batch, hidden."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import IntEnum
from typing import Any

from ..contract import PANEL, Choice, Field, Int, Kernel, OperandType, Tensor
from ..opcodes import Activation
from .activation import padded
from .half import HALF


class Direction(IntEnum):
    """Which way a recurrent layer goes through time."""

    FORWARD = 0
    REVERSE = 1
    BIDIRECTIONAL = 2

    @property
    def reversed(self) -> tuple[bool, ...]:
        """For each of the layer's directions, whether it runs from the last step to the first."""
        return ((False,), (True,), (False, True))[self]


SMALL_HIDDEN = PANEL
"""Hidden numbers, of all directions and groups together, that fit into the one vector of `gru_small`."""

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
    kept: OperandType = "int32" if name.endswith(HALF) else "float32"
    return Kernel(
        name,
        (
            Tensor("x", 3),  # [time, batch, input]
            Tensor("input_weights", 1, "dense", dtype=kept),  # packed by packing_recurrent.gate_weights
            Tensor("hidden_weights", 1, "dense", dtype=kept),  # packed by packing_recurrent.gate_weights
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


_CELL = (
    Tensor("initial_cell", 2, "rows", optional=True),
    Tensor("last_cell", 2, "rows", written=True, optional=True),
)
_VARIANT = (Int("linear_before_reset"), Choice("candidate", Activation))  # candidate: TANH or RELU

LSTM = _recurrent("lstm", 4, *_CELL)
LSTM_HALF = _recurrent(f"lstm{HALF}", 4, *_CELL)
GRU = _recurrent("gru", 3, *_VARIANT)
GRU_HALF = _recurrent(f"gru{HALF}", 3, *_VARIANT)


def _small_multiply_adds(operands: Mapping[str, Any]) -> int:
    groups, time, batch, inner = operands["x"].shape
    directions, hidden = operands["y"].shape[1], operands["y"].shape[4]
    return groups * directions * time * batch * 3 * hidden * (inner + hidden)


GRU_SMALL = Kernel(
    "gru_small",  # GRUs of one size and length side by side: groups with an x of their own, one or both directions
    (
        Tensor("x", 4),  # [groups, time, batch, input]
        Tensor("input_weights", 1, "dense"),  # packed by packing_recurrent.small_gate_weights
        Tensor("hidden_weights", 1, "dense"),  # packed by packing_recurrent.small_gate_weights
        Tensor("bias", 1, "dense"),  # packed by packing_recurrent.small_gate_bias
        Tensor("initial_hidden", 4, "rows", optional=True),  # [groups, directions, batch, hidden]; absent: zeros
        Tensor("y", 5, "rows", written=True),  # [groups, directions, time, batch, hidden]
        Tensor("last_hidden", 4, "rows", written=True, optional=True),  # may be initial_hidden's own memory
        Choice("direction", Direction),
        Int("linear_before_reset"),
        Choice("candidate", Activation),  # TANH or RELU
    ),
    multiply_adds=_small_multiply_adds,
)
