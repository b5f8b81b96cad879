"""Operators that trade space for channels: views, or one copy."""

from __future__ import annotations

from ..builder import Builder
from ..view import View
from .registry import Lowering, rule


@rule("DepthToSpace", keeps_range=True)
def depth_to_space(node: Lowering, builder: Builder) -> View:
    """Blocks of channels become blocks of pixels; mode DCR has the block's place before the channel, CRD after it."""
    batch, channels, height, width = node.shape(0)
    size = node.attribute("blocksize")
    left = channels // (size * size)
    if node.attribute("mode", "DCR") == "DCR":
        split = builder.reshape(node.view(0), (batch, size, size, left, height, width))
        turned = split.transpose((0, 3, 4, 1, 5, 2))
    else:
        split = builder.reshape(node.view(0), (batch, left, size, size, height, width))
        turned = split.transpose((0, 1, 4, 2, 5, 3))
    return builder.reshape(turned, node.output_shape())


@rule("SpaceToDepth", keeps_range=True)
def space_to_depth(node: Lowering, builder: Builder) -> View:
    """Blocks of pixels become blocks of channels, modes as in DepthToSpace (before opset 27 always DCR)."""
    batch, channels, height, width = node.shape(0)
    size = node.attribute("blocksize")
    split = builder.reshape(node.view(0), (batch, channels, height // size, size, width // size, size))
    order = (0, 3, 5, 1, 2, 4) if node.attribute("mode", "DCR") == "DCR" else (0, 1, 3, 5, 2, 4)
    return builder.reshape(split.transpose(order), node.output_shape())
