"""What the demo shows while an image streams: one line, from the first tile to the last."""

from __future__ import annotations

import statistics
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

from .record import Rectangle

STRIP_CELLS = 20
EIGHTHS = " ▏▎▍▌▋▊▉█"


class MosaicBoard:
    """A live line on a terminal; elsewhere it is printed once, at the end. It draws between tiles, in their thread."""

    def __init__(self, console: Console, tiles: int, pixels: int) -> None:
        self._tiles, self._pixels = tiles, pixels
        self._tile_s: list[float] = []
        self._finished = 0
        self._live = Live(console=console, auto_refresh=False)

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.__exit__(None, None, None)

    def arrived(self, seconds: float, rectangles: tuple[Rectangle, ...]) -> None:
        """Count a tile that took `seconds`, and what it finished."""
        self._tile_s.append(seconds)
        self._finished += sum(rows * columns for _, _, rows, columns in rectangles)
        self._live.update(self.line(), refresh=True)

    def line(self) -> Text:
        """Tiles done, pixels finished and the median time a tile; the strip fills with the pixels."""
        share = self._finished / self._pixels
        eighths = int(share * STRIP_CELLS * 8)
        strip = ("█" * (eighths // 8) + EIGHTHS[eighths % 8]).rstrip().ljust(STRIP_CELLS)
        return Text.assemble(
            ("mosaic  ", "bold"),
            (strip, "cyan"),
            f"  {len(self._tile_s)} of {self._tiles} tiles, {share:.0%} of the pixels",
            f", {1e3 * statistics.median(self._tile_s):.1f} ms a tile" if self._tile_s else "",
        )
