"""Elements at positions that arrive: counted from the end if negative, of no effect if outside the axis."""

from __future__ import annotations

from ..contract import Choice, Kernel, Tensor
from ..opcodes_indexing import Scatter

HEADS = 4
"""Axes in front of the indexed one: each of their elements has positions of its own (strides of 0 share them)."""

NOWHERE = -(1 << 63)
"""A position that no axis has."""

FLAT_POSITIONS = Kernel(
    "flat_positions",  # y[i] = the row-major number of element indices[i, :] of a box; NOWHERE if it is outside
    (
        Tensor("indices", 2, dtype="carrier"),
        Tensor("sizes", 1, "dense", dtype="int32"),
        Tensor("y", 1, written=True, dtype="carrier"),
    ),
)
GATHER_AT = Kernel(
    "gather_at",  # y[h, i, n] = x[h, indices[h, i], n]; y of x's type
    (
        Tensor("x", HEADS + 2, dtype="carrier"),
        Tensor("indices", HEADS + 1, dtype="carrier"),
        Tensor("y", HEADS + 2, written=True, dtype="carrier"),
    ),
)
SCATTER_AT = Kernel(
    "scatter_at",  # y[h, indices[h, i], n] = reduction(itself, updates[h, i, n]), in the order of i; y of updates' type
    (
        Choice("reduction", Scatter),
        Tensor("indices", HEADS + 1, dtype="carrier"),
        Tensor("updates", HEADS + 2, dtype="carrier"),
        Tensor("y", HEADS + 2, written=True, dtype="carrier"),
    ),
)
NON_ZERO = Kernel(
    "non_zero",  # y = the positions of x's elements that are not 0, then NOWHERE; count[0] = how many there are
    (
        Tensor("x", 1, dtype="carrier"),
        Tensor("y", 1, written=True, dtype="carrier"),
        Tensor("count", 1, written=True, dtype="carrier"),
    ),
)
