"""Matrix products."""

from __future__ import annotations

from math import prod

from ..contract import Kernel, OperandType, Tensor
from .activation import ACTIVATION
from .half import HALF


def _dense(name: str, kept: OperandType) -> Kernel:
    return Kernel(
        name,  # y = activation(x @ w + bias), constant w
        (
            Tensor("x", 2),  # [rows, inner]
            Tensor("weights", 1, "dense", dtype=kept),  # packed by packing.dense
            Tensor("bias", 1, "dense", optional=True),  # [columns padded to PANEL]
            Tensor("y", 2, written=True),  # [rows, columns]
            *ACTIVATION,  # slope is one for each column
        ),
        multiply_adds=lambda o: prod(o["y"].shape) * o["x"].shape[1],
    )


DENSE = _dense("dense", "float32")
DENSE_HALF = _dense(f"dense{HALF}", "int32")
MATMUL = Kernel(
    "matmul",  # y[b, c] = a[b, c] @ b[b, c], both arriving
    (Tensor("a", 4), Tensor("b", 4, "rows"), Tensor("y", 4, "rows", written=True)),
    multiply_adds=lambda o: prod(o["y"].shape) * o["a"].shape[3],
)
