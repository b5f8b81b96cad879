"""Scatter at constant positions: a copy of the data, then one of the updates to a strided window of it."""

from __future__ import annotations

import numpy as np

from ..builder import Builder
from ..view import View
from .registry import Lowering, rule
from .views import regular_steps


@rule("ScatterND")
def scatter_nd(node: Lowering, builder: Builder) -> View:
    """Exporters write `cache[:, i] = new` as a ScatterND whose indices are a regular box; other indices are refused.

    The data is written in place where nothing else refers to it.
    """
    if node.attribute("reduction", "none") != "none":
        raise node.refuse(f"attribute reduction is {node.attribute('reduction')!r}", "use none")
    indices = node.needs_constant(1, "indices")
    data_shape, depth = node.shape(0), indices.shape[-1]
    counted = data_shape[:depth]
    flat = indices.reshape(-1, depth)
    flat = np.where(flat < 0, flat + np.array(counted), flat)
    positions = np.asarray(np.ravel_multi_index(tuple(flat.T), counted)).reshape(indices.shape[:-1])
    steps = regular_steps(positions)
    if steps is None or len(np.unique(positions)) != positions.size:
        raise node.refuse("its indices are not a regular box", "write a slice with constant start, end and step")
    y = node.take_over(0)
    if y is None:
        y = builder.allocate(data_shape, dtype=node.view(0).dtype)
        builder.copy(node.view(0), y)
    inner = int(np.prod(data_shape[depth:], dtype=np.int64))
    tail = tuple(int(np.prod(data_shape[axis + 1 :], dtype=np.int64)) for axis in range(depth, len(data_shape)))
    window = y.strided(
        y.offset + int(positions.flat[0]) * inner,
        (*positions.shape, *data_shape[depth:]),
        (*(step * inner for step in steps), *tail),
    )
    builder.copy(node.view(2), window)
    return y
