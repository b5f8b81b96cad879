"""An image on one network whose tiles come in any order: a tile is computed when its neighbourhood is there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import SignalError, StreamClosedError
from ..plan import SharedArena, from_carrier
from ..plan.streaming import StreamPlan
from ..plan.streaming.excerpt import Excerpt, Excerpts
from ..plan.streaming.span import Span
from .tile_grid import TileGrid, input_bytes
from .tile_stream import Region


@dataclass(frozen=True)
class _Row:
    """A row or a column of tiles: the part of the outputs that belongs to it, and what that needs."""

    excerpt: Excerpt
    tiles: range
    """Numbers of the tiles along the axis that it needs."""


class ScatteredTiles:
    """An image of known size whose tiles come in any order. Computed in the caller's thread.

    The result is what the network makes of the whole image at once. What neighbouring tiles both need is computed for
    each of them: `multiply_adds` says how much it has been so far. A tile is kept until all that need it are computed.
    """

    def __init__(self, plan: StreamPlan, height: int, width: int, *, tile: int, backend: str = "cpu") -> None:
        """Begin an image; arguments and errors as `TileStream`."""
        self._plan = plan
        self._grid = TileGrid(plan, height, width, tile)
        self.height, self.width, self.tile = height, width, tile
        self._excerpts = Excerpts(plan, (height, width))
        self._axes = [[self._row(axis, start) for start in range(0, (height, width)[axis], tile)] for axis in (0, 1)]
        self._readers = [
            [[number for number, row in enumerate(rows) if tile in row.tiles] for tile in range(len(rows))]
            for rows in self._axes
        ]
        """For each axis and tile, the rows (or columns) of rectangles that need it."""
        self._missing = {(r, c) for r in range(len(self._axes[0])) for c in range(len(self._axes[1]))}
        self._uncomputed = set(self._missing)
        self._tiles: dict[tuple[int, int], np.ndarray] = {}
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
    def needed_bytes(plan: StreamPlan, height: int, width: int) -> int:
        """The most that an image keeps between its tiles: all of it, if they come in the worst order."""
        return input_bytes(plan, height, width)

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
        for row, column in filter(self._is_ready, self._needing(place)):
            self._compute(row, column, finished)
        return finished

    @property
    def kept_bytes(self) -> int:
        """Of the tiles that others still need."""
        return sum(tile.nbytes for tile in self._tiles.values())

    def _row(self, axis: int, start: int) -> _Row:
        """What belongs to a row of tiles: what its pixels become of each output; to the last one, all that is left."""
        stop, timeline = start + self.tile, self._plan.axes[axis].timeline
        is_last = stop >= (self.height, self.width)[axis]
        shares = {}
        for name, shape in self._grid.lengths.items():
            total = shape[self._grid.bindings.dim(name, axis)]
            begin, end = (min(total, bound * timeline.rates[name] // timeline.grain) for bound in (start, stop))
            shares[name] = Span(begin, total if is_last else end)
        excerpt = self._excerpts.along(axis, shares)
        arrived = excerpt.arrived()
        tiles = range(arrived.start // self.tile, -(-arrived.stop // self.tile))
        if not arrived.size and any(share.size for share in shares.values()):  # of padding alone: with its own tile
            tiles = range(start // self.tile, start // self.tile + 1)
        return _Row(excerpt, tiles)

    def _needing(self, place: tuple[int, int]) -> list[tuple[int, int]]:
        """Rectangles that need a tile."""
        return [(r, c) for r in self._readers[0][place[0]] for c in self._readers[1][place[1]]]

    def _is_needed(self, place: tuple[int, int]) -> bool:
        """Whether a rectangle that has not been computed needs a tile."""
        return not self._uncomputed.isdisjoint(self._needing(place))

    def _is_ready(self, rectangle: tuple[int, int]) -> bool:
        rows, columns = (self._axes[axis][number].tiles for axis, number in enumerate(rectangle))
        return not any((r, c) in self._missing for r in rows for c in columns)

    def _compute(self, row: int, column: int, finished: dict[str, list[Region]]) -> None:
        parts = self._axes[0][row], self._axes[1][column]
        excerpts = [part.excerpt for part in parts]
        program = self._excerpts.program(excerpts)
        workspace = self._arena.bind(program)
        for name in program.inputs:
            workspace.input(name)[0] = self._pixels(parts)
        workspace.run(1)
        self.multiply_adds += program.multiply_adds
        for name in program.outputs:
            spans = [excerpt.share(name) for excerpt in excerpts]
            made = workspace.output(name)[0][self._grid.bindings.part(name, spans)]
            if made.size:
                values = np.array(from_carrier(made, self._grid.output_dtypes[name]))
                y, x = (excerpt.outputs[name].start for excerpt in excerpts)
                finished[name].append(Region(y, x, values))
        self._uncomputed.discard((row, column))
        for place in [(r, c) for r in parts[0].tiles for c in parts[1].tiles]:
            if not self._is_needed(place):
                del self._tiles[place]

    def _pixels(self, parts: Sequence[_Row]) -> np.ndarray:
        """What a rectangle needs of the input, put together from tiles."""
        rows, columns = parts
        bindings = self._grid.bindings
        down, across = (bindings.dim(self._grid.input, axis) for axis in (0, 1))
        joined = np.concatenate(
            [np.concatenate([self._tiles[r, c] for c in columns.tiles], across) for r in rows.tiles], down
        )
        spans = []
        for part in parts:
            arrived, origin = part.excerpt.arrived(), part.tiles.start * self.tile
            spans.append((arrived.start - origin, arrived.stop - origin))
        return joined[bindings.part(self._grid.input, spans)]
