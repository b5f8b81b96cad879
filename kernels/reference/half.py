"""Definitions of the kernels whose weights are kept as float16: the kernel for float32 on the widened weights."""

from __future__ import annotations

from typing import Any

from ..packing_half import widened
from ..schemas.half import HALVED_WEIGHTS
from .execute import definition
from .products import dense
from .recurrent import gru, lstm


def _wide(kernel: str, operands: dict[str, Any]) -> dict[str, Any]:
    return operands | {name: widened(operands[name]) for name in HALVED_WEIGHTS[kernel]}


@definition
def dense_half(**operands: Any) -> None:
    """`products.dense`."""
    dense(**_wide("dense", operands))


@definition
def lstm_half(**operands: Any) -> None:
    """`recurrent.lstm`."""
    lstm(**_wide("lstm", operands))


@definition
def gru_half(**operands: Any) -> None:
    """`recurrent.gru`."""
    gru(**_wide("gru", operands))
