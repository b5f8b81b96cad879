"""Scans along a streaming axis: each step of the stream runs the body on its elements, from the last one's states."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ...graph import Node, Scan
from .call import Call, Carried
from .recurrent import refuse_last_states
from .registry import Site, stream_rule
from .span import ALIGNED, Flow


def _scanned(site: Site) -> Flow:
    node = site.node
    scan: Scan = node.attributes["scan"]
    dims = [site.dim(position) for position in range(len(node.inputs))]
    over = dims[scan.states : scan.captures]
    if any(dim != walk.axis for dim, walk in zip(over, scan.inputs, strict=True)):
        raise site.refuse("its steps go along another axis, and each takes the whole of")
    for name, dim in zip(node.inputs[: scan.states], dims, strict=False):
        if dim is not None:
            raise site.refuse(f"its state {name!r} is as long as")
    for name, walk in zip(node.inputs[scan.states :], scan.inputs, strict=False):
        if walk.backwards:
            raise site.refuse(f"it goes over {name!r} backwards: its first step needs the last element of")
    for name, dim in zip(node.inputs[scan.captures :], dims[scan.captures :], strict=True):
        if dim is not None:
            raise site.refuse(f"its body reads the whole of {name!r} at each step, which is as long as")
    for name, walk in zip(node.outputs[scan.states :], scan.outputs, strict=False):
        if walk.backwards and site.is_read(name):
            raise site.refuse(f"it puts {name!r} together backwards: the first element is made of the last one of")
    if not _is_same(site, scan):
        raise site.refuse("a step is not the same for every length of")
    refuse_last_states(site, node.outputs[: scan.states])
    return ALIGNED


def _is_same(site: Site, scan: Scan) -> bool:
    """Whether steps of the longer signal are like those of the shorter one."""
    graph, grown = site.bindings.graph, site.bindings.grown[site.axis]
    twin = next(node for node in grown.nodes if node.name == site.node.name)
    other: Scan = twin.attributes["scan"]
    captured = zip(site.node.inputs[scan.captures :], twin.inputs[other.captures :], strict=False)
    return (
        list(map(_written, scan.body)) == list(map(_written, other.body))
        and scan.body.types == other.body.types
        and all(_same_constant(graph.constants.get(a), grown.constants.get(b)) for a, b in captured)
    )


def _same_constant(one: np.ndarray | None, other: np.ndarray | None) -> bool:
    return one is other if one is None or other is None else np.array_equal(one, other)


def _written(node: Node) -> tuple:
    return node.op, node.inputs, node.outputs


@stream_rule("Loop", "Scan", flow=_scanned, carries=True)
def cut_scan(call: Call) -> None:
    """The same body, once for each element of the step; it goes on from the states of the step before."""
    node, step = call.node, call.step
    scan: Scan = node.attributes["scan"]
    (axis,) = {move.axis for move in call.moves}
    inputs, outputs = list(call.inputs), list(node.outputs)
    made = next(filter(None, outputs[scan.states :]))
    for index in range(scan.states):
        label = f"{node.name}/state{index}"
        outputs[index] = f"{label}_next"
        tensor = step.reference.types[node.inputs[index]]
        state = Carried(label, tensor, axis, outputs[index], made, 0)
        inputs[index] = step.carry(state, inputs[index])
    step.add_node(replace(node, inputs=tuple(inputs), outputs=tuple(outputs)))
