"""PNG and JPEG through Pillow: decoded and encoded whole, for these formats have no parts."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np

from ...engine.errors import SignalError
from .box import Box
from .endings import library
from .geometry import Geometry
from .layout import Layout
from .sink import ImageSink
from .source import ArraySource, ImageSource


def open_plain(path: Path, time: int | None) -> ImageSource:
    """Decode a PNG or JPEG. Raises SignalError."""
    pillow = library("PIL.Image", path)
    try:
        with warnings.catch_warnings():
            # Pillow warns of images of 90 million pixels and refuses twice that; the refusal is enough.
            warnings.simplefilter("ignore", pillow.DecompressionBombWarning)
            with pillow.open(path) as image:
                if image.mode == "P":
                    raise SignalError(f"{path}: its colours are numbers of a palette; grey or RGB would work")
                pixels = np.asarray(image)
    except pillow.DecompressionBombError as error:
        raise SignalError(f"{path}: {error}; a TIFF, which is read in parts, would work") from None
    except (OSError, SyntaxError) as error:
        raise SignalError(f"{path}: {error}") from None
    return ArraySource(path, Layout(path, "YXC"[: pixels.ndim], pixels.shape, time), pixels)


class PngSink(ImageSink):
    """A PNG, encoded at the end: uint8 as it is, floating-point values from 0 to 1 in 8 bits."""

    endings = (".png",)
    grows = False

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: np.dtype, *, geometry: Geometry, tile: int) -> None:
        del tile
        super().__init__(path, shape, dtype, geometry=geometry)
        self._pillow = library("PIL.Image", path)
        if len(shape) == 4 or shape[-1] not in (1, 3, 4):
            raise SignalError(f"{path}: PNG holds no image of {list(shape)}; .tif, .zarr, .nii and .npy would")
        if self.dtype.kind != "f" and self.dtype != np.uint8:
            raise SignalError(f"{path}: PNG is written of uint8 or of values from 0 to 1, not {self.dtype}; .tif works")
        self._pixels = np.zeros(shape, np.uint8)

    def _write(self, box: Box, block: np.ndarray) -> None:
        if self.dtype.kind == "f":
            if not (block.min() >= 0 and block.max() <= 1):
                raise SignalError(
                    f"{self.path}: PNG takes values from 0 to 1, not {block.min():g} to {block.max():g}; "
                    ".tif or .npy would work"
                )
            block = np.rint(block * 255).astype(np.uint8)
        _, rows, columns = box.slices
        self._pixels[rows, columns] = block[0]

    def _close(self) -> None:
        pass

    def _finish(self) -> None:
        pixels = self._pixels[..., 0] if self.shape[-1] == 1 else self._pixels
        self._pillow.fromarray(pixels).save(self.partial, format="png")
        super()._finish()
