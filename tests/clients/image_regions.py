"""Pixels for tests of image files, and writing them region by region."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike

from wavetile.clients.images import ImageSource, create_image

ENDINGS = [".npy", ".tif", ".nii", ".nii.gz", ".ome.zarr"]
HEIGHT, WIDTH = 70, 90


def pixels_of(shape: tuple[int, ...], dtype: DTypeLike = np.float32) -> np.ndarray:
    """Return pixels that are all different."""
    return np.arange(np.prod(shape)).reshape(shape).astype(dtype)


def write_in_regions(path: Path, pixels: np.ndarray, side: int = 32, like: ImageSource | None = None) -> None:
    """Write an image or volume region by region; a volume two slices at a time."""
    height, width = pixels.shape[-3:-1]
    geometry = like.fitted(pixels.shape)[1] if like is not None else None
    with create_image(path, pixels.shape, pixels.dtype, geometry=geometry, tile=side) as sink:
        for z in range(0, len(pixels), 2) if pixels.ndim == 4 else [0]:
            block = pixels[z : z + 2] if pixels.ndim == 4 else pixels
            for y in range(0, height, side):
                for x in range(0, width, side):
                    sink.write(block[..., y : y + side, x : x + side, :], y, x, z)
