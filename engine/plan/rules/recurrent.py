"""LSTM and GRU: one instruction a direction, over the node's own sequence axis."""

from __future__ import annotations

from typing import Any

import numpy as np

from ....kernels import packing_recurrent
from ....kernels.schemas.recurrent import SMALL_HIDDEN, Direction
from ..builder import Builder
from ..view import View
from .arriving import Weights
from .registry import ACTIVATIONS, Lowering, rule

_ACTIVATIONS = {
    "LSTM": (["Sigmoid", "Tanh", "Tanh"],),
    "GRU": (["Sigmoid", "Tanh"], ["Sigmoid", "Relu"]),
}
"""What the kernels compute, the default first."""


@rule("LSTM", "GRU")
def recurrent(node: Lowering, builder: Builder) -> list[View | None]:
    """Inputs X, W, R, B, sequence_lens, initial_h (and initial_c, P of LSTM); outputs Y, Y_h (and Y_c of LSTM)."""
    direction = _check(node)
    batch_first = node.attribute("layout", 0) == 1
    x = node.view(0).swap(0, 1) if batch_first else node.view(0)
    time, batch, _ = x.shape
    hidden = node.shape(2)[2]
    count = len(direction.reversed)
    y = builder.allocate((time, count, batch, hidden))
    carried = ["hidden", "cell"] if node.op == "LSTM" else ["hidden"]
    states: dict[str, View | None] = {}
    for offset, name in enumerate(carried):
        states[f"initial_{name}"] = _initial(node, 5 + offset, batch_first)
        states[f"last_{name}"] = builder.allocate((count, batch, hidden)) if node.wants(1 + offset) else None
    if node.op == "GRU" and count * packing_recurrent.small_block(hidden) <= SMALL_HIDDEN and _is_constant(node):
        _emit_small(node, builder, x, y, states, direction)
    else:
        _emit_directions(node, builder, x, y, states, direction)
    last = [states[f"last_{name}"] for name in carried]
    if batch_first:
        return [y.transpose((2, 0, 1, 3)), *(view and view.swap(0, 1) for view in last)]
    return [y, *last]


def _is_constant(node: Lowering) -> bool:
    """Whether W, R and B, if it is there, are constants."""
    return all(node.constant(index) is not None or not node.has(index) for index in (1, 2, 3))


def _initial(node: Lowering, position: int, batch_first: bool) -> View | None:
    """An initial state [directions, batch, hidden]; None if it is zero."""
    value = node.constant(position)
    if not node.has(position) or (value is not None and not value.any()):
        return None
    return node.view(position).swap(0, 1) if batch_first else node.view(position)


def _emit_directions(
    node: Lowering, builder: Builder, x: View, y: View, states: dict[str, View | None], direction: Direction
) -> None:
    """One instruction a direction."""
    weights, recurrence = Weights.of(node, builder, 1), Weights.of(node, builder, 2)
    bias = Weights.of(node, builder, 3) if node.has(3) else None
    for index, reverse in enumerate(direction.reversed):
        operands = _weights(node, builder, weights[index], recurrence[index], None if bias is None else bias[index])
        operands |= {name: view and view[index] for name, view in states.items()}
        builder.emit(node.op.lower(), x=x, y=y[:, index], reverse=int(reverse), **operands)


def _emit_small(
    node: Lowering, builder: Builder, x: View, y: View, states: dict[str, View | None], direction: Direction
) -> None:
    """One instruction for both directions; `bundle` may join several such layers."""
    weights, recurrence, bias = node.needs_constant(1, "W"), node.needs_constant(2, "R"), node.constant(3)
    hidden = recurrence.shape[2]
    block = packing_recurrent.small_block(hidden)
    biases = [None] * len(weights) if bias is None else list(bias)
    builder.emit(
        "gru_small",
        x=x[None],
        input_weights=builder.constant(packing_recurrent.small_gate_weights(weights, hidden, weights.shape[2])),
        hidden_weights=builder.constant(packing_recurrent.small_gate_weights(recurrence, hidden, block)),
        bias=builder.constant(packing_recurrent.small_gate_bias(biases, hidden)),
        y=y.swap(0, 1)[None],
        direction=direction,
        **_variant(node),
        **{name: view and view[None] for name, view in states.items()},
    )


def _variant(node: Lowering) -> dict[str, Any]:
    """Operands that say which GRU it is."""
    return {
        "linear_before_reset": node.attribute("linear_before_reset", 0),
        "candidate": ACTIVATIONS[_activations(node)[-1]],
    }


def _weights(node: Lowering, builder: Builder, w: Weights, r: Weights, b: Weights | None) -> dict[str, Any]:
    gates, hidden = 4 if node.op == "LSTM" else 3, r.shape[1]
    b = Weights(np.zeros(2 * gates * hidden, np.float32)) if b is None else b
    operands: dict[str, Any] = {
        "input_weights": w.packed(builder, lambda numbers: packing_recurrent.gate_weights(numbers, gates)),
        "hidden_weights": r.packed(builder, lambda numbers: packing_recurrent.gate_weights(numbers, gates)),
        "bias": b.packed(builder, lambda numbers: packing_recurrent.gate_bias(numbers, gates, hidden)),
    }
    return operands | (_variant(node) if node.op == "GRU" else {})


def _check(node: Lowering) -> Direction:
    """Refuse what the kernels do not compute, and say which way the layer runs."""
    direction = Direction[node.attribute("direction", "forward").upper()]
    _activations(node)
    if node.attribute("clip"):
        raise node.refuse(f"attribute clip is {node.attribute('clip')}", "export without clip")
    if node.attribute("input_forget", 0):
        raise node.refuse("attribute input_forget is 1", "use 0")
    if node.has(7):
        raise node.refuse("it has peepholes (input P)", "export without them")
    if node.has(4):
        lengths = node.needs_constant(4, "sequence_lens")
        time = node.shape(0)[1 if node.attribute("layout", 0) else 0]
        if (lengths != time).any():
            raise node.refuse(f"sequence_lens is {lengths.tolist()}", f"leave it out or use {time}")
    return direction


def _activations(node: Lowering) -> list[str]:
    """The activations of one direction; both must have the same, and the kernels must know them."""
    choices = _ACTIVATIONS[node.op]
    given = [
        name.capitalize() for name in node.attribute("activations") or choices[0]
    ]  # old exporters write them small
    one = given[: len(choices[0])]
    if one not in choices or given not in (one, one * 2):
        words = " or ".join(map(str, choices))
        raise node.refuse(f"attribute activations is {given}", f"use {words}, alike in both directions")
    return one
