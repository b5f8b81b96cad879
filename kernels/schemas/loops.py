"""The tensors of kernels that loop over any shape: LOOP_RANK axes, merged and filled up by the plan."""

from __future__ import annotations

from ..contract import LOOP_RANK, OperandType, Tensor


def loop(name: str, dtype: OperandType = "float32") -> Tensor:
    """A tensor that such a kernel reads."""
    return Tensor(name, LOOP_RANK, dtype=dtype)


def loop_out(dtype: OperandType = "float32") -> Tensor:
    """The tensor `y` that such a kernel writes."""
    return Tensor("y", LOOP_RANK, written=True, dtype=dtype)
