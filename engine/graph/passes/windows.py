"""Convolution and pooling windows written out: kernel, strides, dilations and pads of every spatial axis."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..infer import POOLS
from ..ir import Graph, Node, TensorType

WINDOWED = POOLS | {"Conv", "ConvInteger", "ConvTranspose", "QLinearConv"}


def explicit_windows(graph: Graph) -> Graph:
    """Give every convolution and pool its kernel_shape, strides, dilations and pads; auto_pad is resolved.

    A ConvTranspose also gets output_padding, and loses output_shape. Formulae: the ONNX operator specifications.
    """
    nodes = [_explicit(node, graph.types) if node.op in WINDOWED else node for node in graph.nodes]
    return replace(graph, nodes=nodes)


def _explicit(node: Node, types: Mapping[str, TensorType]) -> Node:
    """Return the node with its window written out."""
    attributes = dict(node.attributes)
    spatial = types[node.inputs[0]].shape[2:]
    rank = len(spatial)
    if "kernel_shape" not in attributes:
        attributes["kernel_shape"] = list(types[node.inputs[3 if node.op == "QLinearConv" else 1]].shape[2:])
    attributes.setdefault("strides", [1] * rank)
    attributes.setdefault("dilations", [1] * rank)
    if node.op == "ConvTranspose":
        attributes.setdefault("output_padding", [0] * rank)
    mode = attributes.pop("auto_pad", "NOTSET")
    shape = attributes.pop("output_shape", None)
    if node.op == "ConvTranspose" and (shape or mode.startswith("SAME")):
        attributes["pads"] = _transposed_pads(attributes, spatial, shape, mode)
    elif mode.startswith("SAME"):
        attributes["pads"] = _same_pads(attributes, spatial, mode)
    elif mode == "VALID":
        attributes["pads"] = [0] * (2 * rank)
    else:
        attributes.setdefault("pads", [0] * (2 * rank))
    return replace(node, attributes=attributes)


def _same_pads(attributes: Mapping[str, Any], spatial: tuple[int, ...], mode: str) -> list[int]:
    """Return the pads that make the output ceil(input / stride) long."""
    totals = []
    for size, kernel, stride, dilation in zip(
        spatial, attributes["kernel_shape"], attributes["strides"], attributes["dilations"], strict=True
    ):
        outputs = -(-size // stride)
        totals.append(max((outputs - 1) * stride + (kernel - 1) * dilation + 1 - size, 0))
    return _share(totals, odd_at_end=mode == "SAME_UPPER")


def _transposed_pads(
    attributes: Mapping[str, Any], spatial: tuple[int, ...], shape: list[int] | None, mode: str
) -> list[int]:
    """Return the pads that give a ConvTranspose its `shape`, or input x stride."""
    totals = []
    for axis, size in enumerate(spatial):
        stride = attributes["strides"][axis]
        reach = (attributes["kernel_shape"][axis] - 1) * attributes["dilations"][axis] + 1
        wanted = shape[len(shape) - len(spatial) + axis] if shape else size * stride
        total = stride * (size - 1) + attributes["output_padding"][axis] + reach - wanted
        totals.append(max(total, 0))  # an output that reaches further has its last values from the bias alone
    return _share(totals, odd_at_end=mode == "SAME_UPPER")


def _share(totals: list[int], *, odd_at_end: bool) -> list[int]:
    """Split each total into begin and end; the odd one goes to the end, or to the beginning."""
    begins = [total // 2 if odd_at_end else total - total // 2 for total in totals]
    return begins + [total - begin for total, begin in zip(totals, begins, strict=True)]
