"""Operators that only look at their input differently: they cost nothing where strides can express them."""

from __future__ import annotations

import numpy as np

from ....kernels.schemas.indexing import NOWHERE
from ..builder import Builder
from ..carriers import (
    FLOAT32,
    FLOAT64,
    INT64,
    NARROW_FLOATS,
    POWERS_OF_TWO,
    UINT64,
    carrier,
    convert,
    integer_format,
    narrow_float,
    truth,
)
from ..view import View
from .places import gather_at
from .powers import power_of_two
from .registry import Lowering, rule


@rule("Flatten", keeps_range=True)
@rule("Reshape", "Squeeze", "Unsqueeze", shaping=(1,), keeps_range=True)
def reshape(node: Lowering, builder: Builder) -> View:
    """The output's bound shape says it all, whatever attribute or input it came from."""
    return builder.reshape(node.view(0), node.output_shape())


@rule("Identity", "Dropout", keeps_range=True)
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
        return convert(builder, x, UINT64 if target == UINT64 else INT64)
    if target == POWERS_OF_TWO:
        mode, saturate = node.attribute("round_mode", "up"), bool(node.attribute("saturate", 1))
        return power_of_two(builder, x, mode, saturate=saturate)
    if target in NARROW_FLOATS and target.itemsize == 1:
        return narrow_float(builder, x, target, saturate=bool(node.attribute("saturate", 1)))
    return x


@rule("BitCast")
def bit_cast(node: Lowering, builder: Builder) -> View:
    """ONNX BitCast between types of equal width: integers, float32, float64."""
    source, target = node.input_type(0), node.output_type()
    if source == target:
        return node.view(0)
    x = node.operand(0)
    for index, dtype in enumerate((source, target)):
        if integer_format(dtype) is None and dtype not in (FLOAT32, FLOAT64, np.bool_):
            raise node.refuse(f"{('from', 'to')[index]} {dtype.name}", "use integers, float32 or float64")
    if FLOAT64 in (source, target):
        return View(x.buffer, x.array.view(carrier(target)))  # both are 8 bytes in memory
    if FLOAT32 in (source, target):
        y = builder.allocate(x.shape, dtype=carrier(target))
        builder.emit("bits", x=x, y=y)
        return y
    return x  # integers and truth values: wrapping is all there is to do


@rule("Transpose", keeps_range=True)
def transpose(node: Lowering, builder: Builder) -> View:
    """ONNX Transpose: without perm the axes are reversed."""
    x = node.view(0)
    return x.transpose(node.attribute("perm", tuple(reversed(range(x.rank)))))


@rule("Slice", shaping=(1, 2, 3, 4), keeps_range=True)
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


@rule("Split", shaping=(1,), keeps_range=True)
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


@rule("Expand", shaping=(1,), keeps_range=True)
def expand(node: Lowering, builder: Builder) -> View:
    """ONNX Expand: a broadcast, by strides of 0."""
    return node.view(0).broadcast(node.output_shape())


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
    rows = builder.reshape(x, (outer, x.shape[axis], inner))
    if x.dtype != np.float32:
        table = builder.constant(np.where(positions < 0, NOWHERE, positions).astype(np.int64))
        found = gather_at(builder, rows, table[None].broadcast((outer, len(positions))))
        return builder.reshape(found, shape)
    y = builder.allocate((outer, len(positions), inner))
    indices = builder.constant(positions.astype(np.int32))
    builder.emit("gather", x=rows, indices=indices, y=y)
    return builder.reshape(y, shape)
