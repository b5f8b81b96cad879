"""What each tile of an image needs of the others, and the programs that compute it: images of one size share it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import ModelError
from ..plan import Program
from ..plan.streaming import StreamPlan
from ..plan.streaming.excerpt import Excerpt, Excerpts
from ..plan.streaming.span import Span
from .tile_grid import TileGrid

MAX_TILES_ALONG = 4096
"""Rows, and columns, of tiles: what each needs is worked out before the first tile."""

Place = tuple[int, int]
"""The row and the column of a tile, in tiles; or of the part of the outputs that belongs to it."""


@dataclass(frozen=True)
class Row:
    """A row or a column of tiles: the part of the outputs that belongs to it, and what that needs."""

    excerpt: Excerpt
    tiles: range
    """Numbers of the tiles along the axis that it needs."""


class Neighbourhoods:
    """Which tiles each part of the outputs needs. Used by one thread; programs are compiled when they are asked for."""

    def __init__(self, plan: StreamPlan, height: int, width: int, tile: int) -> None:
        """Work it out for all rows and columns of tiles.

        Args:
            plan: of two axes, rows and columns, with steps of `tile`.
            height: of the image, in pixels of the network's input.
            width: likewise.
            tile: height and width of a tile.

        Raises:
            ModelError: the network does not take an image of this size, or it has too many tiles.
        """
        self.grid = TileGrid(plan, height, width, tile)
        counts = [-(-size // tile) for size in (height, width)]
        if max(counts) > MAX_TILES_ALONG:
            raise ModelError(
                f"an image of {height} x {width} has {counts[0]} x {counts[1]} tiles of {tile}; in any order at most "
                f"{MAX_TILES_ALONG} along an axis would work, and in raster order any number"
            )
        self._plan = plan
        self._excerpts = Excerpts(plan, (height, width))
        self.rows, self.columns = (
            [self._row(axis, number * tile) for number in range(count)] for axis, count in enumerate(counts)
        )
        self._readers = _readers(self.rows), _readers(self.columns)

    def needing(self, tile: Place) -> list[Place]:
        """Parts of the outputs that need a tile."""
        return [(r, c) for r in self._readers[0][tile[0]] for c in self._readers[1][tile[1]]]

    def needed_by(self, part: Place) -> list[Place]:
        """Tiles that a part of the outputs needs."""
        return [(r, c) for r in self.rows[part[0]].tiles for c in self.columns[part[1]].tiles]

    def program(self, part: Place) -> Program:
        """What computes a part of the outputs. Raises UnsupportedError; see `Excerpts.program`."""
        return self._excerpts.program([self.rows[part[0]].excerpt, self.columns[part[1]].excerpt])

    def computing_bytes(self) -> int:
        """The memory that the largest part of the outputs is computed in."""
        row, column = (
            max(range(len(rows)), key=lambda number, rows=rows: rows[number].excerpt.arrived().size)
            for rows in (self.rows, self.columns)
        )
        return self.program((row, column)).arena_bytes

    def _row(self, axis: int, start: int) -> Row:
        """What belongs to a row of tiles: what its pixels become of each output; to the last one, all that is left."""
        grid, timeline = self.grid, self._plan.axes[axis].timeline
        stop = start + grid.tile
        is_last = stop >= (grid.height, grid.width)[axis]
        shares = {}
        for name, shape in grid.lengths.items():
            total = shape[grid.bindings.dim(name, axis)]
            begin, end = (min(total, bound * timeline.rates[name] // timeline.grain) for bound in (start, stop))
            shares[name] = Span(begin, total if is_last else end)
        excerpt = self._excerpts.along(axis, shares)
        arrived = excerpt.arrived()
        tiles = range(arrived.start // grid.tile, -(-arrived.stop // grid.tile))
        if not arrived.size and any(share.size for share in shares.values()):  # of padding alone: with its own tile
            tiles = range(start // grid.tile, start // grid.tile + 1)
        return Row(excerpt, tiles)


def _readers(rows: Sequence[Row]) -> list[list[int]]:
    """For each tile along an axis, the rows (or columns) of the outputs that need it."""
    readers: list[list[int]] = [[] for _ in rows]
    for number, row in enumerate(rows):
        for tile in row.tiles:
            readers[tile].append(number)
    return readers
