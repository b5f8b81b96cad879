"""An image through a network, in process or on a server, and its first output back as an image."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

import numpy as np

from ...clients import StreamClient
from ...clients.images import ImageSource, create_image, open_image
from ..errors import ModelError, SignalError
from .console import output
from .weights import load_visibly


def run_image(options: argparse.Namespace) -> None:
    """Run `options.input` and write the network's first output to `options.output`."""
    if options.output is None:
        raise SignalError(
            "an image's result goes into a file: say which with -o OUTPUT.tif (or .zarr, .nii, .npy, .png)"
        )
    with open_image(options.input) as source:
        pixels = source.read().astype(np.float32) * np.float32(options.scale)
        name, result = asyncio.run(_on_server(options, pixels)) if options.server else _in_process(options, pixels)
        _write(options.output, result, source)
    shape = " x ".join(map(str, result.shape))
    low, high = float(result.min()), float(result.max())
    output().print(f"{options.output}: output {name!r}, {shape}, from {low:.4g} to {high:.4g}", soft_wrap=True)


def _in_process(options: argparse.Namespace, pixels: np.ndarray) -> tuple[str, np.ndarray]:
    """Run `[(depth,) height, width, channels]`; the first output and its name."""
    model = load_visibly(options.model, backend=options.backend)
    if len(model.inputs) != 1:
        raise ModelError(f"model {model.name!r} has the inputs {', '.join(model.inputs)}; an image fills one alone")
    (name,) = model.inputs
    outputs = model.run({name: np.ascontiguousarray(np.moveaxis(pixels, -1, 0)[None])})
    first = next(iter(model.outputs))
    return first, outputs[first]


async def _on_server(options: argparse.Namespace, pixels: np.ndarray) -> tuple[str, np.ndarray]:
    if pixels.ndim != 3:
        raise SignalError(f"{options.input}: a volume of shape {list(pixels.shape)}; without --server it would work")
    async with StreamClient(options.server) as client:
        height, width, channels = pixels.shape
        async with client.stream_images(options.model, height=height, width=width, channels=channels) as stream:
            await stream.send(pixels)
            await stream.finish()
            async for result in stream:
                for tile in result.tiles:
                    return tile.name, tile.pixels.transpose(2, 0, 1)[None]
                for name, numbers in result.values.items():
                    return name, numbers
    raise ModelError(f"the server's model {options.model!r} gave nothing for the image")


def _write(path: Path, result: np.ndarray, source: ImageSource) -> None:
    """Write `[1, channels, (depth,) height, width]` as an image; an output that is none as it is, into a .npy."""
    if result.ndim == len(source.shape) + 1 and result.shape[0] == 1:
        pixels = np.moveaxis(result[0], 0, -1)
        with create_image(path, pixels.shape, pixels.dtype, like=source) as sink:
            sink.write(pixels)
    elif path.suffix.lower() == ".npy":
        np.save(path, result)
    else:
        raise SignalError(f"{path}: an output of shape {list(result.shape)} is no image; .npy takes it")
