"""Definitions of pooling over regions that arrive."""

from __future__ import annotations

import numpy as np

from .execute import definition

MOST_SAMPLES = 4096
"""Samples along a side of a bin are limited to this, whatever size a region claims to have."""


@definition
@np.errstate(over="ignore", invalid="ignore")
def roi_align(
    x: np.ndarray,
    regions: np.ndarray,
    images: np.ndarray,
    y: np.ndarray,
    scale: float,
    offset: float,
    samples: int,
    largest: int,
) -> None:
    """y[r, c, i, j] = the mean of x[images[r], c], linearly interpolated, at points in bin (i, j) of region r.

    Points lie in a regular grid; those further than one element outside x count as 0. `largest` takes, of all points,
    the largest product of one of the four elements around it and its weight (as ONNX Runtime does). A region of an
    image that is not there gives NaN.

    Args:
        x: [batch, channels, height, width] float32.
        regions: [regions, 4] float32: left, top, right, bottom; times `scale`, less `offset`. Without an offset they
            are at least one element wide and high.
        images: [regions] int64.
        y: [regions, channels, output height, output width] float32.
        samples: points along a side of a bin; 0 takes as many as it has elements.

    Source: ONNX RoiAlign; K. He et al., "Mask R-CNN" (2017).
    """
    height, width = x.shape[2:]
    rows, columns = y.shape[2:]
    for r, (region, image) in enumerate(zip(regions, images.tolist(), strict=True)):
        if not 0 <= image < len(x):
            y[r] = np.nan
            continue
        left, top, right, bottom = region * np.float32(scale) - np.float32(offset)
        size = np.array([bottom - top, right - left], np.float32)
        if offset == 0:
            size = np.maximum(size, np.float32(1))
        bins = size / np.array([rows, columns], np.float32)
        counts = np.clip(np.nan_to_num(np.ceil(bins), nan=0.0), 0, MOST_SAMPLES)
        count_y, count_x = (samples, samples) if samples > 0 else (int(counts[0]), int(counts[1]))
        for i in range(rows):
            for j in range(columns):
                lines, places = _samples(top, bins[0], i, count_y), _samples(left, bins[1], j, count_x)
                parts = [_parts(x[image], line, place, height, width) for line in lines for place in places]
                if not parts:
                    y[r, :, i, j] = 0
                elif largest:
                    y[r, :, i, j] = np.max(parts, axis=(0, 1))
                else:
                    y[r, :, i, j] = np.sum(parts, axis=(0, 1)) / np.float32(len(parts))


def _samples(start: np.float32, length: np.float32, index: int, count: int) -> np.ndarray:
    """The coordinates of a bin's samples along one axis."""
    middles = (np.arange(count, dtype=np.float32) + np.float32(0.5)) * length / np.float32(max(count, 1))
    return start + np.float32(index) * length + middles


def _parts(x: np.ndarray, line: np.float32, place: np.float32, height: int, width: int) -> np.ndarray:
    """The four elements around a point, times their weights: [4, channels]."""
    if not (-1 <= line <= height and -1 <= place <= width):
        return np.zeros((4, len(x)), np.float32)
    top, down = _neighbours(line, height)
    left, across = _neighbours(place, width)
    below, right = min(top + 1, height - 1), min(left + 1, width - 1)
    one = np.float32(1)
    return np.stack(
        [
            (one - down) * (one - across) * x[:, top, left],
            (one - down) * across * x[:, top, right],
            down * (one - across) * x[:, below, left],
            down * across * x[:, below, right],
        ]
    )


def _neighbours(at: np.float32, size: int) -> tuple[int, np.float32]:
    """The element before a point, and how far behind it the point lies."""
    at = max(at, np.float32(0))
    first = int(at)
    return (size - 1, np.float32(0)) if first >= size - 1 else (first, at - np.float32(first))


@definition
@np.errstate(over="ignore", invalid="ignore")
def max_roi_pool(x: np.ndarray, regions: np.ndarray, y: np.ndarray, scale: float) -> None:
    """y[r, c, i, j] = the largest element of bin (i, j) of region r, 0 where the bin is empty.

    Regions are rounded to whole elements, both ends included; bins to as many as they touch. A region of an image that
    is not there gives NaN.

    Args:
        x: [batch, channels, height, width] float32.
        regions: [regions, 5] float32: image, left, top, right, bottom; the last four times `scale`.
        y: [regions, channels, output height, output width] float32.

    Source: ONNX MaxRoiPool; R. Girshick, "Fast R-CNN" (2015).
    """
    for r, region in enumerate(regions):
        image = int(np.nan_to_num(np.clip(region[0], -1, len(x)), nan=-1))
        if not 0 <= image < len(x):
            y[r] = np.nan
            continue
        spans = [
            _bins(
                region[first] * np.float32(scale), region[first + 2] * np.float32(scale), x.shape[axis], y.shape[axis]
            )
            for first, axis in ((2, 2), (1, 3))
        ]
        for i, (top, bottom) in enumerate(spans[0]):
            for j, (left, right) in enumerate(spans[1]):
                part = x[image, :, top:bottom, left:right].reshape(x.shape[1], -1)
                y[r, :, i, j] = part.max(axis=1) if part.shape[1] else 0


def _bins(start: np.float32, end: np.float32, size: int, bins: int) -> list[tuple[int, int]]:
    """First and end element of each bin between two coordinates, limited to the axis."""
    limit = np.float32(1 << 24)
    first, last = (int(_round_away(np.clip(np.nan_to_num(at, nan=0.0), -limit, limit))) for at in (start, end))
    step = np.float32(max(last - first + 1, 1)) / np.float32(bins)
    edges = []
    for index in range(bins):
        low = int(np.floor(np.float32(index) * step)) + first
        high = int(np.ceil(np.float32(index + 1) * step)) + first
        edges.append((min(max(low, 0), size), min(max(high, 0), size)))
    return edges


def _round_away(value: np.float32) -> np.float32:
    """Halves away from zero, as C's round."""
    return np.copysign(np.floor(np.abs(value) + np.float32(0.5)), value)
