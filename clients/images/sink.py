"""An image file that is written in regions, as they are finished."""

from __future__ import annotations

import errno
import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import numpy as np

from ...engine.errors import SignalError, WavetileError
from ...engine.pixels import can_hold
from .box import Box
from .endings import ending_of, partial_path
from .geometry import Geometry
from .layout import Layout
from .source import pixel_type

_NOT_OFFERED = (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS)
"""By the file system: such files grow as they are written."""


class ImageSink(ABC):
    """An image or volume under way, in a file beside its own: "mask.partial.tif" for "mask.tif".

    Other programs can look at it while it grows. When the context ends with every pixel written, the file gets its
    name. After an error it stays as it is, for hours may be in it (the error's note says where), unless nothing had
    been written yet; a format that is encoded at the end leaves nothing.
    """

    endings: tuple[str, ...] = ()
    grows = True

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: np.dtype, *, geometry: Geometry) -> None:
        self.path = path
        self.shape = shape
        self.dtype = pixel_type(path, dtype)
        self.geometry = geometry
        self.partial = partial_path(path, ending_of(path, self.endings))
        self._missing = int(np.prod(shape[:-1]))

    def write(self, pixels: np.ndarray, y: int = 0, x: int = 0, z: int = 0) -> None:
        """Put a finished region at row `y` and column `x` (slice `z`); regions must not overlap.

        `pixels`: `[height, width, channels]`, or `[depth, height, width, channels]` of a volume, of a type that `dtype`
        can hold. Raises SignalError for what does not fit, or can not be held by the format.
        """
        if pixels.ndim != len(self.shape) or pixels.shape[-1] != self.shape[-1]:
            raise SignalError(f"{self.path}: pixels of shape {list(pixels.shape)} for an image of {list(self.shape)}")
        if not can_hold(self.dtype, pixels.dtype):
            raise SignalError(f"{self.path}: pixels of type {pixels.dtype} for an image of {self.dtype}")
        block = pixels if pixels.ndim == 4 else pixels[None]
        depth, height, width, _ = block.shape
        box = Box(y, x, height, width, z, depth)
        if not box.lies_in((1, *self.shape)[-4:]):
            raise SignalError(f"{self.path}: pixels {box} for an image of {' x '.join(map(str, self.shape))}")
        with writing(self.path):
            self._write(box, block)
        self._missing -= depth * height * width

    @abstractmethod
    def _write(self, box: Box, block: np.ndarray) -> None:
        """Put `block`, `[depth, height, width, channels]`."""

    @abstractmethod
    def _close(self) -> None:
        """Bring to the disk what was written."""

    def _finish(self) -> None:
        """Give the file its name."""
        self.partial.replace(self.path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        try:
            with writing(self.path):
                self._close()
                if kind is None and self._missing == 0:
                    self._finish()
                    return
        except SignalError as failure:
            (error or failure).add_note(self._left_behind())
            if error is None:
                raise
            error.add_note(str(failure))
            return
        note = self._left_behind()
        if error is None:
            raise WavetileError(f"{self.path}: {self._missing} pixels are missing or were written twice; {note}")
        error.add_note(note)

    def _left_behind(self) -> str:
        if self.grows and self._missing < int(np.prod(self.shape[:-1])):
            return f"what was finished is in {self.partial}"
        if self.partial.is_dir():
            shutil.rmtree(self.partial)
        else:
            self.partial.unlink(missing_ok=True)
        return "nothing was kept"


class ArraySink(ImageSink):
    """A sink whose file is an array that can be assigned to, with `layout`'s axes."""

    def _map(self, array: Any, layout: Layout) -> None:
        self._array = array
        self._layout = layout

    def _write(self, box: Box, block: np.ndarray) -> None:
        selection = self._layout.selection(box)
        if isinstance(self._array, np.memmap):
            self._reserve(self._array[selection])
        self._array[selection] = self._layout.unarrange(block).astype(self.dtype, copy=False)

    def _reserve(self, region: np.ndarray) -> None:
        """Have the disk hold a region's place. Writing through a map of what it can not hold would kill the process."""
        if not hasattr(os, "posix_fallocate"):
            return
        first = region.ctypes.data - self._array.ctypes.data + self._array.offset
        size = sum((count - 1) * step for count, step in zip(region.shape, region.strides, strict=True))
        with self.partial.open("r+b") as file:
            try:
                os.posix_fallocate(file.fileno(), first, size + region.itemsize)
            except OSError as error:
                if error.errno not in _NOT_OFFERED:
                    raise

    def _close(self) -> None:
        if isinstance(self._array, np.memmap):
            self._array.flush()
        del self._array  # unmapped


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the system says against writing (no room, no permission) into SignalError."""
    try:
        yield
    except OSError as error:
        raise SignalError(f"{path}: can not be written: {error.strerror or error}") from error
