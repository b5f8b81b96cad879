"""Image files as sources of rectangles and sinks of finished regions: TIFF, PNG, JPEG, NIfTI, OME-Zarr and .npy.

An image is `[height, width, channels]`, a volume `[depth, height, width, channels]`; channels are always there. What
the formats do not share is in their modules: the axes (`layout`), the segments that are decoded (`segments`), the
pixels' size (`geometry`).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ...engine.errors import SignalError
from . import nifti, npy, ome_zarr, plain, tiff
from .box import Box
from .endings import ending_of
from .geometry import Geometry
from .padded import PaddedSource
from .sink import ImageSink, writing
from .source import ImageSource

__all__ = ["Box", "Geometry", "ImageSink", "ImageSource", "check_output", "create_image", "is_image", "open_image"]

_SOURCES: dict[str, Callable[[Path, int | None], ImageSource]] = {
    ".npy": npy.open_npy,
    ".tif": tiff.open_tiff,
    ".tiff": tiff.open_tiff,
    ".svs": tiff.open_tiff,  # whole-slide scanners' TIFFs
    ".nii": nifti.open_nifti,
    ".nii.gz": nifti.open_nifti,
    ".zarr": ome_zarr.open_zarr,
    ".png": plain.open_plain,
    ".jpg": plain.open_plain,
    ".jpeg": plain.open_plain,
}
_SINKS: dict[str, Callable[..., ImageSink]] = {
    ".npy": npy.NpySink,
    ".tif": tiff.TiffSink,
    ".tiff": tiff.TiffSink,
    ".nii": nifti.NiftiSink,
    ".nii.gz": nifti.NiftiSink,
    ".zarr": ome_zarr.ZarrSink,
    ".png": plain.PngSink,
}


def is_image(path: Path) -> bool:
    """Whether a path has the ending of an image that `open_image` reads."""
    return bool(ending_of(path, _SOURCES))


def open_image(path: Path | str, *, time: int | None = None, multiple: int = 1) -> ImageSource:
    """Open an image or volume, by its ending; only what `read` asks for is decoded, where the format allows.

    `time` picks one of several time points; `multiple` continues an image until its height and width, and the depth
    of a volume, are multiples of it (see `PaddedSource`). Raises SignalError for a file that is missing, can not be
    read, or has values that a network can not take (complex numbers, palette colours).
    """
    path = Path(path)
    opener = _SOURCES.get(ending_of(path, _SOURCES))
    if opener is None:
        raise SignalError(f"{path}: no image has the ending {path.suffix!r}; {', '.join(_SOURCES)} would work")
    if not path.exists():
        raise SignalError(f"{path}: there is no such file")
    source = opener(path, time)
    return source if multiple == 1 else PaddedSource(source, multiple)


def create_image(
    path: Path | str,
    shape: tuple[int, ...],
    dtype: Any = np.float32,
    *,
    geometry: Geometry | None = None,
    tile: int = 256,
) -> ImageSink:
    """Create an image or volume `[(depth,) height, width, channels]`, by the path's ending, to be written in regions.

    `geometry` is the pixels' size and place in space, as of the source (see `ImageSource.fitted`); `tile` is the side
    of an OME-Zarr's chunks. The context's end gives the file its name (see `ImageSink`). Raises SignalError for a shape
    or type that the format can not hold.
    """
    path = Path(path)
    check_output(path)
    if len(shape) not in (3, 4) or min(shape) < 1:
        raise SignalError(f"{path}: an image of shape {list(shape)}; [height, width, channels] would work, depth first")
    creator = _SINKS[ending_of(path, _SINKS)]
    sizes = tuple(int(size) for size in shape)
    with writing(path):
        return creator(path, sizes, np.dtype(dtype), geometry=geometry or Geometry(), tile=tile)


def check_output(path: Path) -> None:
    """Raise SignalError where `create_image` could not write, whatever the image."""
    if not ending_of(path, _SINKS):
        raise SignalError(
            f"{path}: an image is written as {', '.join(_SINKS)}, not {path.suffix or 'without an ending'}"
        )
    if not path.parent.is_dir():
        raise SignalError(f"{path}: there is no folder {path.parent}")
    if path.is_dir() and ending_of(path, _SINKS) != ".zarr":
        raise SignalError(f"{path}: is a folder; another name would work")
