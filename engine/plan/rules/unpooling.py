"""Operators that put windows back into images: MaxUnpool, Col2Im."""

from __future__ import annotations

from itertools import product

import numpy as np

from ....kernels.opcodes import Binary
from ....kernels.opcodes_general import GeneralBinary
from ..builder import Builder, loop_views
from ..view import View
from .registry import Lowering, rule


@rule("MaxUnpool", shaping=(2,), keeps_range=True)
def max_unpool(node: Lowering, builder: Builder) -> View:
    """Each element at its position in what was pooled, zeros elsewhere; an output_shape only adds zeros at the ends.

    Positions number the elements of the smallest output whose pooling has the input's size.
    """
    x, positions = node.view(0), node.view(1)
    kernel = node.attribute("kernel_shape")
    rank = len(kernel)
    strides = node.attribute("strides") or [1] * rank
    pads = node.attribute("pads") or [0] * (2 * rank)
    spatial = [
        (size - 1) * strides[axis] - pads[axis] - pads[rank + axis] + kernel[axis]
        for axis, size in enumerate(x.shape[2:])
    ]
    whole = (*x.shape[:2], *spatial)
    y = builder.allocate((int(np.prod(whole, dtype=np.int64)),))
    builder.fill(y, 0.0)
    builder.emit("place", x=builder.reshape(x, (x.size,)), positions=builder.reshape(positions, (x.size,)), y=y)
    placed = builder.reshape(y, whole)
    if whole == node.output_shape():
        return placed
    result = builder.allocate(node.output_shape())
    builder.fill(result, 0.0)
    inside = tuple(slice(0, min(size, wanted)) for size, wanted in zip(whole, result.shape, strict=True))
    builder.copy(placed[inside], result[inside])
    return result


@rule("Col2Im", shaping=(1, 2))
def col2im(node: Lowering, builder: Builder) -> View:
    """Blocks [batch, channels * taps, blocks] added up where they lie in an image, one tap of all blocks at a time."""
    image = node.needs_constant(1, "image_shape").tolist()
    block = node.needs_constant(2, "block_shape").tolist()
    rank = len(image)
    strides = node.attribute("strides") or [1] * rank
    dilations = node.attribute("dilations") or [1] * rank
    pads = node.attribute("pads") or [0] * (2 * rank)
    padded = [size + pads[axis] + pads[rank + axis] for axis, size in enumerate(image)]
    counts = [
        (size - (taps - 1) * dilation - 1) // stride + 1
        for size, taps, dilation, stride in zip(padded, block, dilations, strides, strict=True)
    ]
    batch, channels = node.output_shape()[:2]
    columns = builder.reshape(node.operand(0), (batch, channels, *block, *counts))
    y = builder.allocate((batch, channels, *padded), dtype=columns.dtype)
    builder.fill(y, 0.0)
    for tap in product(*map(range, block)):
        reached = tuple(
            slice(t * dilation, t * dilation + (count - 1) * stride + 1, stride)
            for t, dilation, count, stride in zip(tap, dilations, counts, strides, strict=True)
        )
        _add_to(builder, y[(slice(None), slice(None), *reached)], columns[(slice(None), slice(None), *tap)])
    crop = tuple(slice(pads[axis], pads[axis] + size) for axis, size in enumerate(image))
    return y[(slice(None), slice(None), *crop)]


def _add_to(builder: Builder, y: View, x: View) -> None:
    """y += x."""
    sums, values = loop_views(x, y)[::-1]
    if y.dtype == np.float32:
        builder.emit("binary", operator=Binary.ADD, a=sums, b=values, y=sums)
    else:
        builder.emit("binary_general", operator=GeneralBinary.ADD, a=sums, b=values, y=sums)
