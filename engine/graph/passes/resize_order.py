"""Resize in front of a 1x1 convolution: the convolution goes first, where there are fewer pixels."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np

from ..ir import Graph, Node, TensorType
from .rewriter import Rewriter

_SIZES_INPUT = 3
_MIXED_AXES = 2
"""Batch and channels."""


def convolve_before_growing(graph: Graph) -> Graph:
    """Return the graph with Conv(Resize(x)) as Resize(Conv(x)) where that is less work and the same numbers.

    A resize blends pixels with weights whose sum is 1, channel by channel; a 1x1 convolution blends channels, pixel by
    pixel, and adds a bias. So their order matters to rounding alone, unless the convolution has an activation or the
    resize fills in values from outside the image.
    """
    work = Rewriter(graph)
    swapped: dict[int, list[Node]] = {}
    gone: set[int] = set()
    for node in graph.nodes:
        resize = work.only_producer(node.inputs[0]) if node.op == "Conv" else None
        if resize is not None and _may_swap(work, resize, node):
            swapped[id(node)] = _swap(work, resize, node)
            gone.add(id(resize))
    nodes = [new for node in graph.nodes if id(node) not in gone for new in swapped.get(id(node), [node])]
    return work.finish(nodes)


def _may_swap(work: Rewriter, resize: Node, conv: Node) -> bool:
    if resize.op != "Resize" or resize.attributes.get("coordinate_transformation_mode") == "tf_crop_and_resize":
        return False
    attributes, types = conv.attributes, work.graph.types
    small, large, made = (types[name].shape for name in (resize.inputs[0], resize.outputs[0], conv.outputs[0]))
    point = prod(types[conv.inputs[1]].shape[2:]) == 1 and not any(attributes.get("pads") or [])
    dense = set(attributes.get("strides") or [1]) == {1} and attributes.get("group", 1) == 1
    fewer = prod(small[_MIXED_AXES:]) < prod(large[_MIXED_AXES:]) and made[1] <= small[1]
    constant = all(name in work.graph.constants for name in conv.inputs[1:] if name)
    return (
        point and dense and fewer and constant
        and "activation" not in attributes
        and small[:_MIXED_AXES] == large[:_MIXED_AXES]
        and (not _sizes(resize) or _sizes(resize) in work.graph.constants)
    )  # fmt: skip


def _sizes(resize: Node) -> str:
    """The name of the sizes that a Resize asks for; empty if it goes by scales."""
    return resize.inputs[_SIZES_INPUT] if len(resize.inputs) > _SIZES_INPUT else ""


def _swap(work: Rewriter, resize: Node, conv: Node) -> list[Node]:
    types = work.graph.types
    small, made = types[resize.inputs[0]].shape, types[conv.outputs[0]]
    between = resize.outputs[0]
    types[between] = TensorType((*made.shape[:_MIXED_AXES], *small[_MIXED_AXES:]), made.dtype)
    inputs = [between, *resize.inputs[1:]]
    if _sizes(resize):
        sizes = work.graph.constants[_sizes(resize)]
        axes = resize.attributes.get("axes") or list(range(len(small)))
        wanted = [made.shape[1] if axis % len(small) == 1 else size for axis, size in zip(axes, sizes, strict=True)]
        inputs[_SIZES_INPUT] = work.add_constant(f"{between}.sizes", np.array(wanted, np.int64))
    first = replace(conv, inputs=(resize.inputs[0], *conv.inputs[1:]), outputs=(between,))
    return [first, replace(resize, inputs=tuple(inputs), outputs=conv.outputs)]
