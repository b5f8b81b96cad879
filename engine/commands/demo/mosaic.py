"""Streams the demo's image tile by tile over a connection, and checks the mosaic against the whole."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable

import numpy as np

from ....clients import ClientStream, Part, StreamClient, StreamResult
from ...errors import WavetileError
from .record import ImageRecord, Rectangle

TILE_PIXELS = 128
TILE_SECONDS = 0.06
"""From tile to tile at the demo's pace: a stage that moves, waits and takes a picture; quick, for a demo."""
TOLERANCE = 1e-4
"""Largest difference allowed between the mosaic and the network on the whole image."""

OnTile = Callable[[float, tuple[Rectangle, ...]], None]
"""Called with a tile's time in seconds and the rectangles that it finished."""


async def stream_image(
    client: StreamClient, model: str, image: np.ndarray, *, real_time: bool, on_tile: OnTile
) -> ImageRecord:
    """Send `image`, `[height, width] uint8`, tile by tile, and compare with the network on all of it.

    A blank image goes first, so that the server has compiled the programs and the times are of computing.

    Raises:
        WavetileError: the mosaic differs from the whole by more than the tolerance.
        ServerError: the server ended the stream.
    """
    height, width = image.shape
    rule = (await client.describe_model(model)).pixels
    scale, offset = rule.scale_and_offset(image) if rule else (1.0, 0.0)
    form = {"height": height, "width": width, "pixel_type": "uint8", "scale": scale, "offset": offset}
    async with client.stream_images(model, order="raster", tile_pixels=TILE_PIXELS, **form) as stream:
        name = stream.info.image_outputs[0].name
        for part in tiles(np.zeros_like(image)):
            await _answer(stream, part)
        mosaic = np.full((height, width), np.nan, np.float32)
        tile_s: list[float] = []
        finished: list[tuple[Rectangle, ...]] = []
        async for result in _paced(stream, image, TILE_SECONDS if real_time else 0.0):
            regions = [tile for tile in result.tiles if tile.name == name]
            for tile in regions:
                rows, columns, _ = tile.pixels.shape
                mosaic[tile.y : tile.y + rows, tile.x : tile.x + columns] = tile.pixels[..., 0]
            tile_s.append(result.compute_time_ns / 1e9)
            finished.append(tuple((tile.y, tile.x, *tile.pixels.shape[:2]) for tile in regions))
            on_tile(tile_s[-1], finished[-1])
        kept_bytes = stream.info.kept_bytes
    async with client.stream_images(model, **form) as stream:
        _, whole = [await _answer(stream, Part(image)) for _ in range(2)]
    (at_once,) = (tile.pixels[..., 0] for tile in whole.tiles if tile.name == name)
    difference = float(np.abs(mosaic - at_once).max())
    if not difference <= TOLERANCE:  # so that NaN fails too
        raise WavetileError(f"the tiles of {model!r} differ from the whole image by {difference:.3g}")
    return ImageRecord(
        model=model,
        image=image * np.float32(scale) + np.float32(offset),
        probability=mosaic,
        tile_pixels=TILE_PIXELS,
        tile_ms=1e3 * np.array(tile_s),
        finished=tuple(finished),
        at_once_ms=whole.compute_time_ns / 1e6,
        kept_bytes=kept_bytes,
        max_difference=difference,
    )


def tiles(image: np.ndarray) -> list[Part]:
    """The image in tiles, from left to right, then from top to bottom."""
    height, width = image.shape
    return [
        Part(image[y : y + TILE_PIXELS, x : x + TILE_PIXELS], y, x)
        for y in range(0, height, TILE_PIXELS)
        for x in range(0, width, TILE_PIXELS)
    ]


async def _paced(stream: ClientStream, image: np.ndarray, tile_s: float) -> AsyncIterator[StreamResult]:
    """The answer to each tile; tiles are sent `tile_s` apart at least."""
    start_s = time.perf_counter()
    for sent, part in enumerate(tiles(image)):
        await asyncio.sleep(max(0.0, start_s + sent * tile_s - time.perf_counter()))
        yield await _answer(stream, part)


async def _answer(stream: ClientStream, part: Part) -> StreamResult:
    await stream.send(part)
    return await anext(stream)
