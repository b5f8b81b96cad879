"""Recurrent layers: their state is handed from step to step."""

from __future__ import annotations

from dataclasses import replace

from ...graph import Node
from .registry import Site, stream_rule
from .span import ALIGNED, Flow
from .step import Call

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
    if not any(move.dim == _sequence_dim(node) for move in call.moves):
        call.again()
        return
    names = STATES[node.op]
    inputs = list(call.inputs) + [""] * (_FIRST_STATE_INPUT + len(names) - len(node.inputs))
    outputs = list(node.outputs) + [""] * (_FIRST_STATE_OUTPUT + len(names) - len(node.outputs))
    data, weights = (call.step.graph.types[name].shape for name in (call.inputs[0], call.inputs[2]))
    batch, hidden = data[0 if _sequence_dim(node) else 1], weights[2]
    shape = (batch, 1, hidden) if _sequence_dim(node) else (1, batch, hidden)
    for index, name in enumerate(names):
        position = _FIRST_STATE_INPUT + index
        after = outputs[_FIRST_STATE_OUTPUT + index] or f"{node.name}/{name}_next"
        outputs[_FIRST_STATE_OUTPUT + index] = after
        inputs[position] = call.step.carry(node, name, shape, inputs[position], after)
    call.step.add_node(replace(node, inputs=tuple(inputs), outputs=tuple(outputs)))
