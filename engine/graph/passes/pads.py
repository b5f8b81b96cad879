"""Pad with zeros in front of a convolution: folded into the convolution's own pads."""

from __future__ import annotations

import numpy as np

from ..ir import Graph, Node
from .rewriter import Rewriter


def fold_pads(graph: Graph) -> Graph:
    """Return the graph with a Pad folded into the Conv that alone reads it.

    Legal for constant mode with zeros, spatial axes only, and no negative pad. Pools keep theirs: an average pool may
    not count its own pads, and a max pool pads with minus infinity. Needs `explicit_windows`.
    """
    work = Rewriter(graph)
    return work.finish([(node.op == "Conv" and _fold(work, node)) or node for node in graph.nodes])


def _fold(work: Rewriter, conv: Node) -> Node | None:
    """Return the Conv that pads by itself, or None if it must stay."""
    pad = work.only_producer(conv.inputs[0])
    if pad is None or pad.op != "Pad" or "pads" not in conv.attributes:
        return None
    rank = len(work.graph.types[pad.inputs[0]].shape)
    pads = zero_pads(work.graph, pad, rank)
    if pads is None or min(pads) < 0 or any(pads[axis] or pads[rank + axis] for axis in (0, 1)):
        return None
    extra = pads[2:rank] + pads[rank + 2 :]
    total = [own + more for own, more in zip(conv.attributes["pads"], extra, strict=True)]
    inputs = (pad.inputs[0], *conv.inputs[1:])
    return work.absorb(pad, conv, inputs, {**conv.attributes, "pads": total})


def zero_pads(graph: Graph, pad: Node, rank: int) -> list[int] | None:
    """Return a Pad's begins then ends for all `rank` axes; None unless they are constant and the filling is zero."""
    if pad.attributes.get("mode", "constant") != "constant":
        return None
    if pad.opset < 11:
        return list(pad.attributes["pads"]) if pad.attributes.get("value", 0.0) == 0.0 else None
    inputs = (*pad.inputs, "", "", "")[:4]
    amounts = graph.constants.get(inputs[1])
    if amounts is None or (inputs[2] and not _is_zero(graph.constants.get(inputs[2]))):
        return None
    if not inputs[3]:
        return [int(amount) for amount in amounts]
    axes = graph.constants.get(inputs[3])
    if axes is None:
        return None
    pads = [0] * (2 * rank)
    for index, axis in enumerate(axes):
        pads[int(axis) % rank] = int(amounts[index])
        pads[rank + int(axis) % rank] = int(amounts[len(axes) + index])
    return pads


def _is_zero(value: np.ndarray | None) -> bool:
    return value is not None and not value.any()
