"""Add of a per-channel constant behind a convolution or matrix product: made its bias."""

from __future__ import annotations

import numpy as np

from ..ir import Graph, Node
from .rewriter import BIAS_INPUT, CONVOLUTIONS, Rewriter, has_matrix, output_channels, per_channel


def fold_biases(graph: Graph) -> Graph:
    """Return the graph with Add (and Sub) of a constant `[channels]` folded into the bias of the node before.

    Producers: Conv, ConvTranspose, Gemm, and MatMul by a constant matrix, which gets the bias `[columns]` as a third
    input. A product's channels are its last axis.
    """
    work = Rewriter(graph)
    return work.finish([_fold(work, node) or node for node in graph.nodes])


def _fold(work: Rewriter, node: Node) -> Node | None:
    """Return the merged node, or None if `node` must stay."""
    if node.op not in ("Add", "Sub") or len(set(node.inputs)) != 2:
        return None
    for index, name in enumerate(node.inputs):
        if node.op == "Sub" and index == 1:
            continue
        producer = work.only_producer(name)
        constant = work.constant(node.inputs[1 - index])
        if producer is None or constant is None or not _takes_bias(work.graph, producer):
            continue
        addend = per_channel(constant, producer, work.graph)
        bias = None if addend is None else _total(work, producer, -addend if node.op == "Sub" else addend)
        if bias is None or work.graph.types[name] != work.graph.types[node.outputs[0]]:
            continue
        bias_name = work.add_constant(f"{node.outputs[0]}.bias", bias)
        attributes = dict(producer.attributes)
        if producer.op == "Gemm":
            attributes["beta"] = 1.0
        return work.merge(producer, node, (*producer.inputs[:BIAS_INPUT], bias_name), attributes)
    return None


def _takes_bias(graph: Graph, node: Node) -> bool:
    if "activation" in node.attributes:
        return False
    return node.op in CONVOLUTIONS or node.op == "Gemm" or (node.op == "MatMul" and has_matrix(node, graph))


def _total(work: Rewriter, producer: Node, addend: np.ndarray) -> np.ndarray | None:
    """Return the producer's bias plus `addend`, `[channels]`; None if it has one that is no such constant."""
    name = producer.inputs[BIAS_INPUT] if len(producer.inputs) > BIAS_INPUT else ""
    if not name:
        return addend
    bias = work.constant(name)
    channels = output_channels(producer, work.graph)
    # Gemm's may be [rows, columns]; a column of one value a row is no bias.
    if bias is None or bias.size not in (1, channels) or bias.shape[-1:] not in ((), (1,), (channels,)):
        return None
    beta = producer.attributes.get("beta", 1.0)
    own = np.broadcast_to(bias.astype(np.float64).reshape(-1), (channels,))
    with np.errstate(over="ignore", invalid="ignore"):
        return (own * beta + addend).astype(addend.dtype)
