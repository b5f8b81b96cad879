"""An image through a network, in process or on a server, and its first output back as an image."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path
from typing import Any

import numpy as np

from ...clients import StreamClient
from ..errors import ModelError, SignalError
from .console import output
from .weights import load_visibly


def run_image(options: argparse.Namespace) -> None:
    """Run `options.input` and write the network's first output to `options.output`."""
    if options.output is None:
        raise SignalError("an image's result goes into a file: say which with -o OUTPUT.npy (or .tif, .png)")
    pixels = read_pixels(options.input) * np.float32(options.scale)
    name, result = asyncio.run(_on_server(options, pixels)) if options.server else _in_process(options, pixels)
    write_pixels(options.output, result)
    shape = " x ".join(map(str, result.shape))
    low, high = float(result.min()), float(result.max())
    output().print(f"{options.output}: output {name!r}, {shape}, from {low:.4g} to {high:.4g}", soft_wrap=True)


def _in_process(options: argparse.Namespace, pixels: np.ndarray) -> tuple[str, np.ndarray]:
    model = load_visibly(options.model, backend=options.backend)
    if len(model.inputs) != 1:
        raise ModelError(f"model {model.name!r} has the inputs {', '.join(model.inputs)}; an image fills one alone")
    (name,) = model.inputs
    outputs = model.run({name: as_batch(pixels)})
    first = next(iter(model.outputs))
    return first, outputs[first]


async def _on_server(options: argparse.Namespace, pixels: np.ndarray) -> tuple[str, np.ndarray]:
    batch = as_batch(pixels)
    image = np.ascontiguousarray(batch[0].transpose(1, 2, 0))
    async with StreamClient(options.server) as client:
        height, width, channels = image.shape
        async with client.stream_images(options.model, height=height, width=width, channels=channels) as stream:
            await stream.send(image)
            await stream.finish()
            async for result in stream:
                for tile in result.tiles:
                    return tile.name, tile.pixels.transpose(2, 0, 1)[None]
                for name, numbers in result.values.items():
                    return name, numbers
    raise ModelError(f"the server's model {options.model!r} gave nothing for the image")


def as_batch(pixels: np.ndarray) -> np.ndarray:
    """`[height, width]`, `[height, width, channels]` or `[1, channels, height, width]`: always the last, float32."""
    if pixels.ndim == 2:
        pixels = pixels[None, None]
    elif pixels.ndim == 3:
        pixels = pixels.transpose(2, 0, 1)[None]
    elif pixels.ndim != 4 or pixels.shape[0] != 1:
        raise SignalError(
            f"an image of shape {list(pixels.shape)}; [height, width], [height, width, channels] or "
            "[1, channels, height, width] would work"
        )
    return np.ascontiguousarray(pixels, np.float32)


def read_pixels(path: Path) -> np.ndarray:
    """An image's values as they are in the file, float32. Raises SignalError."""
    if path.suffix.lower() == ".npy":
        try:
            array = np.load(path, allow_pickle=False)
        except (ValueError, OSError) as error:
            raise SignalError(f"{path}: {error}") from None
    else:
        try:
            with _pillow(path).open(path) as image:
                array = np.asarray(image)
        except (OSError, SyntaxError) as error:
            raise SignalError(f"{path}: {error}") from None
    if array.dtype.kind not in "uif":
        raise SignalError(f"{path}: its values are {array.dtype}; whole or floating-point numbers would work")
    return array.astype(np.float32)


def write_pixels(path: Path, result: np.ndarray) -> None:
    """Write an output: .npy as it is; .tif in float32; .png, of values from 0 to 1, in 8 bits. Raises SignalError."""
    ending = path.suffix.lower()
    if ending == ".npy":
        np.save(path, result)
        return
    planes = result.reshape(result.shape[-3:]) if result.ndim == 4 and result.shape[0] == 1 else result
    if planes.ndim != 3 or len(planes) != 1:
        raise SignalError(f"{path}: an output of shape {list(result.shape)} is no grey image; .npy takes it")
    if ending in (".tif", ".tiff"):
        _pillow(path).fromarray(planes[0].astype(np.float32)).save(path)
    elif ending == ".png":
        if not (planes.min() >= 0 and planes.max() <= 1):
            raise SignalError(
                f"{path}: PNG takes values from 0 to 1, not {planes.min():g} to {planes.max():g}; use .npy"
            )
        _pillow(path).fromarray(np.rint(planes[0] * 255).astype(np.uint8)).save(path)
    else:
        raise SignalError(f"{path}: an image is written as .npy, .tif or .png, not {ending or 'without an ending'}")


def _pillow(path: Path) -> Any:
    try:
        from PIL import Image
    except ImportError:
        raise SignalError(f"{path}: {path.suffix} needs Pillow (pip install pillow); .npy works without it") from None
    return Image
