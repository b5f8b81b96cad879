"""BatchNormalization: folded into the weights and bias before it, or a convolution of its own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..ir import Graph, Node
from .rewriter import BIAS_INPUT, Rewriter, output_channels


def fold_batch_norms(graph: Graph) -> Graph:
    """Return the graph with every BatchNormalization folded whose input is made by a Conv, ConvTranspose or Gemm.

    Needs constant weights and a producer that nothing else reads; others stay. With s = scale / sqrt(var + epsilon)
    (Ioffe and Szegedy, 2015): weight' = weight * s, bias' = (bias - mean) * s + shift, worked out in float64.
    """
    work = Rewriter(graph)
    return work.finish([_fold(work, node) or node for node in graph.nodes])


def convolve_batch_norms(graph: Graph) -> Graph:
    """Return the graph with every BatchNormalization of images that is left as a depthwise Conv of single pixels.

    Those before a layer, and those behind sums, as in residual networks with pre-activations (He et al., 2016): as a
    convolution they take in the activation that follows, and are one pass over memory.
    """
    work = Rewriter(graph)
    return work.finish([_convolved(work, node) or node for node in graph.nodes])


def _convolved(work: Rewriter, node: Node) -> Node | None:
    """Return the convolution, or None if `node` must stay."""
    if node.op != "BatchNormalization" or node.attributes.get("training_mode", 0) or any(node.outputs[1:]):
        return None
    kind = work.graph.types[node.inputs[0]]
    if kind.dtype != np.float32 or len(kind.shape) not in (3, 4):
        return None
    channels, spatial = kind.shape[1], len(kind.shape) - 2
    line = _line(work, node, channels)
    if line is None:
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        factor, shift = (values.astype(kind.dtype) for values in line)
    inputs = (
        node.inputs[0],
        work.add_constant(f"{node.outputs[0]}.weight", factor.reshape(channels, *[1] * (spatial + 1))),
        work.add_constant(f"{node.outputs[0]}.bias", shift),
    )
    ones = [1] * spatial
    window = {"kernel_shape": ones, "strides": ones, "dilations": ones, "pads": [0] * 2 * spatial, "group": channels}
    return replace(node, op="Conv", inputs=inputs, outputs=node.outputs[:1], attributes=window)


def _line(work: Rewriter, node: Node, channels: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Return float64 factors and shifts `[channels]` that do what a BatchNormalization does; None if they arrive."""
    parameters = [work.constant(name) for name in node.inputs[1:5]]
    if any(value is None for value in parameters):
        return None
    scale, bias, mean, variance = (np.asarray(value, np.float64) for value in parameters)
    radicand = variance + node.attributes.get("epsilon", 1e-5)
    if radicand.shape != (channels,) or not (radicand > 0).all():
        return None
    factor = scale / np.sqrt(radicand)
    return factor, bias - mean * factor


def _fold(work: Rewriter, node: Node) -> Node | None:
    """Return the merged node, or None if `node` must stay."""
    if node.op != "BatchNormalization" or node.attributes.get("training_mode", 0):
        return None
    producer = work.only_producer(node.inputs[0])
    if producer is None or producer.op not in ("Conv", "ConvTranspose", "Gemm") or "activation" in producer.attributes:
        return None
    weight = work.constant(producer.inputs[1])
    bias = _bias(work, producer)
    line = _line(work, node, output_channels(producer, work.graph))
    if weight is None or bias is None or line is None:
        return None
    factor, shift = line
    attributes = dict(producer.attributes)
    if producer.op == "Gemm":
        attributes["beta"] = 1.0
    # Weights beyond float32 become infinite here, as the values would in the network as it was.
    with np.errstate(over="ignore", invalid="ignore"):
        new_weight = (weight * _along_outputs(factor, producer, weight)).astype(weight.dtype)
        new_bias = (bias * factor + shift).astype(weight.dtype)
    inputs = (
        producer.inputs[0],
        work.add_constant(f"{node.outputs[0]}.weight", new_weight),
        work.add_constant(f"{node.outputs[0]}.bias", new_bias),
    )
    return work.merge(producer, node, inputs, attributes)


def _bias(work: Rewriter, producer: Node) -> np.ndarray | None:
    """Return the producer's bias as float64 `[channels]`, Gemm's beta applied; None if it is no such constant."""
    channels = output_channels(producer, work.graph)
    name = producer.inputs[BIAS_INPUT] if len(producer.inputs) > BIAS_INPUT else ""
    if not name:
        return np.zeros(channels)
    bias = work.constant(name)
    if bias is None or bias.size not in (1, channels) or bias.shape[-1:] not in ((), (1,), (channels,)):
        return None
    return np.broadcast_to(bias.astype(np.float64).reshape(-1), (channels,)) * producer.attributes.get("beta", 1.0)


def _along_outputs(factor: np.ndarray, producer: Node, weight: np.ndarray) -> np.ndarray:
    """Return `[channels]` factors in a shape that multiplies the producer's weight output by output."""
    if producer.op == "Conv":
        return factor.reshape(-1, *[1] * (weight.ndim - 1))
    if producer.op == "Gemm":
        return factor[:, None] if producer.attributes.get("transB", 0) else factor
    # ConvTranspose: weight [in, out / group, ...]; the rows of group g make the outputs of group g.
    group = producer.attributes.get("group", 1)
    rows = np.repeat(factor.reshape(group, -1), weight.shape[0] // group, axis=0)
    return rows.reshape(*rows.shape, *[1] * (weight.ndim - 2))
