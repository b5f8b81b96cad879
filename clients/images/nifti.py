"""NIfTI through nibabel: read in parts as .nii, slice by slice as .nii.gz.

The file's axes are columns, rows, slices, time points and channels, in this order with columns beside each other in
memory: slices lie along its third axis (z), rows along the second, and pixel [slice, row, column] is the file's
[column, row, slice]. Values are scaled by the header's slope and intercept, then float32.
Source: https://nifti.nimh.nih.gov/nifti-1
"""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from ...engine.errors import SignalError
from .box import Box
from .endings import ending_of, library, partial_path
from .geometry import MM_PER_UNIT, Geometry
from .layout import Layout
from .segments import Segment, SegmentReader
from .sink import ArraySink
from .source import ImageSource

AXES = "XYZTC"
INT16_MAX = 32767  # NIfTI-1 keeps sizes as int16


def open_nifti(path: Path, time: int | None) -> ImageSource:
    """Open a NIfTI-1 or NIfTI-2 file. Raises SignalError."""
    nibabel = library("nibabel", path)
    try:
        # Open for good, and so at the place where the last slice ended: the next needs no decompression from the start.
        image = nibabel.load(path, keep_file_open=True)
    except Exception as error:  # noqa: BLE001 - nibabel, gzip and zlib have errors of their own
        raise SignalError(f"{path}: {error}") from None
    if not isinstance(image, nibabel.Nifti1Image) or not 2 <= len(image.shape) <= len(AXES):
        raise SignalError(f"{path}: {type(image).__name__} of shape {list(image.shape)}; a NIfTI of 2 to 5 axes works")
    return NiftiSource(path, image, time)


class NiftiSource(ImageSource):
    """A NIfTI, of which a box's bytes are read; slices of a compressed one are decoded whole, each once on the way."""

    def __init__(self, path: Path, image: Any, time: int | None) -> None:
        layout = Layout(path, AXES[: len(image.shape)], image.shape, time)
        header = image.header
        stored = header.get_data_dtype()
        scaled = (image.dataobj.slope, image.dataobj.inter) != (1.0, 0.0)
        unit = MM_PER_UNIT["micron" if header.get_xyzt_units()[0] == "micron" else "mm"]
        x, y, z = (float(size) * unit for size in (*header.get_zooms(), 1.0)[:3])
        super().__init__(
            path,
            layout,
            np.float32 if scaled and stored.kind in "uif" else stored,
            Geometry((z, y, x), np.array(image.affine, np.float64)),
        )
        self._array: Any = image.dataobj
        self._slices = (
            SegmentReader(layout.extent, (1, *layout.extent[1:]), self.dtype, self._decode)
            if ending_of(path, (".gz",))
            else None
        )

    def close(self) -> None:
        """Close the file."""
        self._array = None

    def _read(self, box: Box) -> np.ndarray:
        return self._select(box) if self._slices is None else self._slices.read(box)

    def _decode(self, number: Segment) -> np.ndarray:
        _, height, width, _ = self.layout.extent
        return self._select(Box(0, 0, height, width, number[0]))

    def _select(self, box: Box) -> np.ndarray:
        try:
            part = self._array[self.layout.selection(box)]
        except Exception as error:  # noqa: BLE001 - gzip and zlib have errors of their own
            raise SignalError(f"{self.path}: pixels {box}: {error}") from None
        return self.layout.arrange(np.asarray(part, self.dtype))


class NiftiSink(ArraySink):
    """A .nii, written through a map of it, with the source's affine; NIfTI-2 where NIfTI-1 can not say the size.

    A .nii.gz grows as .nii and is compressed at the end.
    """

    endings = (".nii", ".nii.gz")

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: np.dtype, *, geometry: Geometry, tile: int) -> None:
        del tile
        super().__init__(path, shape, dtype, geometry=geometry)
        self.partial = partial_path(path, ending_of(path, self.endings), ".nii")
        nibabel = library("nibabel", path)
        depth, height, width, channels = (1, *shape)[-4:]
        sizes = (width, height, depth) if channels == 1 else (width, height, depth, 1, channels)
        affine = geometry.affine
        if affine is None:
            affine = np.diag([*(geometry.spacing_mm or (1.0, 1.0, 1.0))[::-1], 1.0])
        kind = nibabel.Nifti1Image if max(sizes) <= INT16_MAX else nibabel.Nifti2Image
        try:
            # An array of one value that claims to have them all: the header is made, the file is not.
            header = kind(np.broadcast_to(self.dtype.type(0), sizes), affine, dtype=self.dtype).header
        except nibabel.spatialimages.HeaderDataError as error:
            raise SignalError(f"{path}: {error}; float32 would work") from None
        header.set_xyzt_units("mm")
        header.set_slope_inter(1, 0)
        start = int(header.single_vox_offset)
        header.set_data_offset(start)
        with self.partial.open("wb") as file:
            header.write_to(file)
            file.truncate(start + int(np.prod(sizes)) * self.dtype.itemsize)
        array = np.memmap(self.partial, self.dtype, "r+", start, sizes, order="F")
        self._map(array, Layout(path, AXES[: len(sizes)], sizes))

    def _finish(self) -> None:
        if ending_of(self.path, (".gz",)):
            packed = self.partial.with_suffix(".nii.gz")
            try:
                with self.partial.open("rb") as plain, gzip.open(packed, "wb") as compressed:
                    shutil.copyfileobj(plain, compressed)
            except BaseException:
                packed.unlink(missing_ok=True)
                raise
            self.partial.unlink()
            self.partial = packed
        super()._finish()
