"""Operators that put values together: concat, pad, tile, resize by repetition."""

from __future__ import annotations

import numpy as np

from ..builder import Builder
from ..view import View
from .registry import Lowering, rule
from .views import gather_axis


@rule("Concat")
def concat(node: Lowering, builder: Builder) -> View:
    """Each part is copied to its place; the copy goes away where its producer can write there."""
    y = builder.allocate(node.output_shape())
    axis = node.attribute("axis") % y.rank
    start = 0
    for index in range(len(node.node.inputs)):
        part = node.view(index)
        builder.copy(part, y[(slice(None),) * axis + (slice(start, start + part.shape[axis]),)])
        start += part.shape[axis]
    return y


@rule("Tile")
def tile(node: Lowering, builder: Builder) -> View:
    """ONNX Tile: one broadcast copy, with an axis for the repeats before each axis of the input."""
    x = node.view(0)
    repeats = node.needs_constant(1, "repeats").tolist()
    y = builder.allocate(node.output_shape())
    split_shape = [size for pair in zip(repeats, x.shape, strict=True) for size in pair]
    source = x[tuple(index for _ in range(x.rank) for index in (None, slice(None)))]
    target = y.reshape(split_shape)
    assert target is not None  # y is dense
    builder.copy(source, target)
    return y


@rule("Pad")
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
        # `or`: an optional value given as an empty input reads as None
        return _pad_constant(builder, x, before, after, float(node.argument(2, "value", 0.0) or 0.0))
    numpy_mode = {"reflect": "reflect", "edge": "edge", "wrap": "wrap"}.get(mode)
    if numpy_mode is None:
        raise node.refuse(f"attribute mode is {mode!r}", "use constant, reflect, edge or wrap")
    for axis, (b, a) in enumerate(zip(before, after, strict=True)):
        if b or a:
            positions = np.pad(np.arange(x.shape[axis]), (b, a), mode=numpy_mode)  # type: ignore[call-overload]
            x = gather_axis(builder, x, axis, positions)
    return x


def _pad_constant(builder: Builder, x: View, before: list[int], after: list[int], value: float) -> View:
    """Fill the border alone: for each padded axis the two slabs that earlier axes have not covered."""
    shape = [b + size + a for b, size, a in zip(before, x.shape, after, strict=True)]
    if shape == list(x.shape):
        return x
    y = builder.allocate(shape)
    inner = [slice(b, b + size) for b, size in zip(before, x.shape, strict=True)]
    for axis in range(x.rank):
        lead, tail = inner[:axis], [slice(None)] * (x.rank - axis - 1)
        builder.fill(y[(*lead, slice(0, before[axis]), *tail)], value)
        builder.fill(y[(*lead, slice(before[axis] + x.shape[axis], None), *tail)], value)
    builder.copy(x, y[tuple(inner)])
    return y


@rule("Resize", "Upsample")
def resize(node: Lowering, builder: Builder) -> View:
    """Modes nearest (any coordinate mode and rounding) and linear over the last two axes.

    Coordinates as in the ONNX specification of Resize, attribute coordinate_transformation_mode.
    """
    x = node.view(0)
    out = node.output_shape()
    mode = node.attribute("mode", "nearest")
    scales = _scales(node, x.shape, out)
    changed = [axis for axis in range(x.rank) if x.shape[axis] != out[axis] or scales[axis] != 1.0]
    if mode == "nearest":
        for axis in changed:
            x = gather_axis(builder, x, axis, _nearest(node, x.shape[axis], out[axis], scales[axis]))
        return x
    if mode != "linear":
        raise node.refuse(f"attribute mode is {mode!r}", "use nearest or linear")
    if x.rank < 3 or any(axis < x.rank - 2 for axis in changed):
        raise node.refuse(f"linear over axes {changed} of shape {x.shape}", "resize the last two axes of 3 or 4")
    while x.rank < 4:
        x = x[:, :, None] if x.rank == 3 else x[None]
    y = builder.allocate((*x.shape[:2], *((1,) * (4 - len(out))), *out[2:]))
    rows, row_weights = _linear(node, x.shape[2], y.shape[2], scales[-2] if len(out) > 3 else 1.0)
    columns, column_weights = _linear(node, x.shape[3], y.shape[3], scales[-1])
    builder.emit(
        "resize_linear",
        x=x,
        rows=builder.constant(rows),
        row_weights=builder.constant(row_weights),
        columns=builder.constant(columns),
        column_weights=builder.constant(column_weights),
        y=y,
    )
    return builder.reshape(y, out)


def _scales(node: Lowering, shape: tuple[int, ...], out: tuple[int, ...]) -> list[float]:
    # Upsample (opset 9) and Resize 10 have (x, scales); Resize 11+ (x, roi, scales, sizes).
    position = 1 if node.op == "Upsample" or node.opset < 11 else 2
    given = node.constant(position)
    if given is not None and given.size:
        values = given.tolist()
        axes = node.attribute("axes") or list(range(len(shape)))
        result = [1.0] * len(shape)
        for axis, value in zip(axes, values, strict=True):
            result[axis] = float(value)
        return result
    return [o / s for o, s in zip(out, shape, strict=True)]


def _source_coordinates(node: Lowering, size: int, out: int, scale: float) -> np.ndarray:
    """The source coordinate of each output position, float64."""
    default = "half_pixel" if node.opset >= 11 and node.op == "Resize" else "asymmetric"
    mode = node.attribute("coordinate_transformation_mode", default)
    position = np.arange(out, dtype=np.float64)
    if mode == "half_pixel":
        return (position + 0.5) / scale - 0.5
    if mode == "pytorch_half_pixel":
        return (position + 0.5) / scale - 0.5 if out > 1 else np.zeros(1)
    if mode == "align_corners":
        return position * (size - 1) / (out - 1) if out > 1 else np.zeros(1)
    if mode == "asymmetric":
        return position / scale
    if mode == "half_pixel_symmetric":
        adjustment = out / (scale * size)
        center = size / 2
        return center * (1 - adjustment) + (position + 0.5) / scale - 0.5
    raise node.refuse(
        f"attribute coordinate_transformation_mode is {mode!r}",
        "use half_pixel, half_pixel_symmetric, pytorch_half_pixel, align_corners or asymmetric",
    )


def _nearest(node: Lowering, size: int, out: int, scale: float) -> np.ndarray:
    x = _source_coordinates(node, size, out, scale)
    default = "round_prefer_floor" if node.opset >= 11 and node.op == "Resize" else "floor"
    rounding = node.attribute("nearest_mode", default)
    if rounding == "round_prefer_floor":
        position = np.ceil(x - 0.5)
    elif rounding == "round_prefer_ceil":
        position = np.floor(x + 0.5)
    elif rounding in ("floor", "ceil"):
        position = getattr(np, rounding)(x)
    else:
        raise node.refuse(
            f"attribute nearest_mode is {rounding!r}", "use round_prefer_floor, round_prefer_ceil, floor or ceil"
        )
    return np.clip(position, 0, size - 1).astype(np.int32)


def _linear(node: Lowering, size: int, out: int, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """First and second source position of each output, [out, 2] int32, and the weight of the second, [out] float32."""
    if size == out and scale == 1.0:
        position = np.arange(out)
        return np.stack([position, position], 1).astype(np.int32), np.zeros(out, np.float32)
    x = np.clip(_source_coordinates(node, size, out, scale), 0, size - 1)
    first = np.floor(x)
    second = np.minimum(first + 1, size - 1)
    return np.stack([first, second], 1).astype(np.int32), (x - first).astype(np.float32)
