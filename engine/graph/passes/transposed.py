"""Transposed convolutions of stride 1: made plain ones, their kernels turned round."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..ir import Graph, Node
from ..prune import prune
from .rewriter import Rewriter


def convolve_forwards(graph: Graph) -> Graph:
    """Return the graph with every ConvTranspose of stride 1 and constant weights as a Conv, whose fusions it shares.

    A tap that the one scatters `k` places on, the other gathers from `k` places back: the kernel is reversed, and what
    was cropped at an edge is left of (kernel - 1) dilation of padding.
    """
    work = Rewriter(graph)
    return prune(replace(work.graph, nodes=[_forwards(work, node) or node for node in graph.nodes]))


def _forwards(work: Rewriter, node: Node) -> Node | None:
    """The Conv that gives the same numbers, or None."""
    weights = work.constant(node.inputs[1]) if node.op == "ConvTranspose" else None
    attributes = dict(node.attributes)
    if weights is None or set(attributes["strides"]) != {1} or any(attributes.pop("output_padding", None) or []):
        return None
    reaches = [(size - 1) * step for size, step in zip(weights.shape[2:], attributes["dilations"], strict=True)]
    pads = [reach - pad for reach, pad in zip(2 * reaches, attributes["pads"], strict=True)]
    if min(pads) < 0:
        return None
    groups = attributes.get("group", 1)
    inputs, outputs, *kernel = weights.shape
    turned = np.flip(weights, axis=tuple(range(2, weights.ndim))).reshape(groups, inputs // groups, outputs, *kernel)
    forwards = turned.swapaxes(1, 2).reshape(groups * outputs, inputs // groups, *kernel)
    name = work.add_constant(f"{node.inputs[1]}.forwards", forwards)
    attributes["pads"] = pads
    return replace(node, op="Conv", inputs=(node.inputs[0], name, *node.inputs[2:]), attributes=attributes)
