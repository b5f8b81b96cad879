"""What kernels with an activation have in common."""

from __future__ import annotations

from ..contract import PANEL, Choice, Field, Float, Tensor
from ..opcodes import Activation

ACTIVATION: tuple[Field, ...] = (
    Choice("activation", Activation),
    Float("alpha"),
    Float("beta"),
    Tensor("slope", 1, "dense", optional=True),  # [channels padded to PANEL], PRELU only
)


def padded(columns: int) -> int:
    """Columns rounded up to whole panels."""
    return -(-columns // PANEL) * PANEL
