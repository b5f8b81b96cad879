"""RNN, GRU and LSTM over the node's own sequence axis: small GRUs whole, all else one instruction a direction."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ....kernels import packing_recurrent
from ....kernels.opcodes import Activation
from ....kernels.schemas.recurrent import SMALL_HIDDEN, Direction
from ....kernels.schemas.recurrent_general import MOST_PRODUCTS, Cell
from ...graph.contrib import CONTRIB_DOMAIN
from ..builder import Builder
from ..view import View
from .arriving import Weights
from .gate_functions import DEFAULTS, RELU, SIGMOID, TANH, GateFunction, gate_functions
from .recurrent_weights import B, R, W, integer_weights, real_weights
from .registry import Lowering, rule

_LENGTHS, _INITIAL_HIDDEN, _PEEPHOLES = 4, 5, 7
"""Positions of the inputs behind W, R and B."""

_CANDIDATES: dict[tuple[GateFunction, ...], Activation] = {
    (SIGMOID, TANH): Activation.TANH,
    (SIGMOID, RELU): Activation.RELU,
}
"""Functions of the GRUs that `gru` and `gru_small` compute."""


@dataclass(frozen=True)
class _Layer:
    """A recurrent node with its operands as views; time is outermost whatever the node's layout."""

    node: Lowering
    cell: Cell
    direction: Direction
    functions: list[tuple[GateFunction, ...]]
    """By direction."""
    x: View
    """[time, batch, input]"""
    y: View
    """[time, directions, batch, hidden]"""
    states: dict[str, View | None]
    """initial_hidden, last_hidden, initial_cell, last_cell: [directions, batch, hidden]."""
    lengths: View | None
    """[batch] int64: the steps of each row; None: all."""

    @property
    def hidden(self) -> int:
        """Size of the hidden state."""
        return self.y.shape[3]

    @property
    def quantised(self) -> bool:
        """Whether W and R are integers."""
        return self.node.op == "DynamicQuantizeLSTM"

    @property
    def is_plain(self) -> bool:
        """Whether nothing is asked for but activations, initial states and real weights."""
        given = (self.node.attribute("clip"), self.node.attribute("input_forget", 0), self.node.has(_PEEPHOLES))
        return self.cell is not Cell.RNN and self.lengths is None and not self.quantised and not any(given)

    @property
    def gru_candidate(self) -> Activation | None:
        """The candidate of a plain GRU that is alike in both directions; None for all else."""
        if self.cell is not Cell.GRU or not self.is_plain or len(set(self.functions)) != 1:
            return None
        return _CANDIDATES.get(self.functions[0])

    @property
    def fits_small(self) -> bool:
        """Whether all directions fit side by side into the vector of `gru_small`."""
        constant = all(self.node.constant(i) is not None or not self.node.has(i) for i in (W, R, B))
        block = packing_recurrent.small_block(self.hidden)
        return constant and len(self.functions) * block <= SMALL_HIDDEN


@rule("RNN", "GRU", "LSTM")
def recurrent(node: Lowering, builder: Builder) -> list[View | None]:
    """Inputs X, W, R, B, sequence_lens, initial_h (and initial_c, P of LSTM); outputs Y, Y_h (and Y_c of LSTM)."""
    return _lower(node, builder, Cell[node.op], node.shape(R)[2])


@rule("DynamicQuantizeLSTM", domain=CONTRIB_DOMAIN)
def dynamic_quantize_lstm(node: Lowering, builder: Builder) -> list[View | None]:
    """Inputs of LSTM, W and R integers [directions, inner, columns], then their scales and zero points; its outputs.

    As onnxruntime 1.31 was found to do it: X is quantised in one, like DynamicQuantizeLinear, over all rows and as many
    steps as the longest row has; h at each step, over all rows that had not ended before the last step; each direction
    by itself. That is with one thread and with Y wanted: several threads share the rows out, and each takes a range of
    h over its own; without Y, rows that have ended go on to count.

    A range over the whole of X is not causal: the first step depends on the last one. A network that gets one step a
    call has a grid for each step, and its results are not those of the same network on the whole signal. So the first
    can be streamed, with its state as inputs and outputs; the second is not cut into steps (`plan.streaming`).
    """
    inner = max(node.shape(W)[1], node.shape(R)[1])
    if inner > MOST_PRODUCTS:
        raise node.refuse(f"sums of {inner} products do not fit 32 bits", f"up to {MOST_PRODUCTS} would work")
    return _lower(node, builder, Cell.LSTM, node.shape(R)[1])


def _lower(node: Lowering, builder: Builder, cell: Cell, hidden: int) -> list[View | None]:
    direction = Direction[node.attribute("direction", "forward").upper()]
    count = len(direction.reversed)
    batch_first = node.attribute("layout", 0) == 1
    x = node.view(0).swap(0, 1) if batch_first else node.view(0)
    time, batch, _ = x.shape
    carried = ["hidden", "cell"] if cell is Cell.LSTM else ["hidden"]
    states: dict[str, View | None] = {}
    for offset, name in enumerate(carried):
        states[f"initial_{name}"] = _initial(node, _INITIAL_HIDDEN + offset, batch_first)
        states[f"last_{name}"] = builder.allocate((count, batch, hidden)) if node.wants(1 + offset) else None
    layer = _Layer(
        node,
        cell,
        direction,
        gate_functions(node, cell, count),
        x,
        builder.allocate((time, count, batch, hidden)),
        states,
        _lengths(node, builder, time),
    )
    if layer.gru_candidate is not None and layer.fits_small:
        _emit_small(layer, builder)
    else:
        _emit_directions(layer, builder)
    last = [states[f"last_{name}"] for name in carried]
    if batch_first:
        return [layer.y.transpose((2, 0, 1, 3)), *(view and view.swap(0, 1) for view in last)]
    return [layer.y, *last]


def _initial(node: Lowering, position: int, batch_first: bool) -> View | None:
    """An initial state [directions, batch, hidden]; None if it is zero."""
    value = node.constant(position)
    if not node.has(position) or (value is not None and not value.any()):
        return None
    return node.view(position).swap(0, 1) if batch_first else node.view(position)


def _lengths(node: Lowering, builder: Builder, time: int) -> View | None:
    value = node.constant(_LENGTHS)
    if not node.has(_LENGTHS) or (value is not None and (value == time).all()):
        return None
    return node.operand(_LENGTHS) if value is None else builder.constant(value.astype(np.int64))


def _emit_small(layer: _Layer, builder: Builder) -> None:
    """One instruction for both directions; `bundle` may join several such layers."""
    node, hidden = layer.node, layer.hidden
    weights, recurrence = node.needs_constant(W, "W"), node.needs_constant(R, "R")
    biases = node.constant(B)
    packed = {
        "input_weights": packing_recurrent.small_gate_weights(list(weights), hidden, weights.shape[2]),
        "hidden_weights": packing_recurrent.small_gate_weights(
            list(recurrence), hidden, packing_recurrent.small_block(hidden)
        ),
        "bias": packing_recurrent.small_gate_bias([None] * len(weights) if biases is None else list(biases), hidden),
    }
    builder.emit(
        "gru_small",
        x=layer.x[None],
        y=layer.y.swap(0, 1)[None],
        direction=layer.direction,
        linear_before_reset=node.attribute("linear_before_reset", 0),
        candidate=layer.gru_candidate,
        **{name: builder.constant(array) for name, array in packed.items()},
        **{name: view and view[None] for name, view in layer.states.items()},
    )


def _emit_directions(layer: _Layer, builder: Builder) -> None:
    for index, reverse in enumerate(layer.direction.reversed):
        functions = layer.functions[index]
        operands: dict[str, Any] = {"x": layer.x, "y": layer.y[:, index], "reverse": int(reverse)}
        operands |= {name: view and view[index] for name, view in layer.states.items()}
        if layer.is_plain and layer.cell is Cell.LSTM and functions == DEFAULTS[Cell.LSTM]:
            builder.emit("lstm", **operands, **real_weights(layer.node, builder, index, packing_recurrent.LSTM_GATES))
        elif layer.is_plain and functions in _CANDIDATES:
            operands["linear_before_reset"] = layer.node.attribute("linear_before_reset", 0)
            operands["candidate"] = _CANDIDATES[functions]
            builder.emit("gru", **operands, **real_weights(layer.node, builder, index, packing_recurrent.GRU_GATES))
        else:
            _emit_general(layer, builder, index, operands)


def _emit_general(layer: _Layer, builder: Builder, index: int, operands: dict[str, Any]) -> None:
    """RNN, layers of integer weights, and what the kernels of GRU and LSTM do not compute."""
    node = layer.node
    # A function that the cell has not is never called.
    functions = (*layer.functions[index], TANH, TANH)[:3]
    peepholes = Weights.of(node, builder, _PEEPHOLES)[index] if node.has(_PEEPHOLES) else None
    for name, function in zip("fgh", functions, strict=True):
        operands |= {name: function.kind, f"{name}_alpha": function.alpha, f"{name}_beta": function.beta}
    weights: dict[str, View | None] = {"input_scales": None, "hidden_scales": None}
    weights |= (integer_weights if layer.quantised else partial(real_weights, gates=1))(node, builder, index)
    builder.emit(
        "recurrent_general",
        **operands,
        **weights,
        cell=layer.cell,
        peepholes=peepholes and peepholes.packed(builder, lambda numbers: numbers),
        lengths=layer.lengths,
        clip=float(node.attribute("clip") or math.inf),
        linear_before_reset=node.attribute("linear_before_reset", 0),
        input_forget=node.attribute("input_forget", 0),
    )
