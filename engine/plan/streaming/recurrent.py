"""Recurrent layers: their state is handed from step to step."""

from __future__ import annotations

from dataclasses import replace

from ...graph import Node
from .call import Call, Carried
from .registry import Site, stream_rule
from .span import ALIGNED, Flow

STATES = {"LSTM": ("h", "c"), "GRU": ("h",), "RNN": ("h",)}
_LENGTHS_INPUT = 4
_FIRST_STATE_INPUT = 5
_FIRST_STATE_OUTPUT = 1


def _sequence_dim(node: Node) -> int:
    return 1 if node.attributes.get("layout") else 0


def _recurrent(site: Site) -> Flow:
    node = site.node
    if site.dim() != _sequence_dim(node):
        return ALIGNED
    direction = node.attributes.get("direction", "forward")
    if direction != "forward":
        raise site.refuse(f"direction is {direction!r}: the first output needs the last element of")
    if len(node.inputs) > _LENGTHS_INPUT and node.inputs[_LENGTHS_INPUT]:
        raise site.refuse("its sequence_lens says where the signal ends along")
    if any(name in site.bindings.graph.outputs for name in node.outputs[_FIRST_STATE_OUTPUT:] if name):
        raise site.refuse("its last state is an output, and is known at the end of")
    return ALIGNED


@stream_rule(*STATES, flow=_recurrent, carries=True)
def cut_recurrent(call: Call) -> None:
    """The layer goes on from the state of the step before; at first from its own initial state."""
    node = call.node
    sequence = _sequence_dim(node)
    axis = next((move.axis for move in call.moves if move.dim == sequence), None)
    if axis is None:
        call.again()
        return
    names = STATES[node.op]
    inputs = list(call.inputs) + [""] * (_FIRST_STATE_INPUT + len(names) - len(node.inputs))
    outputs = list(node.outputs) + [""] * (_FIRST_STATE_OUTPUT + len(names) - len(node.outputs))
    data, weights = (call.step.graph.types[name].shape for name in (call.inputs[0], call.inputs[2]))
    batch_dim = 1 - sequence
    shape = (data[0], 1, weights[2]) if sequence else (1, data[1], weights[2])
    for index, name in enumerate(names):
        position = _FIRST_STATE_INPUT + index
        after = outputs[_FIRST_STATE_OUTPUT + index] or f"{node.name}/{name}_next"
        outputs[_FIRST_STATE_OUTPUT + index] = after
        state = Carried(f"{node.name}/{name}", shape, axis, after, node.outputs[0], batch_dim)
        inputs[position] = call.step.carry(state, inputs[position])
    call.step.add_node(replace(node, inputs=tuple(inputs), outputs=tuple(outputs)))
