"""Lifts hidden recurrent state out of an offline network, so that it can run a few steps at a time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..errors import UnsupportedError
from ..graph import Graph, Node, State, TensorType
from .stepwise import check_stepwise

_STATES = {"LSTM": ("h", "c"), "GRU": ("h",), "RNN": ("h",)}
_LENGTHS_INPUT = 4
_FIRST_STATE_INPUT = 5
_FIRST_STATE_OUTPUT = 1


def lift_state(step: Graph, longer: Graph) -> Graph:
    """Turn the zero initial states of recurrent nodes that run along the stream into state carried between steps.

    Which nodes those are is seen from two bindings of one network that differ in the streaming axis alone: the
    sequence length of such a node differs too. A recurrent node over another axis (frequency, say) is left as it is.

    Args:
        step: the network bound to the steps of one chunk.
        longer: the same network bound to more steps.

    Returns:
        A copy of `step` whose `states` name one new input and one new output for each lifted tensor.

    Raises:
        UnsupportedError: a recurrent node runs backwards along the stream, or starts from a state that is not zero; or
            another node works across steps.
    """
    twins = {node.name: node for node in longer.nodes}
    lifted = replace(
        step,
        inputs=dict(step.inputs),
        outputs=list(step.outputs),
        nodes=[],
        types=dict(step.types),
        states=list(step.states),
    )
    for node in step.nodes:
        twin = twins.get(node.name)
        if node.op in _STATES and twin is not None and _length(node, step) != _length(twin, longer):
            node = _lift(node, step, lifted)
        else:
            check_stepwise(node, step, longer)
        lifted.nodes.append(node)
    return lifted


def _length(node: Node, graph: Graph) -> int:
    return graph.types[node.inputs[0]].shape[1 if node.attributes.get("layout") else 0]


def _lift(node: Node, graph: Graph, lifted: Graph) -> Node:
    if node.attributes.get("direction", "forward") != "forward":
        raise UnsupportedError(
            f"{node}: direction is {node.attributes['direction']!r} along the streaming axis, so its output needs "
            "the end of the signal first; run it whole with Model.run, or on windows"
        )
    if len(node.inputs) > _LENGTHS_INPUT and node.inputs[_LENGTHS_INPUT]:
        raise UnsupportedError(
            f"{node}: it has sequence_lens along the streaming axis, and a stream has no length; export without it"
        )
    names = _STATES[node.op]
    inputs = list(node.inputs) + [""] * (_FIRST_STATE_INPUT + len(names) - len(node.inputs))
    outputs = list(node.outputs) + [""] * (_FIRST_STATE_OUTPUT + len(names) - len(node.outputs))
    batch = graph.types[node.inputs[0]].shape[0 if node.attributes.get("layout") else 1]
    hidden = graph.constants[node.inputs[2]].shape[2]
    shape = (batch, 1, hidden) if node.attributes.get("layout") else (1, batch, hidden)
    for index, name in enumerate(names):
        position = _FIRST_STATE_INPUT + index
        initial = graph.constants.get(inputs[position])
        if inputs[position] and (initial is None or initial.any()):
            raise UnsupportedError(
                f"{node}: its initial state {inputs[position]!r} is not zero; name the state pair in the model's card"
            )
        before, after = f"{node.name}/{name}", outputs[_FIRST_STATE_OUTPUT + index] or f"{node.name}/{name}_next"
        inputs[position], outputs[_FIRST_STATE_OUTPUT + index] = before, after
        tensor = TensorType(shape, np.dtype(np.float32))
        lifted.inputs[before] = lifted.types[before] = lifted.types[after] = tensor
        if after not in lifted.outputs:
            lifted.outputs.append(after)
        lifted.states.append(State(before, after, shape))
    return replace(node, inputs=tuple(inputs), outputs=tuple(outputs))
