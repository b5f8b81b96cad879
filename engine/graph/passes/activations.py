"""Activations: made part of the convolution or matrix product before them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ..ir import Graph, Node
from .rewriter import CONVOLUTIONS, PRODUCTS, SLOPE_INPUT, Rewriter, per_channel

Parameters = tuple[float, float]
Reader = Callable[[Rewriter, Node], Parameters | None]


def _none(work: Rewriter, node: Node) -> Parameters | None:
    return 0.0, 0.0


def _alpha(work: Rewriter, node: Node) -> Parameters | None:
    return float(node.attributes["alpha"]), 0.0


def _alpha_beta(work: Rewriter, node: Node) -> Parameters | None:
    return float(node.attributes["alpha"]), float(node.attributes["beta"])


def _bounds(work: Rewriter, node: Node) -> Parameters | None:
    """Return Clip's (minimum, maximum); an absent bound is the type's own, as the specification says."""
    dtype = work.graph.types[node.outputs[0]].dtype
    if dtype.kind != "f":
        return None
    limits = np.finfo(dtype)
    if node.opset < 11:
        return float(node.attributes.get("min", limits.min)), float(node.attributes.get("max", limits.max))
    bounds = [float(limits.min), float(limits.max)]
    for index, name in enumerate(node.inputs[1:3]):
        if name:
            constant = work.constant(name)
            if constant is None or constant.size != 1:
                return None
            bounds[index] = float(constant.item())
    return bounds[0], bounds[1]


ACTIVATIONS: dict[str, Reader] = {
    "Relu": _none,
    "Sigmoid": _none,
    "Tanh": _none,
    "HardSwish": _none,
    "LeakyRelu": _alpha,
    "Elu": _alpha,
    "HardSigmoid": _alpha_beta,
    "Swish": _alpha,
    "Clip": _bounds,
}
"""Activation -> reader of its (activation_alpha, activation_beta); PRelu is apart, its slope is a tensor."""


def fold_activations(graph: Graph) -> Graph:
    """Return the graph with activations folded into the Conv, ConvTranspose, MatMul or Gemm that alone feeds them.

    The producer gets the attributes `activation`, `activation_alpha`, `activation_beta` (Clip: minimum and maximum).
    PRelu: `slope` names a constant `[channels]`, which is also input 3 (an absent bias at 2 is ''). A Swish may be
    written out, as x times Sigmoid(x).
    """
    work = Rewriter(graph)
    return work.finish([_fold(work, node) or node for node in graph.nodes])


def _fold(work: Rewriter, node: Node) -> Node | None:
    """Return the merged node, or None if `node` must stay."""
    if node.op == "Mul":
        return _fold_swish(work, node)
    if node.op not in ACTIVATIONS and node.op != "PRelu":
        return None
    producer = work.only_producer(node.inputs[0])
    if producer is None or producer.op not in CONVOLUTIONS | PRODUCTS or "activation" in producer.attributes:
        return None
    if node.op == "PRelu":
        return _fold_prelu(work, producer, node)
    parameters = ACTIVATIONS[node.op](work, node)
    if parameters is None:
        return None
    alpha, beta = parameters
    extra = {"activation": node.op, "activation_alpha": alpha, "activation_beta": beta}
    return work.merge(producer, node, producer.inputs, {**producer.attributes, **extra})


def _fold_swish(work: Rewriter, node: Node) -> Node | None:
    """Return the product that x Sigmoid(x) follows with a Swish of alpha 1, where x is read for nothing else."""
    for name, factor in (node.inputs, node.inputs[::-1]):
        sigmoid, producer = work.only_producer(factor), work.only_producer(name, readers=2)
        if sigmoid is None or sigmoid.op != "Sigmoid" or sigmoid.inputs[0] != name or producer is None:
            continue
        if producer.op in CONVOLUTIONS | PRODUCTS and "activation" not in producer.attributes:
            extra = {"activation": "Swish", "activation_alpha": 1.0, "activation_beta": 0.0}
            return work.merge(producer, node, producer.inputs, {**producer.attributes, **extra})
    return None


def _fold_prelu(work: Rewriter, producer: Node, node: Node) -> Node | None:
    slope = work.constant(node.inputs[1])
    channels = None if slope is None else per_channel(slope, producer, work.graph)
    if channels is None:
        return None
    name = work.add_constant(f"{node.outputs[0]}.slope", channels)
    inputs = (*(*producer.inputs, "", "")[:SLOPE_INPUT], name)
    extra = {"activation": "PRelu", "activation_alpha": 0.0, "activation_beta": 0.0, "slope": name}
    return work.merge(producer, node, inputs, {**producer.attributes, **extra})


def simplify_prelus(graph: Graph) -> Graph:
    """Return the graph with every PRelu whose slopes are all one number turned into LeakyRelu, its equal.

    Those of other types stay: the one slope of a LeakyRelu is a float32.
    """
    nodes = []
    for node in graph.nodes:
        slope = graph.constants.get(node.inputs[1]) if node.op == "PRelu" else None
        if slope is not None and slope.dtype == np.float32 and slope.size and (slope == slope.flat[0]).all():
            node = replace(node, op="LeakyRelu", inputs=node.inputs[:1], attributes={"alpha": float(slope.flat[0])})
        nodes.append(node)
    return replace(graph, nodes=nodes)
