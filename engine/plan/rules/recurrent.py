"""LSTM and GRU: one instruction a direction, over the node's own sequence axis."""

from __future__ import annotations

from typing import Any

import numpy as np

from ....kernels import packing_recurrent
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
    directions = _check(node)
    batch_first = node.attribute("layout", 0) == 1
    x = node.view(0)
    if batch_first:
        x = x.swap(0, 1)
    time, batch, _ = x.shape
    weights, recurrence = Weights.of(node, builder, 1), Weights.of(node, builder, 2)
    bias = Weights.of(node, builder, 3) if node.has(3) else None
    hidden = recurrence.shape[2]
    y = builder.allocate((time, len(directions), batch, hidden))
    carried = ["hidden", "cell"] if node.op == "LSTM" else ["hidden"]
    last = {name: builder.allocate((len(directions), batch, hidden)) for name in carried}
    for index, reverse in enumerate(directions):
        one_bias = None if bias is None else bias[index]
        operands = _weights(node, builder, weights[index], recurrence[index], one_bias)
        for offset, name in enumerate(carried):
            operands[f"initial_{name}"] = _initial(node, 5 + offset, batch_first, index)
            operands[f"last_{name}"] = last[name][index]
        builder.emit(node.op.lower(), x=x, y=y[:, index], reverse=int(reverse), **operands)
    outputs = [y, *last.values()]
    if batch_first:
        return [y.transpose((2, 0, 1, 3)), *(view.swap(0, 1) for view in last.values())]
    return list(outputs)


def _initial(node: Lowering, position: int, batch_first: bool, direction: int) -> View | None:
    if not node.has(position):
        return None
    value = node.constant(position)
    if value is not None and not value.any():
        return None
    view = node.view(position)
    return (view.swap(0, 1) if batch_first else view)[direction]


def _weights(node: Lowering, builder: Builder, w: Weights, r: Weights, b: Weights | None) -> dict[str, Any]:
    gates, hidden = 4 if node.op == "LSTM" else 3, r.shape[1]
    b = Weights(np.zeros(2 * gates * hidden, np.float32)) if b is None else b
    operands: dict[str, Any] = {
        "input_weights": w.packed(builder, lambda numbers: packing_recurrent.gate_weights(numbers, gates)),
        "hidden_weights": r.packed(builder, lambda numbers: packing_recurrent.gate_weights(numbers, gates)),
        "bias": b.packed(builder, lambda numbers: packing_recurrent.gate_bias(numbers, gates, hidden)),
    }
    if node.op == "GRU":
        operands["linear_before_reset"] = node.attribute("linear_before_reset", 0)
        operands["candidate"] = ACTIVATIONS[_activations(node)[-1]]
    return operands


def _check(node: Lowering) -> list[bool]:
    """Refuse what the kernels do not compute, and say for each direction whether it runs backwards."""
    direction = node.attribute("direction", "forward")
    directions = {"forward": [False], "reverse": [True], "bidirectional": [False, True]}[direction]
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
    return directions


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
