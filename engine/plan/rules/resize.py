"""Resize and Upsample: along each axis by gathering or by weighted neighbours, images by one kernel for both axes."""

from __future__ import annotations

import numpy as np

from ....kernels.contract import PANEL
from ....kernels.opcodes import Unary
from ..builder import Builder
from ..carriers import FLOAT32, convert, integer_format
from ..view import View
from .elementwise import apply_unary
from .quantised import quantize
from .registry import Lowering, rule
from .resize_coordinates import (
    COORDINATES,
    ROUNDINGS,
    Axis,
    linear_neighbours,
    outside,
    source_coordinates,
    weighted_neighbours,
)
from .views import gather_axis


@rule("Upsample", shaping=(1,))
@rule("Resize", shaping=(1, 2, 3))
def resize(node: Lowering, builder: Builder) -> View:
    """ONNX Resize and Upsample in every mode; linear and cubic blend integers of up to 32 bits in float32.

    What they make of integers is rounded, and kept within the type, as ONNX's own evaluator does.
    """
    kind, coordinates = node.attribute("mode", "nearest"), _coordinate_mode(node)
    _check_resize(node, kind, coordinates)
    x = node.view(0)
    axes = _axes(node, coordinates)
    if kind == "nearest":
        for number, axis in enumerate(axes):
            if not axis.unchanged:
                x = gather_axis(builder, x, number, _nearest(node, axis, coordinates))
    elif node.input_type(0).itemsize == 8:
        raise node.refuse(f"it blends {node.input_type(0).name}", "cast to float32 before it")
    else:
        x = _blend(node, builder, convert(builder, x, FLOAT32), axes, coordinates)
        x = _whole(builder, x, node.input_type(0))
    return _extrapolate(node, builder, x, [outside(axis, coordinates) for axis in axes])


def _blend(node: Lowering, builder: Builder, x: View, axes: list[Axis], coordinates: str) -> View:
    """Linear and cubic: one axis after the other, what makes the least of it first."""
    cubic = node.attribute("cubic_coeff_a", -0.75) if node.attribute("mode") == "cubic" else None
    smooth, exclude = (bool(node.attribute(name, 0)) for name in ("antialias", "exclude_outside"))
    plain = cubic is None and not (smooth and any(axis.scale < 1 for axis in axes))
    image = plain and any(not axis.unchanged for axis in axes[-2:])
    todo = [n for n, axis in enumerate(axes) if not axis.unchanged and not (image and n >= len(axes) - 2)]
    for number in sorted(todo, key=lambda n: axes[n].out / axes[n].size):
        taps = weighted_neighbours(axes[number], coordinates, cubic, antialias=smooth, exclude_outside=exclude)
        x = _interpolate(builder, x, number, *taps)
    return _resize_images(builder, x, axes, coordinates) if image else x


def _whole(builder: Builder, x: View, dtype: np.dtype) -> View:
    """x as numbers of an integer type; as it is for all others."""
    form = integer_format(dtype)
    if form is None:
        return x
    if form[0] > 16:  # no sum of float32 comes near their ends
        return apply_unary(builder, Unary.ROUND, x)
    one, zero = (builder.constant(np.array(number, np.float32)) for number in (1, 0))
    return quantize(builder, x, one, zero, dtype)


def _interpolate(builder: Builder, x: View, axis: int, positions: np.ndarray, weights: np.ndarray) -> View:
    """A new buffer with weighted sums of x's elements along one axis; positions and weights: [out, taps]."""
    outer = int(np.prod(x.shape[:axis], dtype=np.int64))
    inner = int(np.prod(x.shape[axis + 1 :], dtype=np.int64))
    y = builder.allocate((outer, len(positions), inner))
    builder.emit(
        "interpolate",
        x=builder.reshape(x, (outer, x.shape[axis], inner)),
        positions=builder.constant(positions),
        weights=builder.constant(weights),
        y=y,
    )
    return builder.reshape(y, (*x.shape[:axis], len(positions), *x.shape[axis + 1 :]))


def _resize_images(builder: Builder, x: View, axes: list[Axis], coordinates: str) -> View:
    """Linear over the last two axes at once."""
    shape = (*x.shape[:-2], *(axis.out for axis in axes[-2:]))
    while x.rank < 4:
        x, axes = x[None], [Axis(1, 1, 1.0), *axes]
    if x.rank > 4:
        x = builder.reshape(x, (x.shape[0], -1, *x.shape[-2:]))
    y = builder.allocate((*x.shape[:2], axes[-2].out, axes[-1].out))
    rows, row_weights = linear_neighbours(axes[-2], coordinates)
    columns, column_weights = linear_neighbours(axes[-1], coordinates)
    builder.emit(
        "resize_linear",
        x=x,
        rows=builder.constant(rows),
        row_weights=builder.constant(row_weights),
        columns=builder.constant(columns),
        column_weights=builder.constant(column_weights),
        near=int(reads_near(columns)),
        y=y,
    )
    return builder.reshape(y, shape)


def reads_near(columns: np.ndarray) -> bool:
    """Whether PANEL outputs in a row always read PANEL columns in a row, from the first source of the first on.

    Args:
        columns: [output width, 2]: first and second source column.
    """
    if len(columns) < PANEL:
        return False
    starts = {*range(0, len(columns) - PANEL, PANEL), len(columns) - PANEL}
    runs = np.stack([columns[start : start + PANEL].reshape(-1) for start in starts])
    offsets = runs - runs[:, :1]
    return bool(offsets.min() >= 0 and offsets.max() < PANEL)


def _coordinate_mode(node: Lowering) -> str:
    default = "half_pixel" if node.opset >= 11 and node.op == "Resize" else "asymmetric"
    return node.attribute("coordinate_transformation_mode", default)


def _check_resize(node: Lowering, kind: str, coordinates: str) -> None:
    """Refuse what is not in the specification.

    Raises:
        UnsupportedError: names the attribute.
    """
    if kind not in ("nearest", "linear", "cubic"):
        raise node.refuse(f"attribute mode is {kind!r}", "use nearest, linear or cubic")
    if kind == "nearest" and node.attribute("antialias", 0):
        raise node.refuse("attribute antialias is 1", "use mode linear or cubic with it")
    if coordinates not in COORDINATES:
        raise node.refuse(
            f"attribute coordinate_transformation_mode is {coordinates!r}", f"use one of {', '.join(COORDINATES)}"
        )
    rounding = node.attribute("nearest_mode", "floor")
    if rounding not in ROUNDINGS:
        raise node.refuse(f"attribute nearest_mode is {rounding!r}", f"use one of {', '.join(ROUNDINGS)}")


def _axes(node: Lowering, coordinates: str) -> list[Axis]:
    """Sizes, scale and region of every axis."""
    shape, out = node.shape(0), node.output_shape()
    chosen = [axis % len(shape) for axis in node.attribute("axes") or range(len(shape))]
    # Upsample (opset 9) and Resize 10 have (x, scales); Resize 11+ (x, roi, scales, sizes).
    given = node.constant(1 if node.op == "Upsample" or node.opset < 11 else 2)
    scales = [o / s for o, s in zip(out, shape, strict=True)]
    if given is not None and given.size:
        scales = [1.0] * len(shape)
        for axis, value in zip(chosen, given.tolist(), strict=True):
            scales[axis] = float(value)
    elif node.attribute("keep_aspect_ratio_policy", "stretch") != "stretch":
        wanted = [size / shape[axis] for axis, size in zip(chosen, node.needs_constant(3, "sizes"), strict=True)]
        larger = node.attribute("keep_aspect_ratio_policy") == "not_smaller"
        for axis in chosen:
            scales[axis] = float(max(wanted) if larger else min(wanted))
    regions = [(0.0, 1.0)] * len(shape)
    if coordinates == "tf_crop_and_resize":
        region = node.needs_constant(1, "roi").tolist()
        for index, axis in enumerate(chosen):
            regions[axis] = region[index], region[index + len(chosen)]
    axes = zip(shape, out, scales, regions, strict=True)
    return [Axis(size, after, scale, start, end) for size, after, scale, (start, end) in axes]


def _nearest(node: Lowering, axis: Axis, coordinates: str) -> np.ndarray:
    """The source position of each output position, [out] int32."""
    # float64, so that adding 0.5 does not round.
    x = source_coordinates(axis, coordinates).astype(np.float64)
    if node.op == "Upsample" or node.opset < 11:
        if node.op == "Upsample" and axis.scale < 1:
            raise node.refuse(f"a scale of {axis.scale} makes an axis smaller", "use Resize")
        # Opset 10 does not say how to round; onnxruntime rounds up where the axis gets smaller.
        position = np.ceil(x) if axis.scale < 1 else np.floor(x)
    else:
        position = ROUNDINGS[node.attribute("nearest_mode", "round_prefer_floor")](x)
    return np.clip(position, 0, axis.size - 1).astype(np.int32)


def _extrapolate(node: Lowering, builder: Builder, y: View, beyond: list[np.ndarray]) -> View:
    """y with the extrapolation value where it lies outside the input along any axis."""
    if not any(mask.any() for mask in beyond):
        return y
    result = builder.allocate(y.shape, dtype=y.dtype)
    builder.copy(y, result)
    for axis, mask in enumerate(beyond):
        places = np.flatnonzero(mask)
        for run in np.split(places, np.flatnonzero(np.diff(places) != 1) + 1) if places.size else []:
            slab = (slice(None),) * axis + (slice(int(run[0]), int(run[-1]) + 1),)
            builder.fill(result[slab], float(node.attribute("extrapolation_value", 0.0)))
    return result
