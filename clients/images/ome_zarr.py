"""OME-Zarr: an image in chunks below a folder, with axes and scales in its metadata.

Read: OME-NGFF 0.4 and 0.5 (level 0 of the first multiscale), and single Zarr arrays that name their axes or have two.
Written: OME-NGFF 0.5 on Zarr 3, one level. Source: https://ngff.openmicroscopy.org/0.5/
"""

from __future__ import annotations

import shutil
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
from .source import ImageSource

VERSION = "0.5"
_MARKS = ("zarr.json", ".zgroup", ".zarray")


def open_zarr(path: Path, time: int | None) -> ImageSource:
    """Open an OME-Zarr or a Zarr array. Raises SignalError."""
    zarr = library("zarr", path)
    try:
        node = zarr.open(path, mode="r")
    except Exception as error:  # noqa: BLE001 - stores, codecs and metadata have errors of their own
        raise SignalError(f"{path}: {error}") from None
    if isinstance(node, zarr.Array):
        return ZarrSource(path, node, _named_axes(path, node), Geometry(), time)
    attributes = dict(node.attrs)
    attributes = attributes.get("ome", attributes)
    try:
        image = attributes["multiscales"][0]
        level = image["datasets"][0]
        axes = [axis if isinstance(axis, str) else axis["name"] for axis in image["axes"]]
        units = [None if isinstance(axis, str) else axis.get("unit") for axis in image["axes"]]
        array = node[level["path"]]
    except (KeyError, IndexError, TypeError) as error:
        raise SignalError(
            f"{path}: a Zarr group without OME-NGFF's multiscales ({error!r}); the path of one of its arrays would work"
        ) from None
    geometry = Geometry(_spacing_mm([*level.get("coordinateTransformations", [])], axes, units))
    return ZarrSource(path, array, axes, geometry, time)


def _named_axes(path: Path, array: Any) -> list[str]:
    names = array.metadata.to_dict().get("dimension_names") or array.attrs.get("_ARRAY_DIMENSIONS")
    if names is None and array.ndim == 2:
        return ["y", "x"]
    if names is None:
        raise SignalError(
            f"{path}: a Zarr array of shape {list(array.shape)} without names of its axes; OME-Zarr works"
        )
    return [str(name) for name in names]


def _spacing_mm(
    transforms: list[dict[str, Any]], axes: list[str], units: list[str | None]
) -> tuple[float, float, float] | None:
    """The scale along z, y and x in millimetres; None where rows or columns have no unit of length."""
    scale = next((transform["scale"] for transform in transforms if transform.get("type") == "scale"), None)
    if scale is None:
        return None
    by_axis = {
        name: float(size) * MM_PER_UNIT[unit]
        for name, size, unit in zip(axes, scale, units, strict=True)
        if unit in MM_PER_UNIT
    }
    if "y" not in by_axis or "x" not in by_axis:
        return None
    return (by_axis.get("z", by_axis["y"]), by_axis["y"], by_axis["x"])


class ZarrSource(ImageSource):
    """A Zarr array, decoded chunk by chunk; `decoded_chunks` counts them."""

    def __init__(self, path: Path, array: Any, axes: list[str], geometry: Geometry, time: int | None) -> None:
        letters = "".join(name[:1].upper() for name in axes)
        layout = Layout(path, letters, array.shape, time)
        super().__init__(path, layout, array.dtype, geometry)
        self._array = array
        self._segment = layout.segment(array.chunks)
        self._reader = SegmentReader(layout.extent, self._segment, self.dtype, self._decode)

    @property
    def decoded_chunks(self) -> int:
        """How many chunks have been decoded."""
        return self._reader.decoded

    def _read(self, box: Box) -> np.ndarray:
        return self._reader.read(box)

    def _decode(self, number: Segment) -> np.ndarray:
        z, y, x, channel = (index * size for index, size in zip(number, self._segment, strict=True))
        depth, height, width, channels = (
            min(size, end - start)
            for start, size, end in zip((z, y, x, channel), self._segment, self.layout.extent, strict=True)
        )
        box = Box(y, x, height, width, z, depth)
        try:
            part = self._array[self.layout.selection(box, slice(channel, channel + channels))]
        except Exception as error:  # noqa: BLE001 - each codec has errors of its own
            raise SignalError(f"{self.path}: pixels {box}: {error}") from None
        return self.layout.arrange(np.asarray(part))


class ZarrSink(ArraySink):
    """An OME-Zarr of one level, in chunks of `tile` x `tile` pixels of one channel and slice.

    A region that covers a part of a chunk rewrites it; chunks to which nothing was written read as 0.
    """

    endings = (".zarr",)

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: np.dtype, *, geometry: Geometry, tile: int) -> None:
        super().__init__(path, shape, dtype, geometry=geometry)
        zarr = library("zarr", path)
        for folder in (path, self.partial):
            if folder.exists() and not any((folder / mark).exists() for mark in _MARKS):
                raise SignalError(f"{folder}: is there already and is no Zarr; another name would work")
        *sizes, channels = shape
        names = ["z", "y", "x"][-len(sizes) :]
        chunks = [1, tile, tile][-len(sizes) :]
        scale = [1.0] * len(sizes) if geometry.spacing_mm is None else [*geometry.spacing_mm][-len(sizes) :]
        axes: list[dict[str, str]] = [
            {"name": name, "type": "space"} | ({} if geometry.spacing_mm is None else {"unit": "millimeter"})
            for name in names
        ]
        if channels > 1:
            names, axes = ["c", *names], [{"name": "c", "type": "channel"}, *axes]
            sizes, chunks, scale = [channels, *sizes], [1, *chunks], [1.0, *scale]
        level = {"path": "0", "coordinateTransformations": [{"type": "scale", "scale": scale}]}
        image = {"name": path.name.split(".")[0], "axes": axes, "datasets": [level]}
        group = zarr.create_group(
            self.partial,
            attributes={"ome": {"version": VERSION, "multiscales": [image]}},
            overwrite=True,
            zarr_format=3,
        )
        array = group.create_array(
            "0",
            shape=tuple(sizes),
            chunks=tuple(min(chunk, size) for chunk, size in zip(chunks, sizes, strict=True)),
            dtype=self.dtype,
            dimension_names=names,
        )
        self._map(array, Layout(path, "".join(names).upper(), sizes))

    def _finish(self) -> None:
        if self.path.exists():
            shutil.rmtree(self.path)
        super()._finish()
