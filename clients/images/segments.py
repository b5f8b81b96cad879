"""Files that are decoded in segments (strips, tiles, chunks, slices), and those that are kept meanwhile."""

from __future__ import annotations

import itertools
import math
from collections import OrderedDict
from collections.abc import Callable, Sequence

import numpy as np

from .box import Box

Segment = tuple[int, int, int, int]
"""Numbers of a segment along depth, height, width and channels."""


class SegmentReader:
    """Assembles boxes from the segments of a regular grid over `[depth, height, width, channels]`.

    `decode` gives segment number (z, y, x, c) as `[depth, height, width, channels]`, of the size `segment` or, at the
    far edges, of what is left. A segment that reaches beyond a box is kept for the boxes to its right, below and
    behind, and dropped with the box that ends it: boxes in raster order have each segment decoded once, and memory
    holds about one row of them. In other orders no more are kept than such a row has. `decoded` counts.
    """

    def __init__(
        self,
        extent: Sequence[int],
        segment: Sequence[int],
        dtype: np.dtype,
        decode: Callable[[Segment], np.ndarray],
    ) -> None:
        self.decoded = 0
        self._extent = tuple(extent)
        self._segment = tuple(segment)
        self._dtype = dtype
        self._decode = decode
        self._kept: OrderedDict[Segment, np.ndarray] = OrderedDict()

    def read(self, box: Box) -> np.ndarray:
        """The box's pixels, `[depth, height, width, channels]`."""
        parts = (*box.slices, slice(0, self._extent[3]))
        pixels = np.empty([part.stop - part.start for part in parts], self._dtype)
        slices, rows, columns, channels = (
            range(part.start // size, -(-part.stop // size)) for part, size in zip(parts, self._segment, strict=True)
        )
        for number in itertools.product(slices, rows, columns, channels):
            decoded = self._kept.pop(number, None)
            if decoded is None:
                decoded = self._decode(number)
                self.decoded += 1
            source, target, ends_here = [], [], True
            for index, size, part, extent in zip(number, self._segment, parts, self._extent, strict=True):
                start, stop = index * size, min(index * size + size, extent)
                first, last = max(part.start, start), min(part.stop, stop)
                source.append(slice(first - start, last - start))
                target.append(slice(first - part.start, last - part.start))
                ends_here &= stop <= part.stop
            pixels[tuple(target)] = decoded[tuple(source)]
            if not ends_here:
                self._kept[number] = decoded
        self._drop_oldest(box, len(slices), len(rows), len(channels))
        return pixels

    def _drop_oldest(self, box: Box, slices: int, rows: int, channels: int) -> None:
        _, down, across, _ = (math.ceil(total / size) for total, size in zip(self._extent, self._segment, strict=True))
        # Segments deeper than the box are wanted again by the next slices.
        rows = down if self._segment[0] > box.depth else rows + 1
        while len(self._kept) > slices * rows * across * channels:
            self._kept.popitem(last=False)
