"""The sum of two 1x1 convolutions: one convolution of their inputs put together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..ir import Graph, Node, TensorType
from .rewriter import BIAS_INPUT, Rewriter

_FIRST_STRIDED_SLICE = 10
"""Opset from which a Slice may have steps."""


def join_convolutions(graph: Graph) -> Graph:
    """Return the graph with Add(Conv(a), Conv(b)) as Conv(Concat(a, b)), where both kernels are single pixels.

    What stands at the end of a residual block whose shortcut has a convolution too: half the outputs to write, none to
    read again, and what follows can be folded into the one that is left. A stride is a Slice of its input. Nothing
    else may read what the two make, nor may they have activations.
    """
    work = Rewriter(graph)
    joined: dict[int, list[Node]] = {}
    gone: set[int] = set()
    for node in graph.nodes:
        pair = [work.only_producer(name) for name in node.inputs] if node.op == "Add" else []
        convolutions = [conv for conv in pair if conv is not None and _is_point(work, conv)]
        if len(convolutions) == 2 and _match(work, convolutions, node):
            joined[id(node)] = _join(work, convolutions, node)
            gone |= {id(conv) for conv in convolutions}
    nodes = [new for node in graph.nodes if id(node) not in gone for new in joined.get(id(node), [node])]
    return work.finish(nodes)


def _is_point(work: Rewriter, conv: Node) -> bool:
    attributes = conv.attributes
    if conv.op != "Conv" or attributes.get("group", 1) != 1 or "activation" in attributes or any(attributes["pads"]):
        return False
    strided = set(attributes["strides"]) != {1}
    constant = all(work.constant(name) is not None for name in conv.inputs[1:] if name)
    return constant and set(attributes["kernel_shape"]) == {1} and not (strided and conv.opset < _FIRST_STRIDED_SLICE)


def _match(work: Rewriter, convolutions: list[Node], add: Node) -> bool:
    made = {work.graph.types[name] for name in (*add.inputs, *add.outputs)}
    return len(made) == 1 and convolutions[0] is not convolutions[1]


def _join(work: Rewriter, convolutions: list[Node], add: Node) -> list[Node]:
    types, name = work.graph.types, add.outputs[0]
    spatial = types[name].shape[2:]
    slices, sources = [], []
    for index, conv in enumerate(convolutions):
        source = conv.inputs[0]
        if types[source].shape[2:] != spatial:
            slices.append(_slice(work, conv, f"{name}.source{index}"))
            source = slices[-1].outputs[0]
        sources.append(source)
    weights = np.concatenate([work.graph.constants[conv.inputs[1]] for conv in convolutions], axis=1)
    biases = [work.graph.constants[conv.inputs[BIAS_INPUT]] for conv in convolutions if _has_bias(conv)]
    together = TensorType((types[name].shape[0], weights.shape[1], *spatial), types[name].dtype)
    inputs = [work.add_value(f"{name}.sources", together), work.add_constant(f"{name}.weight", weights)]
    if biases:
        inputs.append(work.add_constant(f"{name}.bias", np.sum(biases, axis=0, dtype=np.float64).astype(weights.dtype)))
    concat = Node("Concat", f"{add.name}.sources", tuple(sources), (inputs[0],), {"axis": 1}, add.opset)
    attributes = {**convolutions[0].attributes, "strides": [1] * len(spatial)}
    conv = replace(convolutions[0], name=add.name, inputs=tuple(inputs), outputs=add.outputs, attributes=attributes)
    return [*slices, concat, conv]


def _has_bias(conv: Node) -> bool:
    return len(conv.inputs) > BIAS_INPUT and bool(conv.inputs[BIAS_INPUT])


def _slice(work: Rewriter, conv: Node, base: str) -> Node:
    """The pixels that a strided convolution of single pixels reads."""
    source, made = (work.graph.types[name] for name in (conv.inputs[0], conv.outputs[0]))
    output = work.add_value(base, TensorType((*source.shape[:2], *made.shape[2:]), source.dtype))
    steps, axes = conv.attributes["strides"], list(range(2, len(source.shape)))
    columns = {"starts": [0] * len(axes), "ends": source.shape[2:], "axes": axes, "steps": steps}
    inputs = [work.add_constant(f"{output}.{key}", np.array(value, np.int64)) for key, value in columns.items()]
    return Node("Slice", output, (conv.inputs[0], *inputs), (output,), {}, conv.opset)
