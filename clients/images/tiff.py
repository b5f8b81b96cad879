"""TIFF through tifffile: mapped where it is uncompressed and contiguous, else decoded strip by strip or tile by tile.

Of a file with several series or resolutions, the first series in full resolution. Pages of one size are a volume.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ...engine.errors import SignalError
from .box import Box
from .endings import library
from .geometry import MM_PER_UNIT, Geometry
from .layout import Layout
from .segments import Segment, SegmentReader
from .sink import ArraySink
from .source import ArraySource, ImageSource

PALETTE = 3  # TIFF 6.0, PhotometricInterpretation
PLANES = 2  # PlanarConfiguration: each channel by itself
_UNITS = {2: "inch", 3: "centimeter"}  # ResolutionUnit


def open_tiff(path: Path, time: int | None) -> ImageSource:
    """Open a TIFF. Raises SignalError for what is none, and for compressions whose decoder is not installed."""
    tifffile = library("tifffile", path)
    try:
        file = tifffile.TiffFile(path)
    except (OSError, tifffile.TiffFileError, ValueError) as error:
        raise SignalError(f"{path}: {error}") from None
    try:
        return _source(path, tifffile, file, time)
    except BaseException:
        file.close()
        raise


def _source(path: Path, tifffile: Any, file: Any, time: int | None) -> ImageSource:
    series = file.series[0]
    page = series.keyframe
    if page.photometric == PALETTE:
        raise SignalError(f"{path}: its colours are numbers of a palette; grey or RGB would work")
    layout = Layout(path, _letters(series.axes, series.shape), series.shape, time)
    geometry = Geometry(_spacing_mm(file, page))
    try:
        array = tifffile.memmap(path, mode="r")
    except ValueError:  # compressed, or in pieces
        return TiffSource(path, layout, file, geometry)
    file.close()
    return ArraySource(path, layout, array, geometry)


def _letters(axes: str, shape: tuple[int, ...]) -> str:
    """tifffile's letters as the layout's: samples are channels; I and Q (a row of pages, unnamed) are slices."""
    letters = []
    for letter, size in zip(axes, shape, strict=True):
        known = {"S": "C", "I": "Z", "Q": "Z"}.get(letter, letter)
        letters.append("_" if known in letters or (known == "C" and size == 1) else known)
    return "".join(letters)


def _spacing_mm(file: Any, page: Any) -> tuple[float, float, float] | None:
    """The size of pixels from the resolution's tags, whose unit ImageJ writes into its own metadata."""
    imagej = file.imagej_metadata or {}
    unit = MM_PER_UNIT.get(str(imagej.get("unit", _UNITS.get(int(page.resolutionunit), ""))))
    per_unit_x, per_unit_y = page.resolution
    # tifffile and many writers put 1 pixel an inch where nobody knows.
    if unit is None or min(per_unit_x, per_unit_y) <= 0 or (per_unit_x == per_unit_y == 1 and not imagej):
        return None
    y, x = unit / per_unit_y, unit / per_unit_x
    return (float(imagej.get("spacing", 0)) * unit or y, y, x)


class TiffSource(ImageSource):
    """A TIFF whose segments are decoded when a box needs them; `decoded_segments` counts them."""

    def __init__(self, path: Path, layout: Layout, file: Any, geometry: Geometry) -> None:
        self._series = file.series[0]
        self._page = page = self._series.keyframe
        super().__init__(path, layout, self._series.dtype, geometry)
        self._file = file
        page_axes = _letters(page.axes, page.shape)
        if page.imagedepth > 1 or self._series.is_multifile or not layout.axes.endswith(page_axes):
            raise SignalError(
                f"{path}: pages of axes {page.axes} in a series of axes {self._series.axes}; flat pages in one file "
                "would work"
            )
        self._leading = layout.axes[: -len(page_axes)]
        self._by_planes = int(page.planarconfig) == PLANES and page.samplesperpixel > 1
        rows, columns = page.tile or (min(page.rowsperstrip, page.imagelength), page.imagewidth)
        self._across = -(-page.imagewidth // columns)
        self._down = -(-page.imagelength // rows)
        together = 1 if self._by_planes or "C" in self._leading else layout.extent[3]
        self._segment = (1, rows, columns, together)
        self._reader = SegmentReader(layout.extent, self._segment, self.dtype, self._decode)
        self._reader.read(Box(0, 0, 1, 1))  # a compression that can not be decoded is told now

    @property
    def decoded_segments(self) -> int:
        """How many strips or tiles have been decoded."""
        return self._reader.decoded

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _read(self, box: Box) -> np.ndarray:
        return self._reader.read(box)

    def _decode(self, number: Segment) -> np.ndarray:
        z, row, column, channel = number
        index = self._page_index({"Z": z, "C": channel, "T": self.layout.time})
        page = self._series.pages[index]
        segment = row * self._across + column
        if self._by_planes:
            segment += channel * self._down * self._across
        if page is None or page.databytecounts[segment] == 0:  # left out by the writer: TIFF's way to say empty
            return np.zeros(self._segment, self.dtype)
        handle = page.parent.filehandle
        try:
            handle.seek(page.dataoffsets[segment])
            data = handle.read(page.databytecounts[segment])
            decoded = self._page.decode(data, segment, jpegtables=page.jpegtables)[0]
        except Exception as error:  # noqa: BLE001 - each decoder has errors of its own
            advice = "; pip install imagecodecs would work" if "imagecodecs" in str(error) else ""
            raise SignalError(f"{self.path}: segment {segment} of page {index}: {error}{advice}") from None
        return decoded.astype(self.dtype, copy=False)

    def _page_index(self, places: dict[str, int]) -> int:
        counts = self._series.shape[: len(self._leading)]
        index = 0
        for letter, count in zip(self._leading, counts, strict=True):
            index = index * count + places.get(letter, 0)
        return index


class TiffSink(ArraySink):
    """An uncompressed TIFF, a page a slice, written through a map of it; a BigTIFF where it passes 4 GB."""

    endings = (".tif", ".tiff")

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: np.dtype, *, geometry: Geometry, tile: int) -> None:
        del tile
        super().__init__(path, shape, dtype, geometry=geometry)
        tifffile = library("tifffile", path)
        axes = "ZYXS"[-len(shape) :]
        if shape[-1] == 1:
            axes, shape = axes[:-1], shape[:-1]
        resolution: dict[str, Any] = {}
        if geometry.spacing_mm is not None:
            _, y, x = geometry.spacing_mm
            centimeter = MM_PER_UNIT["centimeter"]
            resolution = {"resolution": (centimeter / x, centimeter / y), "resolutionunit": "CENTIMETER"}
        try:
            array = tifffile.memmap(
                self.partial,
                shape=shape,
                dtype=self.dtype,
                photometric="rgb" if axes[-1] == "S" and shape[-1] == 3 and self.dtype.kind == "u" else "minisblack",
                planarconfig="contig" if axes[-1] == "S" else None,
                metadata={"axes": axes},
                **resolution,
            )
        except ValueError as error:
            raise SignalError(f"{path}: {error}") from None
        self._map(array, Layout(path, axes.replace("S", "C"), shape))
