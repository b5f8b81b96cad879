"""The tiles of an image: where each begins, and the shape in which the network's input takes it."""

from __future__ import annotations

import math

import numpy as np

from ..errors import SignalError
from ..plan.streaming import StreamPlan


def input_bytes(plan: StreamPlan, *lengths: int) -> int:
    """Size of a network's one input, so long along the plan's axes."""
    (source,) = plan.bindings.graph.inputs
    pixels = math.prod(plan.bindings.shape(source, lengths))
    return pixels * plan.bindings.graph.types[source].dtype.itemsize


class TileGrid:
    """An image of known size in square tiles; those at the right and at the bottom are cut off."""

    def __init__(self, plan: StreamPlan, height: int, width: int, tile: int) -> None:
        """Lay the grid.

        Args:
            plan: of two axes, rows and columns, and one input.
            height: of the image, in pixels of the input.
            width: likewise.
            tile: height and width of a tile.

        Raises:
            ModelError: the network does not take an image of this size.
        """
        self.lengths = plan.lengths([height, width])
        """Shape of each output for the whole image."""
        self.height, self.width, self.tile = height, width, tile
        self.bindings = plan.bindings
        (self.input,) = plan.bindings.graph.inputs
        self.dtype = plan.bindings.graph.types[self.input].dtype
        self.output_dtypes = {name: plan.bindings.graph.types[name].dtype for name in plan.bindings.graph.outputs}

    def shape(self, y: int, x: int) -> tuple[int, ...]:
        """Shape of the tile that begins there. Raises SignalError if none does."""
        if y % self.tile or x % self.tile or not (0 <= y < self.height and 0 <= x < self.width):
            raise SignalError(
                f"there is no tile at ({y}, {x}); multiples of {self.tile} below ({self.height}, {self.width}) "
                "would work"
            )
        return self.bindings.shape(self.input, (min(self.tile, self.height - y), min(self.tile, self.width - x)))

    def checked(self, y: int, x: int, tile: np.ndarray) -> np.ndarray:
        """The tile as an array. Raises SignalError if it has another place, shape or type."""
        shape = self.shape(y, x)
        tile = np.asarray(tile)
        if tile.shape != shape:
            raise SignalError(f"the tile at ({y}, {x}) has shape {list(tile.shape)}; {list(shape)} would work")
        if tile.dtype != self.dtype:
            raise SignalError(f"the tile at ({y}, {x}) is {tile.dtype}; {self.dtype} would work")
        return tile
