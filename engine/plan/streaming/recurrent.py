"""Recurrent layers: their state is handed from step to step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ...graph import Node, TensorType
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
    refuse_last_states(site, node.outputs[_FIRST_STATE_OUTPUT:])
    return ALIGNED


def refuse_last_states(site: Site, names: Sequence[str]) -> None:
    """Raise UnsupportedError if the last value of a state is an output of the network, or is read."""
    for name in filter(site.is_read, names):
        is_output = name in site.bindings.graph.outputs
        raise site.refuse(
            f"its last state {name!r} is {'an output' if is_output else 'read'}, and is known at the end of"
        )


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
    data, weights = (call.step.graph.types[name] for name in (call.inputs[0], call.inputs[2]))
    batch_dim, hidden = 1 - sequence, weights.shape[2]
    shape = (data.shape[0], 1, hidden) if sequence else (1, data.shape[1], hidden)
    tensor = TensorType(shape, data.dtype)
    for index, name in enumerate(names):
        position = _FIRST_STATE_INPUT + index
        after = outputs[_FIRST_STATE_OUTPUT + index] or f"{node.name}/{name}_next"
        outputs[_FIRST_STATE_OUTPUT + index] = after
        state = Carried(f"{node.name}/{name}", tensor, axis, after, node.outputs[0], batch_dim)
        inputs[position] = call.step.carry(state, inputs[position])
    call.step.add_node(replace(node, inputs=tuple(inputs), outputs=tuple(outputs)))
