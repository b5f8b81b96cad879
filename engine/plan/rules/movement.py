"""Operators that put values together: concat, pad, tile."""

from __future__ import annotations

import numpy as np

from ..builder import Builder
from ..carriers import carrier, convert
from ..view import View
from .elementwise import select
from .registry import Lowering, rule
from .views import gather_axis


@rule("Concat", keeps_range=True)
def concat(node: Lowering, builder: Builder) -> View:
    """Each part is copied to its place; the copy goes away where its producer can write there."""
    y = builder.allocate(node.output_shape(), dtype=carrier(node.output_type()))
    axis = node.attribute("axis") % y.rank
    start = 0
    for index in range(len(node.node.inputs)):
        part = node.view(index)
        builder.copy(part, y[(slice(None),) * axis + (slice(start, start + part.shape[axis]),)])
        start += part.shape[axis]
    return y


@rule("Tile", shaping=(1,), keeps_range=True)
def tile(node: Lowering, builder: Builder) -> View:
    """ONNX Tile: one broadcast copy, with an axis for the repeats before each axis of the input."""
    x = node.view(0)
    repeats = node.needs_constant(1, "repeats").tolist()
    y = builder.allocate(node.output_shape(), dtype=x.dtype)
    split_shape = [size for pair in zip(repeats, x.shape, strict=True) for size in pair]
    source = x[tuple(index for _ in range(x.rank) for index in (None, slice(None)))]
    target = y.reshape(split_shape)
    assert target is not None  # y is dense
    builder.copy(source, target)
    return y


@rule("EyeLike")
def eye_like(node: Lowering, builder: Builder) -> View:
    """ONNX EyeLike: a constant, since it looks at nothing but the shape."""
    rows, columns = node.output_shape()
    eye = np.eye(rows, columns, node.attribute("k", 0), dtype=carrier(node.output_type()))
    return builder.constant(eye)


@rule("Trilu", shaping=(1,), keeps_range=True)
def triangle(node: Lowering, builder: Builder) -> View:
    """ONNX Trilu: zeros below the k-th diagonal, or above it with upper = 0, of the last two axes."""
    x = node.view(0)
    k = int(node.needs_constant(1, "k").reshape(-1)[0]) if node.has(1) else 0
    kept = np.ones(x.shape[-2:], np.float32)
    kept = np.triu(kept, k) if node.attribute("upper", 1) else np.tril(kept, k)
    return select(builder, builder.constant(kept), x, builder.constant(np.zeros((), x.dtype)))


@rule("Pad", shaping=(1, 3), keeps_range=True)
def pad(node: Lowering, builder: Builder) -> View:
    """Modes constant, reflect, edge and wrap; negative pads crop."""
    x = node.view(0)
    mode = node.attribute("mode", "constant")
    pads = node.argument(1, "pads")
    axes = node.argument(3, "axes") or list(range(x.rank))
    before, after = [0] * x.rank, [0] * x.rank
    for index, axis in enumerate(axes):
        before[axis], after[axis] = pads[index], pads[index + len(axes)]
    crop = tuple(slice(max(-b, 0), size - max(-a, 0)) for b, a, size in zip(before, after, x.shape, strict=True))
    x = x[crop]
    before, after = [max(b, 0) for b in before], [max(a, 0) for a in after]
    if mode == "constant":
        return _pad_constant(builder, x, before, after, _pad_value(node, builder, x))
    numpy_mode = {"reflect": "reflect", "edge": "edge", "wrap": "wrap"}.get(mode)
    if numpy_mode is None:
        raise node.refuse(f"attribute mode is {mode!r}", "use constant, reflect, edge or wrap")
    for axis, (b, a) in enumerate(zip(before, after, strict=True)):
        if b or a:
            positions = np.pad(np.arange(x.shape[axis]), (b, a), mode=numpy_mode)  # type: ignore[call-overload]
            x = gather_axis(builder, x, axis, positions)
    return x


def _pad_value(node: Lowering, builder: Builder, x: View) -> View | float:
    """What Pad puts around x: an attribute below opset 11, an optional input later, constant or not."""
    if node.has(2) and (node.constant(2) is None or x.dtype.kind in "iu"):  # a float holds not every integer
        return builder.reshape(convert(builder, node.view(2), x.dtype), ())
    constant = node.constant(2)
    if constant is None:
        return float(node.attribute("value", 0.0))
    return float(constant.reshape(-1)[0]) if constant.size else 0.0


def _pad_constant(builder: Builder, x: View, before: list[int], after: list[int], value: View | float) -> View:
    """Fill the border alone: for each padded axis the two slabs that earlier axes have not covered."""
    shape = [b + size + a for b, size, a in zip(before, x.shape, after, strict=True)]
    if shape == list(x.shape):
        return x
    y = builder.allocate(shape, dtype=x.dtype)

    def put(slab: View) -> None:
        if isinstance(value, View):
            builder.copy(value, slab)
        else:
            builder.fill(slab, value)

    inner = [slice(b, b + size) for b, size in zip(before, x.shape, strict=True)]
    for axis in range(x.rank):
        lead, tail = inner[:axis], [slice(None)] * (x.rank - axis - 1)
        put(y[(*lead, slice(0, before[axis]), *tail)])
        put(y[(*lead, slice(before[axis] + x.shape[axis], None), *tail)])
    builder.copy(x, y[tuple(inner)])
    return y
