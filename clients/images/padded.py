"""Images continued beyond their last rows and columns, for networks that take nothing but multiples of some size."""

from __future__ import annotations

import numpy as np

from ...engine.errors import SignalError
from .box import Box
from .geometry import Geometry
from .layout import Layout
from .source import ImageSource


class PaddedSource(ImageSource):
    """A source whose height and width (of a volume its depth too) are multiples of a number.

    Its last rows, columns and slices, mirrored, continue it: row `height` is row `height - 1` once more, the next one
    `height - 2`, and so on.
    """

    def __init__(self, source: ImageSource, multiple: int) -> None:
        """Continue `source`. Raises SignalError for one that is too small to be mirrored so far."""
        *sizes, channels = source.shape
        padded = [-(-size // multiple) * multiple for size in sizes]
        if any(new > 2 * old for old, new in zip(sizes, padded, strict=True)):
            raise SignalError(
                f"{source.path}: {' x '.join(map(str, sizes))} pixels, too few to be mirrored up to multiples of "
                f"{multiple}; each has to be half of one at least"
            )
        axes = "ZYX"[-len(sizes) :]
        super().__init__(
            source.path, Layout(source.path, f"{axes}C", [*padded, channels]), source.dtype, source.geometry
        )
        self._source = source

    @property
    def original(self) -> ImageSource:
        """See `ImageSource.original`."""
        return self._source

    def fitted(self, shape: tuple[int, ...]) -> tuple[tuple[int, ...], Geometry]:
        """See `ImageSource.fitted`."""
        _, geometry = super().fitted(shape)
        kept = (
            -(-size * made // padded)
            for size, made, padded in zip(self._source.shape[:-1], shape[:-1], self.shape[:-1], strict=True)
        )
        return (*kept, shape[-1]), geometry

    def close(self) -> None:
        """Close the file."""
        self._source.close()

    def _read(self, box: Box) -> np.ndarray:
        extent = self._source.layout.extent
        (z, slices), (y, rows), (x, columns) = (
            _mirrored(part, size) for part, size in zip(box.slices, extent[:-1], strict=True)
        )
        depth, height, width = (int(numbers.max()) + 1 for numbers in (slices, rows, columns))
        pixels = self._source.read(Box(y, x, height, width, z, depth)).reshape(depth, height, width, extent[-1])
        return pixels[np.ix_(slices, rows, columns)]


def _mirrored(part: slice, size: int) -> tuple[int, np.ndarray]:
    """The first number to be read for `part` of an axis of `size` that is mirrored, and all numbers less the first."""
    numbers = np.arange(part.start, part.stop)
    numbers = np.where(numbers < size, numbers, 2 * size - 1 - numbers)
    first = int(numbers.min())
    return first, numbers - first
