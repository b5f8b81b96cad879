"""Layer, RMS, instance and group normalisation."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from ..builder import Builder
from ..view import View
from .registry import Lowering, rule

Shape = tuple[int, int, int, int]


def _normalize(
    node: Lowering,
    builder: Builder,
    shape: Shape,
    scale: View | None,
    bias: View | None,
    *,
    epsilon: float = 1e-5,
    centred: bool = True,
    statistics: Sequence[View | None] = (None, None),
) -> View:
    """A new buffer with the node's first input, seen as [kept, kept, normalised, normalised], normalised."""
    if node.view(0).dtype != np.float32:
        raise node.refuse(f"its input is {node.input_type(0)}", "convert it to float32 before export")
    x = builder.reshape(node.view(0), shape)
    if x.strides[3] not in (0, 1):
        x = builder.dense(x)
    y = builder.allocate(shape)
    builder.emit(
        "normalize",
        x=x,
        scale=scale,
        bias=bias,
        y=y,
        mean=statistics[0],
        inverse=statistics[1],
        epsilon=float(node.attribute("epsilon", epsilon)),
        centred=int(centred),
    )
    return builder.reshape(y, node.output_shape())


def _over_last_axes(node: Lowering, builder: Builder, index: int, shape: Shape) -> View | None:
    """A scale or bias that broadcasts to the input, as [1, kept, 1, normalised]; None if it is absent."""
    if not node.has(index):
        return None
    return builder.reshape(node.view(index).broadcast(node.shape(0)), shape)


@rule("LayerNormalization", "RMSNormalization")
def layer_normalization(node: Lowering, builder: Builder) -> list[View | None]:
    """ONNX LayerNormalization and RMSNormalization: over the axes from `axis` on; computed in float32 throughout."""
    shape = node.shape(0)
    axis = node.attribute("axis", -1) % len(shape)
    split = (1, prod(shape[:axis]), 1, prod(shape[axis:]))
    statistics: list[View | None] = [
        builder.allocate(split[:2]) if node.op == "LayerNormalization" and node.wants(index) else None
        for index in (1, 2)
    ]
    y = _normalize(
        node,
        builder,
        split,
        _over_last_axes(node, builder, 1, split),
        _over_last_axes(node, builder, 2, split),
        centred=node.op == "LayerNormalization",
        statistics=statistics,
    )
    outputs: list[View | None] = [y]
    for index, view in enumerate(statistics, start=1):
        outputs.append(None if view is None else builder.reshape(view, node.output_shape(index)))
    return outputs


@rule("InstanceNormalization")
def instance_normalization(node: Lowering, builder: Builder) -> View:
    """ONNX InstanceNormalization: over the spatial axes of each channel, which has a scale and a bias."""
    batch, channels, *spatial = node.shape(0)
    shape = (batch, channels, 1, prod(spatial))
    scale, bias = (node.view(index)[None, :, None, None].broadcast(shape) for index in (1, 2))
    return _normalize(node, builder, shape, scale, bias)


@rule("GroupNormalization")
def group_normalization(node: Lowering, builder: Builder) -> View:
    """ONNX GroupNormalization: over channels / groups channels at once; below opset 21 a scale belongs to a group."""
    batch, channels, *spatial = node.shape(0)
    groups = node.attribute("num_groups")
    shape = (batch, groups, channels // groups, prod(spatial))
    each = (1, groups, -1, 1) if node.opset >= 21 else (1, groups, 1, 1)
    scale, bias = (builder.reshape(node.view(i), _sized(node.shape(i), each)).broadcast(shape) for i in (1, 2))
    return _normalize(node, builder, shape, scale, bias)


def _sized(shape: Sequence[int], wanted: Sequence[int]) -> tuple[int, ...]:
    """`wanted` with its -1 filled in for as many elements as `shape` has."""
    known = prod(size for size in wanted if size != -1)
    return tuple(prod(shape) // known if size == -1 else size for size in wanted)
