"""What a model does with images and volumes that arrive in parts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Literal, overload

import numpy as np

from ..graph.network import DeclaredType
from ..plan import Program
from ..session import ImageFormat, LineStream, ScatteredTiles, TileStream
from .axes import AxisChoice, Sizes
from .image_session import ImageSession
from .streaming import NetworkStreams, TileOrder


class TakesImages(ABC):
    """The methods of a `Model` for images: they rest on its streams and on `run`."""

    name: str
    inputs: dict[str, DeclaredType]

    @abstractmethod
    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Evaluate the network on whole arrays."""
        ...

    @abstractmethod
    def program(self, shapes: Mapping[str, tuple[int, ...]] | None = None) -> Program | None:
        """The program that `run` uses for inputs of these shapes."""
        ...

    @property
    @abstractmethod
    def streams(self) -> NetworkStreams:
        """The streams of the model's network."""
        ...

    @overload
    def tiles(
        self,
        height: int,
        width: int,
        *,
        tile: int = 256,
        order: Literal["raster"] = "raster",
        axes: tuple[AxisChoice, AxisChoice] | None = None,
        sizes: Sizes | None = None,
    ) -> TileStream: ...
    @overload
    def tiles(
        self,
        height: int,
        width: int,
        *,
        tile: int = 256,
        order: Literal["any"],
        axes: tuple[AxisChoice, AxisChoice] | None = None,
        sizes: Sizes | None = None,
    ) -> ScatteredTiles: ...
    def tiles(
        self,
        height: int,
        width: int,
        *,
        tile: int = 256,
        order: TileOrder = "raster",
        axes: tuple[AxisChoice, AxisChoice] | None = None,
        sizes: Sizes | None = None,
    ) -> TileStream | ScatteredTiles:
        """Begin an image of any size that comes in tiles: the numbers of the whole image.

        Args:
            height: of the image, in pixels of the network's input.
            width: likewise.
            tile: height and width of a tile.
            order: in which they come. "raster": from left to right, then from top to bottom; no pixel is computed
                twice. "any": a tile is computed when its neighbours are there, with what they share once for each.
            axes: rows and columns, each as `axis` of `stream`; None: the input's last two dimensions.
            sizes: of the other dimensions: of a free one by its name, of any one by its input and number.

        Raises:
            ModelError: the model has several networks or inputs, or no such axes; or the network takes no such image or
                tile.
            UnsupportedError: the network can not stream exactly in tiles; the message names the node.
        """
        return self.streams.in_tiles(height, width, tile, axes, sizes, order)

    def rows(
        self, width: int, *, height: int | None = None, step: int | None = None, sizes: Sizes | None = None
    ) -> LineStream:
        """Begin an image that comes row by row, as from a line scanner: the numbers of the whole image.

        Args:
            width: of the image, in pixels of the network's input [1, channels, rows, columns].
            height: of the image; None: `finish` ends it.
            step: rows that are computed together; None: as few as the network allows.
            sizes: of the other dimensions: of a free one by its name, of any one by its input and number.

        Raises:
            ModelError: the model has several networks or inputs, or takes no such image.
            UnsupportedError: the network can not stream exactly in rows; the message names the node.
        """
        return self.streams.in_lines([width], height, step, sizes)

    def slices(
        self, height: int, width: int, *, depth: int | None = None, step: int | None = None, sizes: Sizes | None = None
    ) -> LineStream:
        """Begin a volume that comes slice by slice: the numbers of the whole volume.

        Args:
            height: of a slice, in voxels of the network's input [1, channels, slices, rows, columns].
            width: likewise.
            depth: slices of the volume; None: `finish` ends it.
            step: slices that are computed together; None: as few as the network allows.
            sizes: as of `rows`.

        Raises:
            ModelError, UnsupportedError: as `rows`.
        """
        return self.streams.in_lines([height, width], depth, step, sizes)

    def images(self, form: ImageFormat, *, max_bytes: int | None = None) -> ImageSession:
        """Open a session that takes images of one format, one after the other, in whatever parts the format says.

        Raises:
            SignalError: the format can not be used, the model can not stream like this, or an image would keep more
                than `max_bytes` between its parts, or need more to compute one.
        """
        return ImageSession(self, form, max_bytes=max_bytes)
