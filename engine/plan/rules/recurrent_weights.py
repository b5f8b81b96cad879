"""Weights of recurrent layers in the order in which the kernels read them: real ones, and integers with scales."""

from __future__ import annotations

from math import prod

import numpy as np

from ....kernels import packing, packing_recurrent
from ....kernels.opcodes import Binary
from ..builder import Builder
from ..view import View
from .arriving import Weights
from .elementwise import apply_binary
from .registry import Lowering

W, R, B = 1, 2, 3
"""Positions of the inputs."""

_W_SCALE, _R_SCALE = 8, 10
"""Positions of the scales of DynamicQuantizeLSTM; a zero point follows each."""


def real_weights(node: Lowering, builder: Builder, direction: int, gates: int) -> dict[str, View]:
    """W, R and B of one direction of RNN, GRU or LSTM, packed as `gates` gates."""
    w, r = (Weights.of(node, builder, position)[direction] for position in (W, R))
    return {
        "input_weights": w.packed(builder, lambda numbers: packing_recurrent.gate_weights(numbers, gates)),
        "hidden_weights": r.packed(builder, lambda numbers: packing_recurrent.gate_weights(numbers, gates)),
        "bias": _bias(node, builder, direction, gates, r.shape[0] // gates),
    }


def integer_weights(node: Lowering, builder: Builder, direction: int) -> dict[str, View]:
    """W, R, their scales and B of one direction of DynamicQuantizeLSTM, packed as one gate."""
    columns = node.shape(R)[2]
    operands = {"bias": _bias(node, builder, direction, 1, columns)}
    for part, weights, scale in (("input", W, _W_SCALE), ("hidden", R, _R_SCALE)):
        integers = _centred(node, builder, weights, scale + 1)[direction].rearranged(np.transpose)
        scales = Weights.of(node, builder, scale)[direction]
        operands[f"{part}_weights"] = integers.packed(builder, packing_recurrent.integer_weights)
        operands[f"{part}_scales"] = scales.packed(
            builder, lambda numbers: packing.bias(np.broadcast_to(numbers, (columns,)))
        )
    return operands


def _bias(node: Lowering, builder: Builder, direction: int, gates: int, hidden: int) -> View:
    none = Weights(np.zeros(2 * gates * hidden, np.float32))
    b = Weights.of(node, builder, B)[direction] if node.has(B) else none
    return b.packed(builder, lambda numbers: packing_recurrent.gate_bias(numbers, gates, hidden))


def _centred(node: Lowering, builder: Builder, index: int, zero_point: int) -> Weights:
    """Integers [directions, inner, columns] minus a zero point for each direction or column."""
    value, zero = node.constant(index), node.constant(zero_point)
    directions = node.shape(zero_point)[0]
    shape = (directions, 1, prod(node.shape(zero_point)) // directions)
    if value is not None and zero is not None:
        return Weights(value.astype(np.float32) - zero.astype(np.float32).reshape(shape))
    zero_view = builder.reshape(node.view(zero_point), shape)
    return Weights.from_view(builder, apply_binary(builder, Binary.SUB, node.view(index), zero_view))
