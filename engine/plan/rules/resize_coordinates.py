"""Where each output of a Resize lies in its input, and which neighbours it is made of with what weights.

Source: ONNX Resize, attributes coordinate_transformation_mode, nearest_mode, cubic_coeff_a, antialias, exclude_outside.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

COORDINATES = (
    "half_pixel",
    "half_pixel_symmetric",
    "pytorch_half_pixel",
    "align_corners",
    "asymmetric",
    "tf_crop_and_resize",
)

ROUNDINGS = {
    "round_prefer_floor": lambda x: np.ceil(x - 0.5),
    "round_prefer_ceil": lambda x: np.floor(x + 0.5),
    "floor": np.floor,
    "ceil": np.ceil,
}


class Axis(NamedTuple):
    """One axis to be resized."""

    size: int
    out: int
    scale: float
    start: float = 0.0
    end: float = 1.0
    """The region of interest, for tf_crop_and_resize, as shares of the axis."""

    @property
    def unchanged(self) -> bool:
        """Whether every output is the input at its own position."""
        return self.size == self.out and self.scale == 1.0 and (self.start, self.end) == (0.0, 1.0)


def source_coordinates(axis: Axis, mode: str) -> np.ndarray:
    """The source coordinate of each output position, float32 as in onnxruntime: at a tie the last bit decides."""
    position = np.arange(axis.out, dtype=np.float32)
    ratio, half = np.float32(axis.scale), np.float32(0.5)
    last = np.float32(axis.size - 1)
    if mode == "asymmetric":
        return position / ratio
    if mode == "tf_crop_and_resize":
        start, end = np.float32(axis.start), np.float32(axis.end)
        if axis.out == 1:
            return np.full(1, half * (start + end) * last)
        return start * last + position * (end - start) * last / np.float32(axis.out - 1)
    if axis.out == 1 and mode in ("align_corners", "pytorch_half_pixel"):
        return np.zeros(1, np.float32)
    if mode == "align_corners":
        # The specification's length is before rounding; onnxruntime takes the rounded one.
        length = axis.scale * axis.size
        return position * last / np.float32((axis.out if abs(length - axis.out) < 1e-5 else length) - 1)
    centre = (position + half) / ratio
    if mode == "half_pixel_symmetric":
        centre = np.float32(axis.size / 2) * (1 - np.float32(axis.out) / (ratio * np.float32(axis.size))) + centre
    return centre - half


def outside(axis: Axis, mode: str) -> np.ndarray:
    """Which outputs of a tf_crop_and_resize lie outside the input: [out] bool; elsewhere none do."""
    if mode != "tf_crop_and_resize":
        return np.zeros(axis.out, bool)
    x = source_coordinates(axis, mode)
    return (x < 0) | (x > axis.size - 1)


def linear_neighbours(axis: Axis, mode: str) -> tuple[np.ndarray, np.ndarray]:
    """First and second source position of each output, [out, 2] int32, and the weight of the second, [out] float32."""
    if axis.unchanged:
        position = np.arange(axis.out)
        return np.stack([position, position], 1).astype(np.int32), np.zeros(axis.out, np.float32)
    x = np.clip(source_coordinates(axis, mode), 0, axis.size - 1)
    first = np.floor(x)
    second = np.minimum(first + 1, axis.size - 1)
    return np.stack([first, second], 1).astype(np.int32), (x - first).astype(np.float32)


def weighted_neighbours(
    axis: Axis, mode: str, cubic: float | None, *, antialias: bool, exclude_outside: bool
) -> tuple[np.ndarray, np.ndarray]:
    """The neighbours of each output with their weights: [out, taps] int32 and float32.

    Args:
        axis: what is resized.
        mode: coordinate_transformation_mode.
        cubic: the coefficient a of cubic interpolation; None for linear.
        antialias: an axis that gets smaller is smoothed by as much: the filter is stretched by 1 / scale.
        exclude_outside: neighbours outside the input count for nothing, else each counts as the one at the edge.
    """
    x = source_coordinates(axis, mode).astype(np.float64)[:, None]
    shrink = min(axis.scale, 1.0) if antialias else 1.0
    reach = int(np.ceil((1 if cubic is None else 2) / shrink))
    positions = np.floor(x) + np.arange(1 - reach, reach + 1)
    distance = np.abs(positions - x) * shrink
    weights = np.maximum(1 - distance, 0) if cubic is None else _cubic(distance, cubic)
    if exclude_outside:
        weights = np.where((positions < 0) | (positions > axis.size - 1), 0, weights)
    weights /= weights.sum(1, keepdims=True)
    return np.clip(positions, 0, axis.size - 1).astype(np.int32), weights.astype(np.float32)


def _cubic(distance: np.ndarray, a: float) -> np.ndarray:
    """Weights of cubic convolution at a distance.

    Source: R. Keys, Cubic convolution interpolation for digital image processing, 1981, with a = -0.5 there.
    """
    near = ((a + 2) * distance - (a + 3)) * distance**2 + 1
    far = ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a
    return np.where(distance <= 1, near, np.where(distance < 2, far, 0.0))
