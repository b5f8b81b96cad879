"""Copies that must not be elided, each from a network that once gave wrong numbers."""

from __future__ import annotations

import numpy as np
import pytest

from tests.plan.networks import assert_matches, parse, signal

INT = np.int64
X6 = {"x": (6,)}

CASES: dict[str, tuple[str, dict[str, tuple[int, ...]], dict[str, np.ndarray]]] = {
    "reversed by a slice": (
        "(float[6] x) => (float[6] y) { n = Neg(x) y = Slice(n, b, e, a, s) }",
        X6,
        {"b": np.array([-1]), "e": np.array([-7]), "a": np.array([0]), "s": np.array([-1])},
    ),
    "reversed by a gather": (
        "(float[6] x) => (float[6] y) { n = Exp(x) y = Gather(n, i) }",
        X6,
        {"i": np.arange(6)[::-1].copy()},
    ),
    "reversed into a concat": (
        "(float[6] x) => (float[12] y) { n = Neg(x) r = Gather(n, i) y = Concat<axis=0>(x, r) }",
        X6,
        {"i": np.arange(6)[::-1].copy()},
    ),
    "overlapping windows as many as elements": (
        "(float[6] x) => (float[2,3] y) { n = Relu(x) y = Gather(n, i) }",
        X6,
        {"i": np.array([[0, 1, 2], [2, 3, 4]])},
    ),
    "framing with hop 2": (
        "(float[9] x) => (float[3,3] y) { n = Relu(x) y = Gather(n, i) }",
        {"x": (9,)},
        {"i": np.add.outer(2 * np.arange(3), np.arange(3))},
    ),
    "scatter under another view": (
        (
            "(float[4,5] x, float[1,5] u, float[1,5] v) => (float[3,5] z, float[3,5] w) { y = ScatterND(x, i, u) "
            "a = Slice(y, zero, three, axis) b = Slice(y, one, four, axis) z = ScatterND(a, j, v) w = Neg(b) }"
        ),
        {"x": (4, 5), "u": (1, 5), "v": (1, 5)},
        {
            "i": np.array([[1]]),
            "j": np.array([[2]]),
            "zero": np.array([0]),
            "one": np.array([1]),
            "three": np.array([3]),
            "four": np.array([4]),
            "axis": np.array([0]),
        },
    ),
    "scatter into a transposed view": (
        (
            "(float[4,5] x, float[1,5] u, float[1,4] v) => (float[5,4] z) { y = ScatterND(x, i, u) "
            "t = Transpose(y) z = ScatterND(t, j, v) }"
        ),
        {"x": (4, 5), "u": (1, 5), "v": (1, 4)},
        {"i": np.array([[1]]), "j": np.array([[3]])},
    ),
    "scatter into a part": (
        (
            "(float[4,5] x, float[1,5] u, float[1,3] v) => (float[4,3] z) { y = ScatterND(x, i, u) "
            "t = Slice(y, one, four, axis) z = ScatterND(t, j, v) }"
        ),
        {"x": (4, 5), "u": (1, 5), "v": (1, 3)},
        {
            "i": np.array([[1]]),
            "j": np.array([[3]]),
            "one": np.array([1]),
            "four": np.array([4]),
            "axis": np.array([1]),
        },
    ),
}


@pytest.mark.parametrize("backend", ["reference", "cpu"])
@pytest.mark.parametrize("name", CASES)
def test_numbers_survive(name: str, backend: str) -> None:
    body, inputs, constants = CASES[name]
    model = parse(body, constants={key: value.astype(INT) for key, value in constants.items()})
    assert_matches(model, {key: signal(shape, seed) for seed, (key, shape) in enumerate(inputs.items())}, backend)
