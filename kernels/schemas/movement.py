"""Data movement: y = x, y = a number, y = x at indices."""

from __future__ import annotations

from ..contract import Float, Kernel, Tensor, TensorRef
from .loops import loop, loop_out

COPY = Kernel("copy", (loop("x"), loop_out()))
FILL = Kernel("fill", (loop_out(), Float("value")))
GATHER = Kernel(
    "gather",  # y[o, i, n] = x[o, indices[i], n]; an index below 0 gives 0.0 (zero padding)
    (Tensor("x", 3), Tensor("indices", 1, "dense", dtype="int32"), Tensor("y", 3, written=True)),
)

MOVING_DOWN = frozenset({COPY.name})
"""Kernels whose y may begin before x in x's own memory, so that elements are written where others are read.

Both have the same strides then, positive ones in the order of the axes, of which the last that is longer than 1 is
dense; y is what x was before. All other kernels write where nothing is read, or each element in its own place.
"""


def moves_down(x: TensorRef, y: TensorRef) -> bool:
    """Whether y begins before x and reaches into it."""
    last = sum((size - 1) * stride for size, stride in zip(y.shape, y.strides, strict=True))
    end_bytes = y.offset_bytes + (last + 1) * y.element.dtype.itemsize
    return x.space is y.space and y.offset_bytes < x.offset_bytes < end_bytes
