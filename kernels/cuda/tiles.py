"""The tiles in which convolutions with many outputs are done: see convolution_tiles.cuh, whose sizes these are."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

from ..packing_rounded import CHANNELS

TILE_THREADS = 128
"""Of a block."""

TILE_BLOCKS = 3
"""That a multiprocessor has at a time: at most 168 registers a thread."""

TILE_POSITIONS = {8: 512, 16: 256, 32: 256, 64: 128}
"""Output channels of a tile -> its positions; a convolution takes the first that has all channels of a group."""

SMALLEST_TILED = 1 << 13
"""Outputs of a lane from which on tiles are faster: below, threads of their own leave fewer multiprocessors idle."""


def count_tiles(operands: Mapping[str, Any]) -> int:
    """Tiles of a convolution with these operands: a block works on one at a time."""
    batch, channels, *size = operands["y"].shape
    groups = operands["groups"]
    outputs = channels // groups
    # Those of rounded operands have at least 16 channels.
    wanted = max(outputs, CHANNELS) if "products" in operands else outputs
    wide = next((wide for wide in TILE_POSITIONS if wanted <= wide), max(TILE_POSITIONS))
    return groups * -(-outputs // wide) * -(-batch * prod(size) // TILE_POSITIONS[wide])
