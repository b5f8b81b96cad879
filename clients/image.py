"""The image client: an image or volume from a file through a server, what is finished written as it comes."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ..engine.errors import SignalError
from ..engine.pixels import PixelNormalisation
from .encoding import Part
from .image_writer import ImageReport, ImageWriter
from .images import ImageSource, check_output, open_image
from .images.parts import parts, sample
from .progress import progress_bar
from .results import StreamResult
from .stream import StreamClient

ImageOrder = Literal["whole", "raster", "any", "rows", "slices"]
Normalisation = PixelNormalisation | tuple[float, float] | Literal["card"]

DEFAULT_TILE_PIXELS = 256
WHOLE_PIXELS = 2**20
"""An image of up to so many pixels, or voxels, goes through whole where nobody names an order."""


async def process_image(  # noqa: PLR0913 - options, by keyword
    client: StreamClient,
    model: str,
    input_path: Path | str,
    output_path: Path | str,
    *,
    order: ImageOrder | None = None,
    tile: int | None = None,
    normalise: Normalisation = "card",
    output: str | None = None,
    time_point: int | None = None,
    multiple: int = 1,
    progress: bool = False,
    on_result: Callable[[StreamResult], None] | None = None,
) -> ImageReport:
    """Send an image or volume through `model`, part by part, and write an output's regions as they are finished.

    Neither the image nor the result is ever whole in memory, but for orders and formats that have no parts; another
    program can read `output_path` while it grows (see `ImageSink`).

    `order`: as of `StreamClient.stream_images`; None: "whole" up to a megapixel, then "raster", of volumes "slices".
    `tile`: its `tile_pixels`; None: 256, of rows and slices as few as the network allows. `normalise`: a rule that is
    measured on the file (on a sample of a large one, see `images.parts.sample`); or scale and offset, (1, 0) for pixels
    as they are; "card": the rule of the model's card, if it has one. `output`: the network's output that is written;
    None: the first. `time_point`: of a file with several. `multiple`: the image is mirrored at its ends until height,
    width and depth are multiples of it, and the output cut back. `progress` shows a bar. `on_result` is called with
    each result.

    Raises SignalError for files that can not be read or written, ServerError.
    """
    output_path = Path(output_path)
    check_output(output_path)
    with open_image(input_path, time=time_point, multiple=multiple) as source:
        order = checked_order(source, order)
        scale, offset = await _pixel_map(client, model, source, normalise)
        asked_s = time.monotonic()
        async with client.stream_images(
            model, **_form(source), order=order, tile_pixels=tile_pixels(order, tile), scale=scale, offset=offset
        ) as stream:
            started_s = time.monotonic()
            side = tile or DEFAULT_TILE_PIXELS
            with (
                ImageWriter(
                    source, output_path, stream.info.image_outputs, output=output, tile=side, started_s=started_s
                ) as writer,
                progress_bar(source.path.name, 1.0, enabled=progress) as show,
            ):
                # Closed before the file is, so that nobody reads from it any more.
                async with aclosing(stream.exchange(_read(source, order, side, writer))) as results:
                    async for result in results:
                        now_s = time.monotonic()
                        # Files are written beside the event loop, on which the next tiles are read and sent.
                        await asyncio.to_thread(writer.received, result.frame_count, result.tiles, result.values, now_s)
                        show(result.finished_share)
                        if on_result is not None:
                            on_result(result)
        return image_report(writer, model, source, output_path, order, (scale, offset), asked_s)


def checked_order(source: ImageSource, order: ImageOrder | None) -> ImageOrder:
    """The order, or the one for an image of which nobody says it. Raises SignalError for one that it can not go in."""
    in_parts = ("slices",) if source.is_volume else ("raster", "any", "rows")
    if order is None:
        return "whole" if np.prod(source.shape[:-1]) <= WHOLE_PIXELS else in_parts[0]
    if order != "whole" and order not in in_parts:
        raise SignalError(
            f"{source.path}: order is {order!r}; {'a volume' if source.is_volume else 'an image'} goes whole or in "
            f"{', '.join(in_parts)}"
        )
    return order


def tile_pixels(order: ImageOrder, tile: int | None) -> int:
    """What `tile` means in an order: 0 where the stream is to find out, or has none."""
    if order == "whole":
        return 0
    return tile or (DEFAULT_TILE_PIXELS if order in ("raster", "any") else 0)


def measured_map(
    source: ImageSource, normalise: PixelNormalisation | tuple[float, float] | None
) -> tuple[float, float]:
    """Scale and offset of an image's pixels; a rule is measured on the file. None: pixels as they are.

    Raises SignalError for a scale of 0, and where NaN or infinite pixels leave nothing to measure.
    """
    if normalise is None:
        return 1.0, 0.0
    if isinstance(normalise, tuple):
        scale, offset = normalise
        if not (scale and math.isfinite(scale) and math.isfinite(offset)):
            raise SignalError(f"scale is {scale:g} and offset {offset:g}; finite numbers, the scale not 0, would work")
        return normalise
    pixels = sample(source)
    if not np.isfinite(pixels).all():
        raise SignalError(f"{source.path}: has pixels that are NaN or infinite; every pixel must be finite")
    return normalise.scale_and_offset(pixels)


def image_report(
    writer: ImageWriter,
    model: str,
    source: ImageSource,
    output_path: Path,
    order: ImageOrder,
    pixel_map: tuple[float, float],
    asked_s: float,
) -> ImageReport:
    """The report of an image that has been written."""
    return ImageReport(
        model=model,
        output_name=writer.name or "",
        output_path=output_path,
        order=order,
        input_shape=source.shape,
        output_shape=writer.shape,
        scale=pixel_map[0],
        offset=pixel_map[1],
        planning_s=writer.started_s - asked_s,
        first_pixel_s=writer.first_pixel_s,
        wall_s=time.monotonic() - writer.started_s,
        latencies_s=np.array(writer.latencies_s),
        max_in_flight=writer.max_in_flight,
        low=writer.low,
        high=writer.high,
    )


def _form(source: ImageSource) -> dict[str, Any]:
    """Size and type of the pixels that are sent."""
    *slices, height, width, channels = source.shape
    return {
        "height": height,
        "width": width,
        "channels": channels,
        "depth": sum(slices),
        "pixel_type": source.dtype.name if source.dtype in (np.uint8, np.uint16) else "float32",
    }


async def _pixel_map(
    client: StreamClient, model: str, source: ImageSource, normalise: Normalisation
) -> tuple[float, float]:
    rule = (await client.describe_model(model)).pixels if normalise == "card" else normalise
    return await asyncio.to_thread(measured_map, source, rule)


async def _read(source: ImageSource, order: str, tile: int, writer: ImageWriter) -> AsyncGenerator[Part, None]:
    """The image's parts, each read when the one before has been sent."""
    for box in parts(source, order, tile):
        pixels = await asyncio.to_thread(source.read, box)
        writer.sent(time.monotonic())
        yield Part(pixels, box.y, box.x, box.z)
