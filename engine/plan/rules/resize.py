"""Resize and Upsample: nearest by gathering along each axis, linear over the last two."""

from __future__ import annotations

import numpy as np

from ....kernels.contract import PANEL
from ..builder import Builder
from ..view import View
from .registry import Lowering, rule
from .views import gather_axis

_COORDINATES = ("half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric")

_ROUNDINGS = {
    "round_prefer_floor": lambda x: np.ceil(x - 0.5),
    "round_prefer_ceil": lambda x: np.floor(x + 0.5),
    "floor": np.floor,
    "ceil": np.ceil,
}


@rule("Resize", "Upsample")
def resize(node: Lowering, builder: Builder) -> View:
    """Modes nearest (any coordinate mode and rounding) and linear over the last two axes.

    Coordinates as in the ONNX specification of Resize, attribute coordinate_transformation_mode.
    """
    _check_resize(node)
    x = node.view(0)
    out = node.output_shape()
    mode = node.attribute("mode", "nearest")
    scales = _scales(node, x.shape, out)
    changed = [axis for axis in range(x.rank) if x.shape[axis] != out[axis] or scales[axis] != 1.0]
    if mode == "nearest":
        for axis in changed:
            x = gather_axis(builder, x, axis, _nearest(node, x.shape[axis], out[axis], scales[axis]))
        return x
    if any(axis < x.rank - 2 for axis in changed):
        raise node.refuse(f"linear over axes {changed} of shape {x.shape}", "resize the last two axes alone")
    while x.rank < 4:
        x = x[None]
    if x.rank > 4:
        x = builder.reshape(x, (x.shape[0], -1, *x.shape[-2:]))
    y = builder.allocate((*x.shape[:2], *(1, *out)[-2:]))
    rows, row_weights = _linear(node, x.shape[2], y.shape[2], (1.0, *scales)[-2])
    columns, column_weights = _linear(node, x.shape[3], y.shape[3], scales[-1])
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
    return builder.reshape(y, out)


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


def _check_resize(node: Lowering) -> None:
    """Refuse what would change the values and is not there.

    Raises:
        UnsupportedError: names the attribute.
    """
    mode = node.attribute("mode", "nearest")
    if mode not in ("nearest", "linear"):
        raise node.refuse(f"attribute mode is {mode!r}", "use nearest or linear")
    for name in ("antialias", "exclude_outside"):
        if node.attribute(name, 0):
            raise node.refuse(f"attribute {name} is 1", f"use {name}=0")
    policy = node.attribute("keep_aspect_ratio_policy", "stretch")
    if policy != "stretch":
        raise node.refuse(f"attribute keep_aspect_ratio_policy is {policy!r}", "use stretch")
    coordinates = node.attribute("coordinate_transformation_mode", "half_pixel")
    if coordinates not in _COORDINATES:
        raise node.refuse(
            f"attribute coordinate_transformation_mode is {coordinates!r}", f"use one of {', '.join(_COORDINATES)}"
        )
    rounding = node.attribute("nearest_mode", "floor")
    if rounding not in _ROUNDINGS:
        raise node.refuse(f"attribute nearest_mode is {rounding!r}", f"use one of {', '.join(_ROUNDINGS)}")


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
    """The source coordinate of each output position, float32 as in onnxruntime: at a tie the last bit decides."""
    default = "half_pixel" if node.opset >= 11 and node.op == "Resize" else "asymmetric"
    mode = node.attribute("coordinate_transformation_mode", default)
    position = np.arange(out, dtype=np.float32)
    ratio, half = np.float32(scale), np.float32(0.5)
    if mode == "asymmetric":
        return position / ratio
    if out == 1 and mode in ("align_corners", "pytorch_half_pixel"):
        return np.zeros(1, np.float32)
    if mode == "align_corners":
        return position * np.float32(size - 1) / np.float32(out - 1)
    centre = (position + half) / ratio
    if mode == "half_pixel_symmetric":
        centre = np.float32(size / 2) * (1 - np.float32(out) / (ratio * np.float32(size))) + centre
    return centre - half


def _nearest(node: Lowering, size: int, out: int, scale: float) -> np.ndarray:
    """The source position of each output position, [out] int32."""
    # float64, so that adding 0.5 does not round.
    x = _source_coordinates(node, size, out, scale).astype(np.float64)
    if node.op == "Upsample" or node.opset < 11:
        if node.op == "Upsample" and scale < 1:
            raise node.refuse(f"a scale of {scale} makes an axis smaller", "use Resize")
        # Opset 10 does not say how to round; onnxruntime rounds up where the axis gets smaller.
        position = np.ceil(x) if scale < 1 else np.floor(x)
    else:
        position = _ROUNDINGS[node.attribute("nearest_mode", "round_prefer_floor")](x)
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
