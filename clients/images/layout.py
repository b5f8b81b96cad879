"""Where a file keeps slices, rows, columns and channels among its axes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ...engine.errors import SignalError
from .box import Box

ORDER = "ZYXC"


class Layout:
    """The axes of an array in a file, by letter, in their order there: Z slices, Y rows, X columns, C channels, T time.

    Axes of size 1 with any other letter are passed over; so is Z, for one slice is an image. `extent` is the image's
    `[depth, height, width, channels]`. Raises SignalError for axes that make no image.
    """

    def __init__(self, path: Path, axes: str, shape: Sequence[int], time: int | None = None) -> None:
        sizes = {"Z": 1, "C": 1}
        self.time = 0
        self._fixed: dict[int, int] = {}
        kept = ""
        for index, (letter, size) in enumerate(zip(axes, shape, strict=True)):
            if letter == "T":
                self.time = self._fixed[index] = _time_point(path, time, size)
            elif letter in ORDER and letter not in kept:
                kept += letter
                sizes[letter] = int(size)
            elif size == 1:
                self._fixed[index] = 0
            else:
                raise SignalError(
                    f"{path}: an array of shape {list(shape)} with the axes {axes}; Y and X, with at most one each of "
                    "Z, C and T, would work"
                )
        if "T" not in axes and time not in (None, 0):
            raise SignalError(f"{path}: time point {time} of a file without time points; 0 would work")
        if "Y" not in kept or "X" not in kept or min(sizes.values()) < 1:
            raise SignalError(f"{path}: an array of shape {list(shape)} with the axes {axes} is no image")
        self.axes = axes
        self.extent = (sizes["Z"], sizes["Y"], sizes["X"], sizes["C"])
        self.is_volume = sizes["Z"] > 1
        self._kept = kept
        # The kept axes, as positions in ORDER, and those of ORDER that the file lacks.
        self._positions = [ORDER.index(letter) for letter in kept]
        self._missing = [index for index, letter in enumerate(ORDER) if letter not in kept]

    @property
    def shape(self) -> tuple[int, ...]:
        """`[height, width, channels]` of an image, `[depth, height, width, channels]` of a volume."""
        return self.extent if self.is_volume else self.extent[1:]

    def selection(self, box: Box, channels: slice = slice(None)) -> tuple[slice | int, ...]:
        """What indexes the file's array to get a box; `arrange` takes what comes."""
        parts = dict(zip(ORDER, (*box.slices, channels), strict=True))
        return tuple(
            self._fixed[index] if index in self._fixed else parts[letter] for index, letter in enumerate(self.axes)
        )

    def arrange(self, part: np.ndarray) -> np.ndarray:
        """What `selection` selects, as a view `[depth, height, width, channels]`."""
        full = np.expand_dims(part.transpose(np.argsort(self._positions)), tuple(self._missing))
        assert full.ndim == len(ORDER)
        return full

    def unarrange(self, pixels: np.ndarray) -> np.ndarray:
        """The inverse of `arrange`."""
        return np.squeeze(pixels, tuple(self._missing)).transpose(np.argsort(np.argsort(self._positions)))

    def segment(self, sizes: Sequence[int]) -> tuple[int, ...]:
        """Sizes along the file's axes (of a chunk) as `[depth, height, width, channels]`."""
        found = {letter: int(size) for letter, size in zip(self.axes, sizes, strict=True) if letter in ORDER}
        return tuple(found.get(letter, 1) for letter in ORDER)


def _time_point(path: Path, time: int | None, count: int) -> int:
    if time is None and count > 1:
        raise SignalError(f"{path}: has {count} time points; open_image(path, time=0) takes the first")
    if not 0 <= (time or 0) < count:
        raise SignalError(f"{path}: time point {time} of {count}; 0 to {count - 1} would work")
    return time or 0
