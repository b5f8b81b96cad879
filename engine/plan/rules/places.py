"""Instructions that read and write at positions; outside an axis 0 is read, and what is written is dropped."""

from __future__ import annotations

import numpy as np

from ....kernels.opcodes_indexing import Scatter
from ....kernels.schemas.indexing import HEADS
from ..builder import Builder, merge_axes
from ..carriers import INT64
from ..view import View


def gather_at(builder: Builder, x: View, indices: View) -> View:
    """A new buffer [heads ..., count, inner]: x [heads ..., axis, inner] at positions [heads ..., count] of the axis.

    Negative positions count from the end.

    Raises:
        ValueError: more than 4 axes of heads remain.
    """
    y = builder.allocate((*indices.shape, x.shape[-1]), dtype=x.dtype)
    source, table, target = _by_heads(indices.rank - 1, x, indices, y)
    builder.emit("gather_at", x=source, indices=table, y=target)
    return y


def scatter_at(builder: Builder, y: View, indices: View, updates: View, reduction: Scatter = Scatter.NONE) -> None:
    """y [heads ..., axis, inner] meets updates [heads ..., count, inner] at positions [heads ..., count] of the axis.

    Raises:
        ValueError: more than 4 axes of heads remain.
    """
    target, table, source = _by_heads(indices.rank - 1, y, indices, updates)
    builder.emit("scatter_at", reduction=reduction, indices=table, updates=source, y=target)


def flat_positions(builder: Builder, indices: View, sizes: tuple[int, ...]) -> View:
    """The numbers [...] of elements in a box of `sizes`, row by row, from indices [..., axes]."""
    count = indices.size // len(sizes)
    y = builder.allocate((count,), dtype=INT64)
    table = builder.constant(np.array(sizes, np.int32))
    builder.emit("flat_positions", indices=builder.reshape(indices, (count, len(sizes))), sizes=table, y=y)
    return builder.reshape(y, indices.shape[:-1])


def _by_heads(heads: int, *views: View) -> list[View]:
    """Views whose first axes agree, with these merged where all strides allow and filled up to 4."""
    merged = merge_axes(*[view[(slice(None),) * heads + (0,) * (view.rank - heads)] for view in views])
    missing = HEADS - merged[0].rank
    if missing < 0:
        raise ValueError(f"{merged[0].rank} axes remain beside the indexed one; at most {HEADS} can be looped over")
    return [
        view.strided(
            view.offset,
            (*(1,) * missing, *head.shape, *view.shape[heads:]),
            (*(0,) * missing, *head.strides, *view.strides[heads:]),
        )
        for view, head in zip(views, merged, strict=True)
    ]
