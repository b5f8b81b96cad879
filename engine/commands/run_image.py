"""An image or volume through a network, in process or on a server, and an output of it back as a file."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict

import numpy as np

from ...clients import Tile
from ...clients.image import (
    DEFAULT_TILE_PIXELS,
    checked_order,
    image_report,
    measured_map,
    process_image,
    tile_pixels,
)
from ...clients.image_writer import ImageReport, ImageWriter
from ...clients.images import check_output, open_image
from ...clients.images.parts import parts
from ...clients.progress import progress_bar
from ..errors import SignalError
from ..pixels import network_pixels
from ..session import ImageFormat, ImageResult
from .console import in_count, in_time, notices, output
from .remote import remote_client
from .weights import load_visibly


def run_image(options: argparse.Namespace) -> None:
    """Run `options.input`, write an output of the network to `options.output`, and say what came of it."""
    if options.output is None:
        raise SignalError("an image's result goes into a file: say which with -o OUTPUT.tif (.zarr, .nii, .npy, .png)")
    check_output(options.output)
    report = asyncio.run(_on_server(options)) if options.server else _in_process(options)
    _tell(report, options)


async def _on_server(options: argparse.Namespace) -> ImageReport:
    async with remote_client(options) as client:
        return await process_image(
            client,
            options.model,
            options.input,
            options.output,
            order=options.order,
            tile=options.tile,
            normalise="card" if options.scale is None else (options.scale, 0.0),
            output=options.output_name,
            time_point=options.time_point,
            multiple=options.multiple_of,
            progress=sys.stderr.isatty(),
        )


def _in_process(options: argparse.Namespace) -> ImageReport:
    model = load_visibly(options.model, backend=options.backend)
    with open_image(options.input, time=options.time_point, multiple=options.multiple_of) as source:
        order = checked_order(source, options.order)
        rule = model.describe().pixels if options.scale is None else (options.scale, 0.0)
        scale, offset = measured_map(source, rule)
        *slices, height, width, channels = source.shape
        asked_s = time.monotonic()
        session = model.images(
            ImageFormat(height, width, channels, sum(slices), order, tile_pixels(order, options.tile))
        )
        side = options.tile or DEFAULT_TILE_PIXELS
        started_s = time.monotonic()
        with (
            ImageWriter(
                source, options.output, session.outputs, output=options.output_name, tile=side, started_s=started_s
            ) as writer,
            progress_bar(options.input.name, 1.0, enabled=sys.stderr.isatty()) as show,
        ):
            for box in parts(source, order, side):
                pixels = network_pixels(source.read(box), scale, offset)
                writer.sent(time.monotonic())
                result = session.put(box.z, box.y, box.x, pixels)
                writer.received(1, _tiles(result), result.values, time.monotonic())
                show(result.finished_share)
        return image_report(writer, model.name, source, options.output, order, (scale, offset), asked_s)


def _tiles(result: ImageResult) -> Iterator[Tile]:
    """Regions `[1, channels, (slices,) rows, columns]` as tiles."""
    for name, regions in result.regions.items():
        for region in regions:
            yield Tile(name, region.y, region.x, np.moveaxis(region.values[0], 0, -1), region.z)


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
