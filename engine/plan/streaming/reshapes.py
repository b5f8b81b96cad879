"""Reshapes: the streaming axis stays as it is, or is joined with, or split into, whole groups."""

from __future__ import annotations

import math

import numpy as np

from ...errors import UnsupportedError
from ...graph import Node
from .call import Call
from .registry import Site, stream_rule
from .span import ALIGNED, Flow, Scaled


def _reshaped(site: Site) -> Flow:
    """The axis with what is inside of it: n steps of s numbers become n' steps of s' numbers."""
    dim, output_dim = site.dim(), site.output_dim()
    if dim is None or output_dim is None:
        raise site.refuse("it takes apart")
    graph = site.bindings.graph
    before, after = graph.types[site.node.inputs[0]].shape, graph.types[site.node.outputs[0]].shape
    if math.prod(before[:dim]) != math.prod(after[:output_dim]):
        raise site.refuse("it interleaves the steps of")
    inside = math.prod(before[dim + 1 :]), math.prod(after[output_dim + 1 :])
    if inside[0] == inside[1]:
        return ALIGNED
    common = math.gcd(*inside)
    return Scaled(inside[0] // common, inside[1] // common)


@stream_rule("Reshape", "Flatten", "Squeeze", "Unsqueeze", flow=_reshaped)
def cut_reshape(call: Call) -> None:
    """Reshape to the shape that the output has in this step."""
    given, made = call.step.graph.types[call.inputs[0]].shape, call.output_shape()
    if math.prod(given) != math.prod(made):
        raise UnsupportedError(f"{call.node}: {list(given)} is given, of which {list(made)} can not be made")
    shape = call.step.constant(f"{call.node.name}/shape", np.array(made, np.int64))
    node = Node("Reshape", call.node.name, (call.inputs[0], shape), call.node.outputs, {"allowzero": 0}, 14)
    call.step.add_node(node)
