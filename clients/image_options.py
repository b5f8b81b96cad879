"""How an image goes through a model, and what is written of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..engine.pixels import PixelNormalisation

ImageOrder = Literal["whole", "raster", "any", "rows", "slices"]
Normalisation = PixelNormalisation | tuple[float, float] | Literal["card"]


@dataclass(frozen=True, slots=True)
class ImageOptions:
    """The defaults suit an image or volume of one time point, of any size."""

    # As of `StreamClient.stream_images`; None: "whole" up to a megapixel, then "raster", of volumes "slices".
    order: ImageOrder | None = None
    # The side of a tile in pixels; None: 256. Of rows and slices, how many are computed together; None: as few as the
    # network allows.
    tile: int | None = None
    # A rule that is measured on the file (on a sample of a large one, see `images.parts.sample`); or scale and offset,
    # (1, 0) for pixels as they are; "card": the rule of the model's card, if it has one.
    normalise: Normalisation = "card"
    # The network's output that is written; None: the first.
    output: str | None = None
    # Of a file with several.
    time_point: int | None = None
    # The image is mirrored at its ends until height, width and depth are multiples of it, and the output cut back.
    multiple: int = 1
    # Whether to show a bar.
    progress: bool = False
