"""An image or volume through a network, in process or on a server, and an output of it back as a file."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...clients import Tile
from ...clients.encoding import Part
from ...clients.image import ServedImages
from ...clients.image_options import ImageOptions, ImageOrder
from ...clients.image_parts import PartService, PartSession, process_parts
from ...clients.image_writer import ImageReport
from ...clients.images import ImageSource, check_output
from ..errors import SignalError
from ..pixels import PixelNormalisation, network_pixels
from ..session import ImageFormat, ImageResult
from .console import in_count, in_time, notices, output
from .remote import remote_client
from .weights import load_visibly

if TYPE_CHECKING:
    from ..models.model import Model


def run_image(options: argparse.Namespace) -> None:
    """Run `options.input`, write an output of the network to `options.output`, and say what came of it."""
    if options.output is None:
        raise SignalError("an image's result goes into a file: say which with -o OUTPUT.tif (.zarr, .nii, .npy, .png)")
    check_output(options.output)
    _tell(asyncio.run(_run(options)), options)


async def _run(options: argparse.Namespace) -> ImageReport:
    if not options.server:
        return await _processed(_Model(load_visibly(options.model, backend=options.backend)), options)
    async with remote_client(options, options.server) as client:
        return await _processed(ServedImages(client, options.model), options)


async def _processed(service: PartService[Any], options: argparse.Namespace) -> ImageReport:
    chosen = ImageOptions(
        order=options.order,
        tile=options.tile,
        normalise="card" if options.scale is None else (options.scale, 0.0),
        output=options.output_name,
        time_point=options.time_point,
        multiple=options.multiple_of,
        progress=sys.stderr.isatty(),
    )
    return await process_parts(service, options.input, options.output, chosen)


class _Model:
    """A model of this process, whose sessions take images in parts (a `PartService`)."""

    def __init__(self, model: Model) -> None:
        self.name = model.name
        self._model = model

    async def card_rule(self) -> PixelNormalisation | None:
        return self._model.describe().pixels

    @asynccontextmanager
    async def open(
        self, source: ImageSource, order: ImageOrder, tile_pixels: int, scale: float, offset: float
    ) -> AsyncIterator[PartSession[_Result]]:
        *slices, height, width, channels = source.shape
        session = self._model.images(ImageFormat(height, width, channels, sum(slices), order, tile_pixels))

        async def exchange(parts: AsyncGenerator[Part, None]) -> AsyncGenerator[_Result, None]:
            async with aclosing(parts):
                async for part in parts:
                    pixels = network_pixels(part.pixels, scale, offset)
                    yield _result(await asyncio.to_thread(session.put, part.z, part.y, part.x, pixels))

        yield PartSession(session.outputs, exchange)


@dataclass(frozen=True, slots=True)
class _Result:
    """What one part has finished (a `PartResult`)."""

    tiles: Sequence[Tile]
    values: Mapping[str, np.ndarray]
    finished_share: float
    frame_count: int = 1


def _result(result: ImageResult) -> _Result:
    """Regions `[1, channels, (slices,) rows, columns]` as tiles."""
    tiles = [
        Tile(name, region.y, region.x, np.moveaxis(region.values[0], 0, -1), region.z)
        for name, regions in result.regions.items()
        for region in regions
    ]
    return _Result(tiles, result.values, result.finished_share)


def _tell(report: ImageReport, options: argparse.Namespace) -> None:
    if options.json:
        told = asdict(report) | {"output_path": str(report.output_path), "latencies_s": report.latencies_s.tolist()}
        output().print(json.dumps(told), soft_wrap=True)
        return
    shape = " x ".join(map(str, report.output_shape))
    output().print(
        f"{report.output_path}: output {report.output_name!r}, {shape}, from {report.low:.4g} to {report.high:.4g}",
        soft_wrap=True,
    )
    median, slowest = np.percentile(report.latencies_s, [50, 100]) * 1e6
    notices().print(
        f"{len(report.latencies_s)} part(s) in order {report.order} in {in_time(report.wall_s * 1e6)}, "
        f"{in_count(report.pixels_per_second)}pixel/s; first pixel after {in_time(report.first_pixel_s * 1e6)}; "
        f"{in_time(median)} a part in the median, {in_time(slowest)} at most; {report.max_in_flight} in flight at most",
        soft_wrap=True,
    )
