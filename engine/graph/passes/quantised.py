"""Quantised values: limits that their integers have anyway, and ways to integers and straight back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..ir import Graph, Node
from ..prune import prune
from .activations import ACTIVATIONS
from .rewriter import Rewriter

RESTORED = "restored"
"""Attribute of a QuantizeLinear that goes straight back to real numbers: the name of the integer type between."""

_WHOLE = tuple(np.dtype(name) for name in ("int8", "uint8", "int16", "uint16"))


def drop_limits(graph: Graph) -> Graph:
    """Return the graph without each Relu or Clip that only a QuantizeLinear reads whose integers end there as well.

    Rounding keeps order, so what lies beyond a limit becomes the integer of the limit itself if that is the type's
    last one. Quantised networks have their ranges chosen so, behind Relu and Relu6 (Jacob et al., 2018).
    """
    work = Rewriter(graph)
    return work.finish([_unlimited(work, node) or node for node in graph.nodes])


def _unlimited(work: Rewriter, node: Node) -> Node | None:
    """Return the QuantizeLinear with its limit dropped, or None if `node` must stay."""
    if node.op != "QuantizeLinear":
        return None
    limit = work.only_producer(node.inputs[0])
    if limit is None or limit.op not in ("Relu", "Clip"):
        return None
    bounds = (0.0, np.inf) if limit.op == "Relu" else ACTIVATIONS[limit.op](work, limit)
    scale = work.constant(node.inputs[1])
    dtype = work.graph.types[node.outputs[0]].dtype
    if bounds is None or scale is None or scale.dtype != np.float32 or not (scale > 0).all() or dtype.kind not in "iu":
        return None
    zero_point = np.zeros((), dtype)
    if len(node.inputs) > 2 and node.inputs[2]:
        if node.inputs[2] not in work.graph.constants:
            return None
        zero_point = work.graph.constants[node.inputs[2]]
    ends = np.iinfo(dtype)
    with np.errstate(over="ignore", invalid="ignore"):
        low, high = (np.rint(np.float32(bound) / scale) + zero_point.astype(np.float64) for bound in bounds)
    if not ((low <= ends.min).all() and (high >= ends.max).all()):
        return None
    return work.absorb(limit, node, (limit.inputs[0], *node.inputs[1:]), node.attributes)


def join_quantisation(graph: Graph) -> Graph:
    """Return the graph with QuantizeLinear and the DequantizeLinear that alone reads it as one step, if they agree.

    It is a QuantizeLinear that makes float32 again, and has the attribute RESTORED.
    """
    consumers, kept = graph.consumers(), graph.kept_names()
    joined: dict[str, Node] = {}
    for node in graph.nodes:
        readers = consumers.get(node.outputs[0], ())
        if node.op != "QuantizeLinear" or node.outputs[0] in kept or len(readers) != 1:
            continue
        back, whole = readers[0], graph.types[node.outputs[0]].dtype
        if back.op == "DequantizeLinear" and whole in _WHOLE and _agree(graph, node, back):
            joined[back.outputs[0]] = replace(
                node, outputs=back.outputs, attributes={**node.attributes, RESTORED: whole.name}
            )
    return prune(replace(graph, nodes=[joined.get(node.outputs[0], node) for node in graph.nodes]))


def _agree(graph: Graph, there: Node, back: Node) -> bool:
    """Whether two nodes have the same scale and zero point, of float32 and along the same axis."""
    made = {graph.types[name].dtype for name in (there.inputs[0], there.inputs[1], back.outputs[0])}
    rank = len(graph.types[there.inputs[0]].shape)
    axes = {node.attributes.get("axis", 1) % max(rank, 1) for node in (there, back)}
    plain = not (there.attributes.get("block_size") or back.attributes.get("block_size"))
    one = graph.types[there.inputs[1]].size == 1
    if made != {np.dtype(np.float32)} or not plain or there.attributes.get("precision") or not (one or len(axes) == 1):
        return False
    return _parameters(graph, there) == _parameters(graph, back)


def _parameters(graph: Graph, node: Node) -> list[object]:
    """What tells scales and zero points apart: constants by their numbers, others by name."""
    names = [*node.inputs[1:], ""][:2]
    arrays = [graph.constants.get(name) for name in names]
    return [
        name if array is None else (array.shape, array.dtype.str, array.tobytes())
        for name, array in zip(names, arrays, strict=True)
    ]
