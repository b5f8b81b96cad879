"""In which boxes an image goes through a network, and the sample of it that a normalisation is measured on."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from .box import Box, whole
from .source import ImageSource

SAMPLED_PIXELS = 2**20
"""Images of up to a megapixel are measured whole, of larger ones about as many pixels."""
SAMPLE_BOXES = 64
"""Of larger ones so many boxes, each in the middle of a cell of a grid over the image, and of the cell's shape."""
SAMPLE_SLICES = 16
"""Of larger volumes the boxes lie in so many slices."""
PART_BYTES = 4 * 2**20
"""No more rows are taken together than this holds."""


def parts(source: ImageSource, order: str, tile: int) -> Iterator[Box]:
    """The boxes of an image or volume in an order of `StreamClient.stream_images`.

    `tile` is the side of tiles; so many rows are taken together, up to PART_BYTES; slices come one by one.
    """
    everything = whole(source.shape)
    height, width = everything.height, everything.width
    match order:
        case "whole":
            yield everything
        case "rows":
            # What is neither uint8 nor uint16 travels as float32.
            count = max(1, min(tile, PART_BYTES // (width * source.shape[-1] * np.dtype(np.float32).itemsize)))
            for y in range(0, height, count):
                yield Box(y, 0, min(count, height - y), width)
        case "slices":
            for z in range(everything.depth):
                yield Box(0, 0, height, width, z)
        case _:
            for y in range(0, height, tile):
                for x in range(0, width, tile):
                    yield Box(y, x, min(tile, height - y), min(tile, width - x))


def sample(source: ImageSource) -> np.ndarray:
    """Pixels `[n]` that stand for an image, in its type: all, or of a large one boxes on a grid over all of it."""
    source = source.original
    everything = whole(source.shape)
    if everything.depth * everything.height * everything.width <= SAMPLED_PIXELS:
        return source.read().ravel()
    slices = min(SAMPLE_SLICES, everything.depth)
    side = math.isqrt(SAMPLE_BOXES // slices)
    share = min(1.0, math.sqrt(SAMPLED_PIXELS / (slices * everything.height * everything.width)))
    boxes = [
        Box(y, x, height, width, z)
        for z, _ in _middles(everything.depth, slices, 0.0)
        for y, height in _middles(everything.height, side, share)
        for x, width in _middles(everything.width, side, share)
    ]
    return np.concatenate([source.read(box).ravel() for box in boxes])


def _middles(length: int, count: int, share: float) -> Iterator[tuple[int, int]]:
    """Starts and sizes of pieces, at least 1, from the middle of each of `count` equal cells of `length`."""
    count = min(count, length)
    for cell in range(count):
        start, stop = cell * length // count, (cell + 1) * length // count
        taken = max(1, int(share * (stop - start)))
        yield start + (stop - start - taken) // 2, taken
