"""An image on one network, tile by tile: what is finished comes out with the tile that finishes it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import SignalError, StreamClosedError
from ..plan import from_carrier
from ..plan.streaming import Bands, Raster, Steps, StreamPlan, carried_bytes, computing_bytes, kept_bytes
from .tile_grid import TileGrid, input_bytes


@dataclass(frozen=True, slots=True)
class Region:
    """A finished part of the network's outputs: a rectangle of an image, or slices of a volume."""

    y: int
    """Of its first row, in the output's own pixels."""
    x: int
    values: np.ndarray
    """In the output's layout."""
    z: int = 0
    """Of its first slice."""


def first_rectangle(plan: StreamPlan, tile: int) -> list[int]:
    """Height and width of an image's first rectangle: as many whole tiles as the network has to see."""
    return [-(-axis.first // tile) * tile for axis in plan.axes]


def _bands(plan: StreamPlan, height: int, width: int, tile: int) -> tuple[Bands, Bands]:
    """The rows and the columns of an image's rectangles."""
    down, across = first_rectangle(plan, tile)
    return Bands(plan.axes[0], height, down), Bands(plan.axes[1], width, across)


class TileStream:
    """An image of known size whose tiles come in raster order. Computed in the caller's thread.

    No pixel is computed twice, and the result is what the network makes of the whole image at once. What is kept is a
    strip of every layer over the image's width, as high as the layers above look down.
    """

    def __init__(self, plan: StreamPlan, height: int, width: int, *, tile: int, backend: str = "cpu") -> None:
        """Begin an image.

        Args:
            plan: of two axes, rows and columns, with steps of `tile`.
            height: of the image, in pixels of the network's input.
            width: likewise.
            tile: height and width of a tile; those at the right and at the bottom are cut off.
            backend: see `wavetile.load`.

        Raises:
            ModelError: the network does not take an image of this size.
        """
        self._grid = TileGrid(plan, height, width, tile)
        self.height, self.width, self.tile = height, width, tile
        self._raster = Raster(Steps(plan, backend), height, width, first_rectangle(plan, tile))
        self._row = self._column = 0  # of the next rectangle
        self._next = (0, 0)  # where the next tile begins
        self._pixels = self._band()

    @property
    def next_tile(self) -> tuple[int, int] | None:
        """Where the next tile begins, (y, x); None when the image is complete."""
        return self._next if self._next[0] < self.height else None

    @property
    def complete(self) -> bool:
        """Whether every tile has come."""
        return self.next_tile is None

    def tile_shape(self, y: int, x: int) -> tuple[int, ...]:
        """Shape of the tile that begins there, in the layout of the network's input; SignalError if none does."""
        return self._grid.shape(y, x)

    @staticmethod
    def needed_bytes(plan: StreamPlan, height: int, width: int, tile: int) -> int:
        """The most that an image keeps between its tiles; see `kept_bytes`."""
        rows = min(height, first_rectangle(plan, tile)[0])
        carried = carried_bytes(plan, *_bands(plan, height, width, tile))
        return kept_bytes(plan, width) + carried + input_bytes(plan, rows, width)

    @staticmethod
    def computing_bytes(plan: StreamPlan, height: int, width: int, tile: int) -> int:
        """The memory that the largest of an image's rectangles is computed in; compiles them all."""
        return computing_bytes(plan, *_bands(plan, height, width, tile))

    def put(self, y: int, x: int, tile: np.ndarray) -> dict[str, list[Region]]:
        """Take a tile and return what it finishes.

        Args:
            y: of its first row; tiles come from left to right, then from top to bottom.
            x: of its first column.
            tile: in the layout of the network's input; see `tile_shape`.

        Returns:
            For each output its finished rectangles, in fresh arrays.

        Raises:
            SignalError: it is not the next tile, or has another type or shape.
            StreamClosedError: the image is complete.
        """
        if self.complete:
            raise StreamClosedError("the image is complete; begin a new one")
        if (y, x) != self._next:
            raise SignalError(f"the tile begins at ({y}, {x}); the next one begins at {self._next}")
        tile = self._grid.checked(y, x, tile)
        top = self._raster.rows[self._row].arrived.start
        right, bottom = min(x + self.tile, self.width), min(y + self.tile, self.height)
        self._pixels[self._part((y - top, bottom - top), (x, right))] = tile
        self._next = (y, right) if right < self.width else (bottom, 0)
        finished: dict[str, list[Region]] = {name: [] for name in self._grid.output_dtypes}
        if bottom >= self._raster.rows[self._row].arrived.stop:
            self._compute(right, finished)
        return finished

    @property
    def kept_bytes(self) -> int:
        """What is kept of the image: strips of all layers, and the pixels that no rectangle has taken."""
        return self._raster.strip_bytes + self._raster.carried_bytes + self._pixels.nbytes

    @property
    def multiply_adds(self) -> int:
        """Of all tiles of the image."""
        return self._raster.multiply_adds

    def _compute(self, right: int, finished: dict[str, list[Region]]) -> None:
        """Compute all rectangles that end before column `right`."""
        columns = self._raster.columns
        while self._column < len(columns) and columns[self._column].arrived.stop <= right:
            span = columns[self._column].arrived
            rows = 0, self._raster.rows[self._row].arrived.size
            pixels = self._pixels[self._part(rows, span)]
            made = self._raster.run(self._row, self._column, {self._grid.input: pixels})
            for name, (down, across, values) in made.items():
                copy = from_carrier(values, self._grid.output_dtypes[name])
                finished[name].append(Region(down.start, across.start, np.array(copy)))
            self._column += 1
        if self._column == len(columns):
            self._row, self._column = self._row + 1, 0
            if self._row < len(self._raster.rows):
                self._pixels = self._band()

    def _band(self) -> np.ndarray:
        """Memory for the input's pixels of one row of rectangles."""
        rows = self._raster.rows[self._row].arrived.size
        return np.empty(self._grid.bindings.shape(self._grid.input, (rows, self.width)), self._grid.dtype)

    def _part(self, rows: tuple[int, int], columns: tuple[int, int]) -> tuple[slice, ...]:
        """Where these rows and columns lie in a band."""
        return self._grid.bindings.part(self._grid.input, (rows, columns))
