"""Linear maps from the numbers that an image holds to those that a network was trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from .errors import SignalError

LEAST_SPREAD = 1e-6
"""An image of one brightness alone has no spread to be divided by."""


class PixelNormalisation(Protocol):
    """A rule that finds an image's own map."""

    def scale_and_offset(self, pixels: np.ndarray) -> tuple[float, float]:
        """The map `pixels * scale + offset` for an image, of which `pixels` may be a sample."""
        ...


@dataclass(frozen=True, slots=True)
class PercentileRange:
    """Two percentiles of the pixels become 0 and 1; what lies beyond is kept."""

    low: float
    high: float

    def __str__(self) -> str:
        return f"percentiles {self.low:g} and {self.high:g} become 0 and 1"

    def scale_and_offset(self, pixels: np.ndarray) -> tuple[float, float]:
        """See `PixelNormalisation`."""
        darkest, brightest = np.percentile(pixels, [self.low, self.high])
        scale = 1.0 / max(float(brightest - darkest), LEAST_SPREAD)
        return scale, -float(darkest) * scale


@dataclass(frozen=True, slots=True)
class StandardScore:
    """Pixels get mean 0 and variance 1."""

    def __str__(self) -> str:
        return "mean 0, variance 1"

    def scale_and_offset(self, pixels: np.ndarray) -> tuple[float, float]:
        """See `PixelNormalisation`."""
        scale = 1.0 / max(float(pixels.std(dtype=np.float64)), LEAST_SPREAD)
        return scale, -float(pixels.mean(dtype=np.float64)) * scale


def can_hold(dtype: np.dtype, other: np.dtype) -> bool:
    """Whether pixels of type `other` can be kept as `dtype`: rounded at most, but neither wrapped nor cut off."""
    return np.can_cast(other, dtype, casting="same_kind" if dtype.kind == "f" else "safe")


def network_pixels(pixels: np.ndarray, scale: float, offset: float) -> np.ndarray:
    """A part of an image as a network takes it: `pixels * scale + offset`.

    Args:
        pixels: [rows, columns, channels] or [slices, rows, columns, channels], numbers of any type.
        scale: 0 is 1.
        offset: in the network's numbers.

    Returns:
        [1, channels, ...] float32, a fresh array.

    Raises:
        SignalError: a pixel is not finite, or does not stay so.
    """
    with np.errstate(over="ignore"):  # told below, and not by a warning
        mapped = pixels.astype(np.float32)
        if scale not in (0.0, 1.0):
            mapped *= np.float32(scale)
        if offset:
            mapped += np.float32(offset)
    if not np.isfinite(mapped).all():
        raise SignalError(
            f"a tile has pixels that are NaN or infinite, or become so times {scale:g} plus {offset:g}; every pixel "
            "must be finite"
        )
    return np.ascontiguousarray(np.moveaxis(mapped, -1, 0))[np.newaxis]
