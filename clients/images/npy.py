"""NumPy's .npy files, mapped into memory.

An array of two or three axes is `[height, width]` or `[height, width, channels]`. One of four or five is a batch of
one in a network's order, `[1, channels, height, width]` or `[1, channels, depth, height, width]`; so it is written.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ...engine.errors import SignalError
from .geometry import Geometry
from .layout import Layout
from .sink import ArraySink
from .source import ArraySource, ImageSource

_AXES = {2: "YX", 3: "YXC", 4: "BCYX", 5: "BCZYX"}


def open_npy(path: Path, time: int | None) -> ImageSource:
    """Open a .npy file. Raises SignalError."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise SignalError(f"{path}: {error}") from None
    axes = _AXES.get(array.ndim)
    if axes is None or (axes[0] == "B" and len(array) != 1):
        raise SignalError(
            f"{path}: an image of shape {list(array.shape)}; [height, width], [height, width, channels], "
            "[1, channels, height, width] or [1, channels, depth, height, width] would work"
        )
    return ArraySource(path, Layout(path, axes, array.shape, time), array)


class NpySink(ArraySink):
    """A .npy file, written through a map of it."""

    endings = (".npy",)

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: np.dtype, *, geometry: Geometry, tile: int) -> None:
        del tile
        super().__init__(path, shape, dtype, geometry=geometry)
        ordered = (1, shape[-1], *shape[:-1])
        array: Any = np.lib.format.open_memmap(self.partial, "w+", self.dtype, ordered)
        self._map(array, Layout(path, _AXES[len(ordered)], ordered))
