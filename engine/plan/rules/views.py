"""Operators that only look at their input differently: they cost nothing where strides can express them."""

from __future__ import annotations

import numpy as np

from ..builder import Builder
from ..carriers import INT64, NARROW_FLOATS, convert, integer_format, narrow_float, truth
from ..view import View
from .registry import Lowering, rule


@rule("Reshape", "Flatten", "Squeeze", "Unsqueeze")
def reshape(node: Lowering, builder: Builder) -> View:
    """The output's bound shape says it all, whatever attribute or input it came from."""
    return builder.reshape(node.view(0), node.output_shape())


@rule("Identity", "Dropout")
def identity(node: Lowering, builder: Builder) -> View:
    """ONNX Identity, and Dropout, which does nothing in inference."""
    return node.view(0)


@rule("Cast", "CastLike")
def cast(node: Lowering, builder: Builder) -> View:
    """Floats are cut off towards zero for integers and rounded for other floats.

    What is too large for an 8-bit float becomes its largest, unless attribute saturate is 0.

    Source: ONNX Cast, with its table of special values.
    """
    x, target = node.view(0), node.output_type()
    if target == np.bool_:
        return truth(builder, x)
    if integer_format(target) is not None:
        return convert(builder, x, INT64)
    if target in NARROW_FLOATS and target.itemsize == 1:
        return narrow_float(builder, x, target, saturate=bool(node.attribute("saturate", 1)))
    return x


@rule("Transpose")
def transpose(node: Lowering, builder: Builder) -> View:
    """ONNX Transpose: without perm the axes are reversed."""
    x = node.view(0)
    return x.transpose(node.attribute("perm", tuple(reversed(range(x.rank)))))


@rule("Slice")
def slice_(node: Lowering, builder: Builder) -> View:
    """ONNX Slice: opset 9 has starts and ends as attributes, later ones as inputs; steps may be negative."""
    x = node.view(0)
    starts, ends = node.argument(1, "starts"), node.argument(2, "ends")
    axes = node.argument(3, "axes") or list(range(len(starts)))
    steps = node.argument(4, "steps") or [1] * len(starts)
    index: list[slice] = [slice(None)] * x.rank
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        size = x.shape[axis]
        if step < 0:
            # ONNX clamps a start before element 0 to it, Python's slices to nothing at all; and a step down to and
            # including element 0 has no end that Python's slices can name but None.
            start, end = max(start, -size), None if end < -size else end
        index[axis] = slice(start, end, step)
    return x[tuple(index)]


@rule("Split")
def split(node: Lowering, builder: Builder) -> list[View]:
    """ONNX Split: each output is a view; the parts' sizes are those of the bound outputs."""
    x = node.view(0)
    axis = node.attribute("axis", 0) % x.rank
    views, start = [], 0
    for index in range(len(node.node.outputs)):
        size = node.output_shape(index)[axis]
        views.append(x[(slice(None),) * axis + (slice(start, start + size),)])
        start += size
    return views


@rule("Expand")
def expand(node: Lowering, builder: Builder) -> View:
    """ONNX Expand: a broadcast, by strides of 0."""
    return node.view(0).broadcast(node.output_shape())


@rule("Gather")
def gather(node: Lowering, builder: Builder) -> View:
    """Constant indices: an element, an arithmetic sequence or an unfolding is a view, anything else a kernel call."""
    x = node.view(0)
    axis = node.attribute("axis", 0) % x.rank
    indices = node.needs_constant(1, "indices")
    size = x.shape[axis]
    positions = np.where(indices < 0, indices + size, indices).reshape(-1)
    if len(positions) == 0 or positions.min() < 0 or positions.max() >= size:
        raise node.refuse(f"indices {indices.reshape(-1).tolist()} on an axis of size {size}", f"use 0 to {size - 1}")
    steps = regular_steps(positions.reshape(indices.shape))
    if steps is None:
        found = gather_axis(builder, x, axis, positions)
    else:
        stride = x.strides[axis]
        found = x.strided(
            x.offset + int(positions[0]) * stride,
            (*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]),
            (*x.strides[:axis], *(step * stride for step in steps), *x.strides[axis + 1 :]),
        )
    return builder.reshape(found, (*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]))


def regular_steps(positions: np.ndarray) -> tuple[int, ...] | None:
    """The step along each axis if the positions are first + sum of index * step (a slice, an unfolding), else None."""
    steps = tuple(
        int(np.take(positions, 1, axis).flat[0] - positions.flat[0]) if size > 1 else 0
        for axis, size in enumerate(positions.shape)
    )
    grid = positions.flat[0] + sum(
        index * step for index, step in zip(np.indices(positions.shape, sparse=True), steps, strict=True)
    )
    return steps if (grid == positions).all() else None


def gather_axis(builder: Builder, x: View, axis: int, positions: np.ndarray) -> View:
    """New buffer with x's elements at constant positions of one axis; a position below 0 gives zeros."""
    shape = (*x.shape[:axis], len(positions), *x.shape[axis + 1 :])
    outer = int(np.prod(x.shape[:axis], dtype=np.int64))
    inner = int(np.prod(x.shape[axis + 1 :], dtype=np.int64))
    if x.dtype != np.float32:
        return _gather_wide(builder, x, axis, positions)
    y = builder.allocate((outer, len(positions), inner))
    indices = builder.constant(positions.astype(np.int32))
    builder.emit("gather", x=builder.reshape(x, (outer, x.shape[axis], inner)), indices=indices, y=y)
    return builder.reshape(y, shape)


def _gather_wide(builder: Builder, x: View, axis: int, positions: np.ndarray) -> View:
    """As `gather_axis` for elements of 8 bytes: a copy of each run of neighbours."""
    y = builder.allocate((*x.shape[:axis], len(positions), *x.shape[axis + 1 :]), dtype=x.dtype)
    lead = (slice(None),) * axis
    breaks = np.flatnonzero(np.diff(positions) != 1) + 1
    for run in np.split(np.arange(len(positions)), breaks):
        first, count = int(positions[run[0]]), len(run)
        target = y[(*lead, slice(int(run[0]), int(run[0]) + count))]
        if first < 0:
            builder.fill(target, 0.0)
        else:
            builder.copy(x[(*lead, slice(first, first + count))], target)
    return y
