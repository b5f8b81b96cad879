"""An image file that is read in rectangles."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Self

import numpy as np

from ...engine.errors import SignalError
from .box import Box, whole
from .geometry import Geometry
from .layout import Layout


class ImageSource(ABC):
    """An open image or volume; also a context manager, which closes the file.

    `shape`: `[height, width, channels]` or `[depth, height, width, channels]`; `axes` names them. `dtype`: the file's
    own, in this machine's byte order; truth values are uint8.
    """

    def __init__(self, path: Path, layout: Layout, dtype: Any, geometry: Geometry) -> None:
        self.path = path
        self.shape = layout.shape
        self.axes = ("depth", "height", "width", "channels")[-len(self.shape) :]
        self.dtype = pixel_type(path, dtype)
        self.geometry = geometry
        self.layout = layout

    @property
    def is_volume(self) -> bool:
        """Whether the shape begins with a depth."""
        return self.layout.is_volume

    def read(self, box: Box | None = None) -> np.ndarray:
        """A box's pixels (None: all), `[height, width, channels]` or `[depth, height, width, channels]`, a copy.

        Raises SignalError for a box that is empty or reaches outside, and for a file that proves broken there.
        """
        box = box or whole(self.shape)
        if not box.lies_in(self.layout.extent):
            raise SignalError(f"{self.path}: pixels {box} of an image of {' x '.join(map(str, self.shape))}")
        pixels = np.ascontiguousarray(self._read(box), self.dtype)
        return pixels if self.is_volume else pixels[0]

    @property
    def original(self) -> ImageSource:
        """The image as it is in the file, where this one continues it (see `PaddedSource`)."""
        return self

    def fitted(self, shape: tuple[int, ...]) -> tuple[tuple[int, ...], Geometry]:
        """What is kept of an output of `shape`, `[(depth,) height, width, channels]`, and its geometry."""
        return shape, self.geometry.resampled(self.shape, shape)

    @abstractmethod
    def _read(self, box: Box) -> np.ndarray:
        """`[depth, height, width, channels]` of a box that lies inside."""

    def close(self) -> None:  # noqa: B027 - most have nothing to close
        """Close the file."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class ArraySource(ImageSource):
    """A source whose file is an array that can be indexed: in memory, or mapped into it."""

    def __init__(self, path: Path, layout: Layout, array: Any, geometry: Geometry | None = None) -> None:
        super().__init__(path, layout, array.dtype, geometry or Geometry())
        self._array = array

    def _read(self, box: Box) -> np.ndarray:
        # A copy: what is returned must not change or vanish with the file.
        return self.layout.arrange(np.array(self._array[self.layout.selection(box)]))


def pixel_type(path: Path, dtype: Any) -> np.dtype:
    """The type that a file's values are read in. Raises SignalError for what is no whole or floating-point number."""
    dtype = np.dtype(dtype)
    if dtype.kind == "b":
        return np.dtype(np.uint8)
    if dtype.kind not in "uif":
        raise SignalError(f"{path}: its values are {dtype}; whole or floating-point numbers would work")
    return dtype.newbyteorder("=")
