"""An image on one network whose tiles come in any order: a tile is computed when its neighbourhood is there."""

from __future__ import annotations

import numpy as np

from ..errors import SignalError, StreamClosedError
from ..plan import SharedArena, from_carrier
from ..plan.streaming import StreamPlan
from .neighbourhoods import Neighbourhoods, Place, Row
from .tile_grid import input_bytes
from .tile_stream import Region

TILE_BYTES = 160
"""To know of each tile and each part whether it has come, and been computed: two sets of pairs."""


class ScatteredTiles:
    """An image of known size whose tiles come in any order. Computed in the caller's thread.

    The result is what the network makes of the whole image at once. What neighbouring tiles both need is computed for
    each of them: `multiply_adds` says how much it has been so far. A tile is kept until all that need it are computed.
    """

    def __init__(
        self,
        plan: StreamPlan,
        height: int,
        width: int,
        *,
        tile: int,
        backend: str = "cpu",
        neighbourhoods: Neighbourhoods | None = None,
    ) -> None:
        """Begin an image; arguments and errors as `TileStream`, and as `Neighbourhoods`.

        `neighbourhoods`: of this plan and these sizes, if another image has them.
        """
        self._neighbourhoods = neighbourhoods or Neighbourhoods(plan, height, width, tile)
        self._grid = self._neighbourhoods.grid
        self.height, self.width, self.tile = height, width, tile
        places = range(len(self._neighbourhoods.rows)), range(len(self._neighbourhoods.columns))
        self._missing = {(r, c) for r in places[0] for c in places[1]}
        self._uncomputed = set(self._missing)
        self._tiles: dict[Place, np.ndarray] = {}
        self._arena = SharedArena(backend)
        self.multiply_adds = 0
        """Made so far."""

    @property
    def complete(self) -> bool:
        """Whether every tile has come."""
        return not self._missing

    def tile_shape(self, y: int, x: int) -> tuple[int, ...]:
        """Shape of the tile that begins there, in the layout of the network's input; SignalError if none does."""
        return self._grid.shape(y, x)

    @staticmethod
    def needed_bytes(plan: StreamPlan, height: int, width: int, tile: int) -> int:
        """The most that an image keeps between its tiles: all of it, if they come in the worst order."""
        return input_bytes(plan, height, width) + TILE_BYTES * -(-height // tile) * -(-width // tile)

    def put(self, y: int, x: int, tile: np.ndarray) -> dict[str, list[Region]]:
        """Take a tile and return what can be computed now.

        Args:
            y: of its first row, a multiple of `tile`.
            x: of its first column, likewise.
            tile: in the layout of the network's input; see `tile_shape`.

        Returns:
            For each output its finished rectangles, in fresh arrays.

        Raises:
            SignalError: there is no such tile, or it has come, or it has another type or shape.
            StreamClosedError: the image is complete.
        """
        if self.complete:
            raise StreamClosedError("the image is complete; begin a new one")
        tile = self._grid.checked(y, x, tile)
        place = y // self.tile, x // self.tile
        if place not in self._missing:
            raise SignalError(f"the tile at ({y}, {x}) has come; others would work, each once")
        self._missing.discard(place)
        if self._is_needed(place):
            self._tiles[place] = np.array(tile)
        finished: dict[str, list[Region]] = {name: [] for name in self._grid.output_dtypes}
        for part in filter(self._is_ready, self._neighbourhoods.needing(place)):
            self._compute(part, finished)
        return finished

    @property
    def kept_bytes(self) -> int:
        """Of the tiles that others still need."""
        return sum(tile.nbytes for tile in self._tiles.values())

    def _is_needed(self, place: Place) -> bool:
        """Whether a part of the outputs that has not been computed needs a tile."""
        return not self._uncomputed.isdisjoint(self._neighbourhoods.needing(place))

    def _is_ready(self, part: Place) -> bool:
        return self._missing.isdisjoint(self._neighbourhoods.needed_by(part))

    def _compute(self, part: Place, finished: dict[str, list[Region]]) -> None:
        excerpts = [row.excerpt for row in self._rows(part)]
        program = self._neighbourhoods.program(part)
        workspace = self._arena.bind(program)
        for name in program.inputs:
            workspace.input(name)[0] = self._pixels(part)
        workspace.run(1)
        self.multiply_adds += program.multiply_adds
        for name in program.outputs:
            spans = [excerpt.share(name) for excerpt in excerpts]
            made = workspace.output(name)[0][self._grid.bindings.part(name, spans)]
            if made.size:
                values = np.array(from_carrier(made, self._grid.output_dtypes[name]))
                y, x = (excerpt.outputs[name].start for excerpt in excerpts)
                finished[name].append(Region(y, x, values))
        self._uncomputed.discard(part)
        for place in self._neighbourhoods.needed_by(part):
            if not self._is_needed(place):
                del self._tiles[place]

    def _rows(self, part: Place) -> tuple[Row, Row]:
        """The row and the column of a part of the outputs."""
        return self._neighbourhoods.rows[part[0]], self._neighbourhoods.columns[part[1]]

    def _pixels(self, part: Place) -> np.ndarray:
        """What a part of the outputs needs of the input, put together from tiles."""
        rows, columns = self._rows(part)
        bindings = self._grid.bindings
        down, across = (bindings.dim(self._grid.input, axis) for axis in (0, 1))
        joined = np.concatenate(
            [np.concatenate([self._tiles[r, c] for c in columns.tiles], across) for r in rows.tiles], down
        )
        spans = []
        for row in (rows, columns):
            arrived, origin = row.excerpt.arrived(), row.tiles.start * self.tile
            spans.append((arrived.start - origin, arrived.stop - origin))
        return joined[bindings.part(self._grid.input, spans)]
