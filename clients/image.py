"""The image client: an image or volume from a file through a server, what is finished written as it comes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np

from ..engine.pixels import PixelNormalisation
from .client import StreamClient
from .image_options import ImageOptions, ImageOrder
from .image_parts import PartSession, process_parts
from .image_writer import ImageReport
from .images import ImageSource
from .results import StreamResult


async def process_image(
    client: StreamClient,
    model: str,
    input_path: Path | str,
    output_path: Path | str,
    options: ImageOptions | None = None,
    *,
    on_result: Callable[[StreamResult], None] | None = None,
) -> ImageReport:
    """Send an image or volume through `model`, part by part, and write an output's regions as they are finished.

    Neither the image nor the result is ever whole in memory, but for orders and formats that have no parts; another
    program can read `output_path` while it grows (see `ImageSink`). `on_result` is called with each result.

    Raises SignalError for files that can not be read or written, ServerError.
    """
    service = ServedImages(client, model)
    return await process_parts(service, input_path, output_path, options or ImageOptions(), on_result=on_result)


class ServedImages:
    """A server's model, whose streams take images in parts (a `PartService`)."""

    def __init__(self, client: StreamClient, name: str) -> None:
        self.name = name
        self._client = client

    async def card_rule(self) -> PixelNormalisation | None:
        """What the server says of the model's card. Raises ServerError."""
        return (await self._client.describe_model(self.name)).pixels

    @asynccontextmanager
    async def open(
        self, source: ImageSource, order: ImageOrder, tile_pixels: int, scale: float, offset: float
    ) -> AsyncIterator[PartSession[StreamResult]]:
        """A stream for one image. Raises ServerError."""
        *slices, height, width, channels = source.shape
        async with self._client.stream_images(
            self.name,
            height=height,
            width=width,
            channels=channels,
            depth=sum(slices),
            pixel_type=source.dtype.name if source.dtype in (np.uint8, np.uint16) else "float32",
            order=order,
            tile_pixels=tile_pixels,
            scale=scale,
            offset=offset,
        ) as stream:
            yield PartSession(stream.info.image_outputs, stream.exchange)
