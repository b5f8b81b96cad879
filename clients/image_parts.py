"""An image from a file, part by part, through a session that takes parts; what is finished is written as it comes.

The session is a server's stream or one of this process: nothing here depends on which.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, ParamSpec, Protocol, TypeVar

import numpy as np

from ..engine.errors import SignalError
from ..engine.pixels import PixelNormalisation
from .encoding import Part
from .image_options import ImageOptions, ImageOrder
from .image_writer import ImageReport, ImageWriter, OutputSize
from .images import ImageSource, check_output, open_image
from .images.parts import parts, sample
from .progress import progress_bar
from .results import Tile

DEFAULT_TILE_PIXELS = 256
WHOLE_PIXELS = 2**20
"""An image of up to so many pixels, or voxels, goes through whole where nobody names an order."""


class PartResult(Protocol):
    """What some parts have finished; see `StreamResult`, which is one."""

    @property
    def frame_count(self) -> int:
        """Parts that this answers."""
        ...

    @property
    def tiles(self) -> Sequence[Tile]:
        """Regions of the outputs that are images."""
        ...

    @property
    def values(self) -> Mapping[str, np.ndarray]:
        """Outputs that are none."""
        ...

    @property
    def finished_share(self) -> float:
        """Of the image's output pixels, 0 to 1."""
        ...


R = TypeVar("R", bound=PartResult)
P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PartSession(Generic[R]):
    """Takes the parts of one image."""

    outputs: Sequence[OutputSize]
    """Those that are images; none where only the result tells."""
    exchange: Callable[[AsyncGenerator[Part, None]], AsyncGenerator[R, None]]
    """Gives what the parts have finished while it takes them in turn; once it is closed it takes no more."""


class PartService(Protocol[R]):
    """A model that takes images in parts, wherever it is."""

    @property
    def name(self) -> str:
        """What the model is called."""
        ...

    async def card_rule(self) -> PixelNormalisation | None:
        """How the model's card says that pixels become the network's numbers; None if it says nothing."""
        ...

    def open(
        self, source: ImageSource, order: ImageOrder, tile_pixels: int, scale: float, offset: float
    ) -> AbstractAsyncContextManager[PartSession[R]]:
        """A session for one image. Parts hold the file's pixels; the network gets `pixel * scale + offset`.

        `tile_pixels`: the side of a tile, or how many rows or slices are computed together; 0 for the session's choice.
        """
        ...


async def process_parts(
    service: PartService[R],
    input_path: Path | str,
    output_path: Path | str,
    options: ImageOptions,
    *,
    on_result: Callable[[R], None] | None = None,
) -> ImageReport:
    """Run an image or volume through `service`. Arguments and errors as `process_image`, and those of the service."""
    output_path = Path(output_path)
    check_output(output_path)
    with open_image(input_path, time=options.time_point, multiple=options.multiple) as source:
        order = _checked_order(source, options.order)
        rule = await service.card_rule() if options.normalise == "card" else options.normalise
        scale, offset = await _in_thread(_measured_map, source, rule)
        asked_s = time.monotonic()
        async with service.open(source, order, _tile_pixels(order, options.tile), scale, offset) as session:
            started_s = time.monotonic()
            side = options.tile or DEFAULT_TILE_PIXELS
            with (
                ImageWriter(
                    source, output_path, session.outputs, output=options.output, tile=side, started_s=started_s
                ) as writer,
                progress_bar(source.path.name, 1.0, enabled=options.progress) as show,
            ):
                # Closed before the file is, so that nobody reads from it any more.
                async with aclosing(session.exchange(_read(source, order, side, writer))) as results:
                    async for result in results:
                        now_s = time.monotonic()
                        # Files are written beside the event loop, on which the next parts are read and sent.
                        await _in_thread(writer.received, result.frame_count, result.tiles, result.values, now_s)
                        show(result.finished_share)
                        if on_result is not None:
                            on_result(result)
        return _report(writer, service.name, source, output_path, order, (scale, offset), asked_s)


def _checked_order(source: ImageSource, order: ImageOrder | None) -> ImageOrder:
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


def _tile_pixels(order: ImageOrder, tile: int | None) -> int:
    """What `tile` means in an order: 0 where the stream is to find out, or has none."""
    if order == "whole":
        return 0
    return tile or (DEFAULT_TILE_PIXELS if order in ("raster", "any") else 0)


def _measured_map(
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


def _report(
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


async def _read(source: ImageSource, order: str, tile: int, writer: ImageWriter) -> AsyncGenerator[Part, None]:
    """The image's parts, each read when the one before has been sent."""
    for box in parts(source, order, tile):
        pixels = await _in_thread(source.read, box)
        writer.sent(time.monotonic())
        yield Part(pixels, box.y, box.x, box.z)


async def _in_thread(work: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
    """What `work` gives, done in a thread; where the task is cancelled it ends when the thread has done.

    So a file that a thread reads or writes is not closed meanwhile.
    """
    working = asyncio.ensure_future(asyncio.to_thread(work, *arguments, **options))
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        await asyncio.wait((working,))
        if not working.cancelled():
            working.exception()  # nobody asks for it any more
        raise
