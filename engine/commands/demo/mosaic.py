"""Streams the demo's image tile by tile through a network in this process, and checks the mosaic against the whole."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import numpy as np

from ...errors import WavetileError
from ...models.model import Model
from ...session import Region, TileStream
from .record import ImageRecord, Rectangle

TILE_PIXELS = 128
TILE_SECONDS = 0.06
"""From tile to tile at the demo's pace: a stage that moves, waits and takes a picture; quick, for a demo."""
TOLERANCE = 1e-4
"""Largest difference allowed between the mosaic and the network on the whole image."""

OnTile = Callable[[float, tuple[Rectangle, ...]], None]
"""Called with a tile's time in seconds and the rectangles that it finished."""


def stream_image(model: Model, image: np.ndarray, *, real_time: bool, on_tile: OnTile) -> ImageRecord:
    """Send `image`, `[height, width]` float32, tile by tile, and compare with the network on all of it.

    The programs are compiled before the first tile, so that the times are of computing.

    Raises:
        WavetileError: the mosaic differs from the whole by more than the tolerance.
    """
    height, width = image.shape
    (source,), (target, *_) = model.inputs, model.outputs
    batch = image[None, None]
    for _ in _walk(_begin(model, image), np.zeros_like(batch), target):
        pass
    stream = _begin(model, image)
    mosaic = np.full((height, width), np.nan, np.float32)
    tile_s: list[float] = []
    finished: list[tuple[Rectangle, ...]] = []
    kept_bytes = 0
    for seconds, regions in _walk(stream, batch, target, TILE_SECONDS if real_time else 0.0):
        rectangles = tuple(_rectangle(region) for region in regions)
        for (y, x, rows, columns), region in zip(rectangles, regions, strict=True):
            mosaic[y : y + rows, x : x + columns] = region.values[0, 0]
        tile_s.append(seconds)
        finished.append(rectangles)
        kept_bytes = max(kept_bytes, stream.kept_bytes)
        on_tile(seconds, rectangles)
    whole, at_once_s = _at_once(model, {source: batch}, target)
    difference = float(np.abs(mosaic - whole).max())
    if not difference <= TOLERANCE:  # so that NaN fails too
        raise WavetileError(f"the tiles of {model.name!r} differ from the whole image by {difference:.3g}")
    program = model.program({source: batch.shape})
    return ImageRecord(
        model=model.name,
        image=image,
        probability=mosaic,
        tile_pixels=TILE_PIXELS,
        tile_ms=1e3 * np.array(tile_s),
        finished=tuple(finished),
        at_once_ms=1e3 * at_once_s,
        kept_bytes=kept_bytes,
        max_difference=difference,
        multiply_adds=(stream.multiply_adds, program.multiply_adds if program else 0),
    )


def _begin(model: Model, image: np.ndarray) -> TileStream:
    return model.tiles(*image.shape, tile=TILE_PIXELS)


def _walk(
    stream: TileStream, batch: np.ndarray, target: str, tile_s: float = 0.0
) -> Iterator[tuple[float, list[Region]]]:
    """Yield each tile's computing time in seconds and its finished regions; tiles come `tile_s` apart at least."""
    start_s = time.perf_counter()
    sent = 0
    while (place := stream.next_tile) is not None:
        time.sleep(max(0.0, start_s + sent * tile_s - time.perf_counter()))
        y, x = place
        rows, columns = stream.tile_shape(y, x)[-2:]
        tile = batch[:, :, y : y + rows, x : x + columns]
        began_s = time.perf_counter()
        regions = stream.put(y, x, tile)[target]
        yield time.perf_counter() - began_s, regions
        sent += 1


def _rectangle(region: Region) -> Rectangle:
    return (region.y, region.x, *region.values.shape[-2:])


def _at_once(model: Model, inputs: dict[str, np.ndarray], target: str) -> tuple[np.ndarray, float]:
    """The network on the whole image, `[height, width]`, and its time in seconds, compiled before."""
    model.run(inputs)
    began_s = time.perf_counter()
    whole = model.run(inputs)[target][0, 0]
    return whole, time.perf_counter() - began_s
