"""Definitions of sampling between elements."""

from __future__ import annotations

from itertools import product

import numpy as np

from ..opcodes_sampling import Beyond, Coordinates, Interpolation
from .execute import definition

FARTHEST = np.float32(1 << 24)
"""Indices are limited to this: float32 has no fractions there, and they fit every integer."""


@definition
def sample(
    x: np.ndarray,
    grid: np.ndarray,
    y: np.ndarray,
    interpolation: Interpolation,
    beyond: Beyond,
    coordinates: Coordinates,
) -> None:
    """y[n, c, p] = x[n, c] at the point grid[n, p], between elements by interpolation; a NaN in the grid counts as -1.

    Indices beyond the input are brought back to it before they are split into an element and a fraction (those of a
    cubic interpolation are not, as in PyTorch), those of the elements around them again.

    Args:
        x: [batch, channels, depth, height, width] float32.
        grid: [batch, points, axes] float32, the width's coordinate first.
        y: [batch, channels, points] float32.
        interpolation, beyond, coordinates: see `opcodes_sampling`.

    Source: ONNX GridSample.
    """
    axes = []
    for axis in range(3):
        size = x.shape[4 - axis]
        if axis < grid.shape[2]:
            axes.append(_taps(grid[:, :, axis], size, interpolation, beyond, coordinates))
        else:
            axes.append([(np.zeros(grid.shape[:2], np.int64), np.ones(grid.shape[:2], np.float32))])
    batch = np.arange(len(x))[:, None]
    total = np.zeros((x.shape[0], grid.shape[1], x.shape[1]), np.float32)
    for taps in product(*reversed(axes)):
        (planes, a), (rows, b), (columns, c) = taps
        inside = (planes >= 0) & (rows >= 0) & (columns >= 0)
        values = x[batch, :, np.maximum(planes, 0), np.maximum(rows, 0), np.maximum(columns, 0)]
        total += np.where(inside[..., None], (a * b * c)[..., None] * values, np.float32(0))
    y[...] = total.transpose(0, 2, 1)


def _taps(
    grid: np.ndarray, size: int, interpolation: Interpolation, beyond: Beyond, coordinates: Coordinates
) -> list[tuple[np.ndarray, np.ndarray]]:
    """The (elements, weights) along one axis whose sum is the value; an element of -1 gives zero."""
    one, two = np.float32(1), np.float32(2)
    at = np.where(np.isnan(grid), -one, grid)
    with np.errstate(over="ignore"):
        if coordinates is Coordinates.CENTRES:
            at = (at + one) / two * np.float32(size - 1)
        elif coordinates is Coordinates.EDGES:
            at = ((at + one) * np.float32(size) - one) / two
    at = np.clip(at, -FARTHEST, FARTHEST)
    if interpolation is Interpolation.NEAREST:
        at = np.rint(at)
    low = np.float32(0 if coordinates is Coordinates.CENTRES else -0.5)
    high = np.float32(size - 1) - low
    if interpolation is not Interpolation.CUBIC:
        at = _bring_back(at, size, low, high, beyond)
    first = np.floor(at)
    rest = at - first
    if interpolation is Interpolation.NEAREST:
        start, weights = 0, [np.ones_like(at)]
    elif interpolation is Interpolation.LINEAR:
        start, weights = 0, [one - rest, rest]
    else:
        start, weights = -1, _cubic(rest)
    taps = []
    for index, weight in enumerate(weights, start):
        element = _bring_back(first + np.float32(index), size, low, high, beyond)
        element = np.where((element >= 0) & (element < size), element, -1).astype(np.int64)
        taps.append((element, weight))
    return taps


def _bring_back(at: np.ndarray, size: int, low: np.float32, high: np.float32, beyond: Beyond) -> np.ndarray:
    """Indices mapped into the input as `beyond` says; zeros leave them outside."""
    if beyond is Beyond.ZEROS:
        return at
    if beyond is Beyond.BORDER:
        return np.where((at < low) | (at > high), np.clip(at, 0, np.float32(size - 1)), at)
    span = high - low
    if span <= 0:
        return np.zeros_like(at)
    past = np.where(at < low, low - at, at - high)
    times = np.trunc(past / span)
    rest = past - times * span
    from_low = (times % 2 == 0) == (at < low)
    mirrored = np.where(from_low, low + rest, high - rest)
    return np.where((at < low) | (at > high), mirrored, at).astype(np.float32)


def _cubic(rest: np.ndarray) -> list[np.ndarray]:
    """The weights of the elements at -1, 0, 1 and 2 from the one before the point."""
    a = np.float32(-0.75)

    def near(t: np.ndarray) -> np.ndarray:
        return ((a + 2) * t - (a + 3)) * t * t + 1

    def far(t: np.ndarray) -> np.ndarray:
        return ((a * t - 5 * a) * t + 8 * a) * t - 4 * a

    return [far(rest + 1), near(rest), near(1 - rest), far(2 - rest)]
