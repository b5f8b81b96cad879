"""Winograd's minimal filtering F(4x4, 3x3): its matrices, and where `conv_winograd` keeps things in scratch.

A tile of 4 x 4 outputs of a 3 x 3 convolution is A^T [ (G g G^T) * (B^T d B) ] A, where d are the 6 x 6 inputs under
it, g is the kernel and * multiplies element by element: 36 products instead of 144. The sum over input channels is
taken between the brackets, so that it becomes 36 matrix products.

The points are 0, +-3/4, +-3/2 and infinity rather than the usual 0, +-1, +-2: all numbers of A and B stay exact, and
the error in float32 is a fifth (5 ulp instead of 25 for 64 channels; sums in order have 1).

Sources: Lavin and Gray, Fast Algorithms for Convolutional Neural Networks (2016), sections 4.1 and 4.2; on points,
Barabasz et al., Error Analysis and Improving the Accuracy of Winograd Convolution (2018), section 5.

Those functions that take integers are plain arithmetic: native code compiles the same source.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .contract import PANEL

TILE = 4
"""Outputs of a tile along each axis."""

REACH = TILE + 2
"""Inputs under a tile along each axis."""

PLANES = REACH * REACH
"""Matrix products."""

INNER_POINT, OUTER_POINT = 0.75, 1.5

ROW_BLOCK = 8
"""Output channels that are neighbours in packed weights."""

GROUP_BLOCKS = 4
"""Blocks of output channels whose products are transformed back together."""

BLOCK_FLOATS = 176 * 1024
"""What the transformed input and the products of one block of tiles should take: 0.7 of a second cache of 1 MiB."""

FEWEST_TILES = 2 * PANEL
MOST_TILES = 12 * PANEL
TILE_STEP = 3 * PANEL
"""Tiles that the widest matrix tile takes at once."""


def kernel_matrix() -> np.ndarray:
    """G: [6, 3] float64, from the three taps of a kernel to its values at the points, over what B leaves out."""
    points = [0.0, INNER_POINT, -INNER_POINT, OUTER_POINT, -OUTER_POINT]
    rows = [[p**k / np.prod([p - other for other in points if other != p]) for k in range(3)] for p in points]
    return np.array([*rows, [0.0, 0.0, 1.0]])


def count_tiles(outputs: int) -> int:
    """Tiles along an axis of that many outputs."""
    return -(-outputs // TILE)


def block_tiles(tiles: int, inputs: int, outputs: int) -> int:
    """Tiles that go through all three stages together, a multiple of PANEL.

    Args:
        tiles: of the whole batch.
        inputs, outputs: channels of a group.
    """
    channels = inputs + min(-(-outputs // ROW_BLOCK), GROUP_BLOCKS) * ROW_BLOCK
    most = max(FEWEST_TILES, min(MOST_TILES, BLOCK_FLOATS // (PLANES * channels) // PANEL * PANEL))
    if most > TILE_STEP:
        most = most // TILE_STEP * TILE_STEP
    return min(most, -(-tiles // PANEL) * PANEL)


def plane_floats(channels: int, block: int) -> int:
    """Elements from plane to plane: an odd number of vectors, so that planes spread over the cache's sets.

    At least one is spare: the last vector of a row of tiles may reach beyond the block, into the next channel, which is
    written after it, or behind the last.
    """
    return ((channels * block // PANEL + 1) | 1) * PANEL


def line_floats(block: int) -> int:
    """Elements of one of the REACH lines of a block of tiles, transformed along the height alone."""
    return TILE * block + 2 * PANEL


def conv_winograd_scratch(operands: Mapping[str, Any]) -> int:
    """Float32 elements of scratch: lines, transformed input and products of one block."""
    y, groups = operands["y"].shape, operands["groups"]
    inputs, outputs = operands["x"].shape[1] // groups, y[1] // groups
    block = block_tiles(y[0] * count_tiles(y[2]) * count_tiles(y[3]), inputs, outputs)
    rows = min(-(-outputs // ROW_BLOCK), GROUP_BLOCKS) * ROW_BLOCK
    planes = plane_floats(inputs, block) + plane_floats(rows, block)
    return REACH * line_floats(block) + PLANES * planes + PANEL
