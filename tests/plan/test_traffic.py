"""Bytes of a step, counted by hand for small networks."""

from __future__ import annotations

import numpy as np

from tests.plan.networks import compile_model, parse, signal
from wavetile.engine.plan.traffic import traffic


def test_weights_count_once_and_activations_where_they_are_used() -> None:
    weights = signal((64, 32))
    model = parse(
        "(float[1,64] x) => (float[1,32] y) { a = MatMul(x, w)  b = Tanh(x)  c = MatMul(b, w)  y = Add(a, c) }",
        constants={"w": weights},
    )
    program = compile_model(model, {"x": signal((1, 64))})
    moved = traffic(program)
    # Read x twice, write and read b, a and c, write y; a bias may be among the weights. Packed alike, w may be there
    # once or twice.
    assert moved.activation_bytes == 4 * (2 * 64 + 2 * 64 + 2 * 32 + 2 * 32 + 32)
    assert moved.weight_bytes in (weights.nbytes, 2 * weights.nbytes)
    assert moved.weight_bytes <= program.weight_bytes


def test_a_repeated_number_counts_once() -> None:
    model = parse("(float[8,16] x, float[8,1] s) => (float[8,16] y) { y = Mul(x, s) }")
    moved = traffic(compile_model(model, {"x": signal((8, 16)), "s": signal((8, 1))}))
    assert moved.activation_bytes == np.dtype(np.float32).itemsize * (2 * 8 * 16 + 8)
    assert moved.weight_bytes <= 32  # the steps of a chain, no numbers
