"""Images that arrive in parts: what is said of them beforehand, and what a part finishes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np

from .tile_stream import Region

ImageOrder = Literal["whole", "raster", "any", "rows", "slices"]
"""In which parts images or volumes come: whole; square tiles in raster order, or in any; rows; slices of a volume."""
IMAGE_ORDERS: tuple[ImageOrder, ...] = get_args(ImageOrder)

DEFAULT_TILE_PIXELS = 256


@dataclass(frozen=True, slots=True)
class ImageFormat:
    """Images, or volumes, of one size that come one after the other."""

    height: int
    """0 with rows: not known."""
    width: int
    channels: int = 1
    depth: int = 0
    """Slices of a volume; 0: an image, and with slices: not known."""
    order: ImageOrder = "whole"
    tile_pixels: int = 0
    """Height and width of square tiles, 0: DEFAULT_TILE_PIXELS; or how many rows or slices are computed together, 0: as
    few as the network allows."""

    @property
    def least_part(self) -> tuple[int, ...]:
        """Slices (of volumes), rows, columns and channels of the smallest part that the image can come in."""
        tile = self.tile_pixels or DEFAULT_TILE_PIXELS
        match self.order:
            case "whole":
                return (*([self.depth] if self.depth else []), self.height, self.width, self.channels)
            case "raster" | "any":
                return min(tile, self.height), min(tile, self.width), self.channels
            case "rows":
                return 1, self.width, self.channels
            case "slices":
                return 1, self.height, self.width, self.channels


@dataclass(frozen=True, slots=True)
class ImageOutput:
    """An output of a network on an image that comes in parts; sizes that are not known are 0."""

    name: str
    height: int
    width: int
    depth: int
    """0: an image."""
    channels: int
    delay_rows: float = 0.0
    """Rows of the input that have to come after those of an output pixel before it is finished, in a steady stream."""
    delay_columns: float = 0.0
    delay_slices: float = 0.0


@dataclass(frozen=True, slots=True)
class ImageResult:
    """What a part of an image has finished."""

    image_index: int
    """Of the image, counted from 0."""
    regions: Mapping[str, list[Region]]
    """Of each output that is an image, [1, channels, rows, columns] or [1, channels, slices, rows, columns]."""
    finished_share: float
    """Of the image's output pixels, 0 to 1; NaN before the end of an image whose size nobody knows."""
    values: Mapping[str, np.ndarray] = field(default_factory=dict)
    """Outputs of another shape, of whole images."""
