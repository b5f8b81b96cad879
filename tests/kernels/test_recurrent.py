"""LSTM and GRU on both back ends against ONNX Runtime: sizes, directions, states in place, views, lanes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from wavetile.kernels.contract import Space
from wavetile.kernels.opcodes import Activation
from wavetile.kernels.packing_recurrent import gate_bias, gate_weights, unpack_gate_bias, unpack_gate_weights

from .harness import Lanes, Out, PreparedKernel, Same
from .layouts import ALL_BACKENDS, TOGETHER
from .recurrent_problems import RecurrentProblem
from .tolerances import TOLERANCES

VARIANTS: dict[str, dict[str, Any]] = {
    "lstm": {"kernel": "lstm"},
    "gru": {"kernel": "gru"},
    "gru_reset_first": {"kernel": "gru", "linear_before_reset": False},
    "gru_relu": {"kernel": "gru", "candidate": Activation.RELU},
    "gru_reset_first_relu": {"kernel": "gru", "linear_before_reset": False, "candidate": Activation.RELU},
}
SIZES = (  # time, batch, input, hidden
    (1, 1, 1, 1),
    (1, 1, 16, 16),
    (1, 1, 5, 33),
    (1, 1, 128, 128),
    (1, 33, 8, 8),
    (1, 17, 33, 17),
    (2, 5, 4, 33),
    (4, 3, 17, 16),
    (5, 2, 16, 17),
    (16, 1, 33, 5),
    (33, 1, 8, 4),
    (33, 4, 1, 128),
    (65, 1, 4, 8),
    (130, 2, 3, 17),
)


def check(got: dict[str, np.ndarray], expected: dict[str, np.ndarray], kernel: str) -> None:
    assert set(got) - {"scratch"} == set(expected)
    tolerance = TOLERANCES[kernel]
    for name, value in expected.items():
        # A Relu candidate has no bound: what cancels then is as large as the largest value.
        scale = max(1.0, float(np.abs(value).max(initial=0)))
        np.testing.assert_allclose(got[name], value, tolerance["rtol"], tolerance["atol"] * scale, err_msg=name)


def problem_of(variant: str, time: int, batch: int, inner: int, hidden: int, **options: Any) -> RecurrentProblem:
    return RecurrentProblem(time=time, batch=batch, inner=inner, hidden=hidden, **VARIANTS[variant], **options)


@pytest.mark.parametrize("backend", [*ALL_BACKENDS, *TOGETHER])
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_equals_onnxruntime(backend: str, variant: str, sizes: tuple[int, int, int, int]) -> None:
    for seed, (reverse, bias, initial) in enumerate([(0, 1, 1), (1, 1, 0), (0, 0, 0), (1, 0, 1)]):
        problem = problem_of(variant, *sizes, reverse=bool(reverse), bias=bool(bias), initial=bool(initial), seed=seed)
        check(problem.run(backend), problem.expected(), problem.kernel)


@pytest.mark.parametrize("backend", [*ALL_BACKENDS, *TOGETHER])
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("sizes", [(1, 1, 12, 20), (3, 1, 12, 20), (2, 3, 4, 5), (1, 1, 128, 128)], ids=str)
@pytest.mark.parametrize("lanes", [2, 3, 9])
def test_state_in_place_in_permuted_slots(
    backend: str, variant: str, sizes: tuple[int, int, int, int], lanes: int
) -> None:
    problem = problem_of(variant, *sizes, lanes=lanes)
    in_place = {f"initial_{s}": Lanes(problem.arrays[s], Space.STATE) for s in problem.states}
    in_place |= {f"last_{s}": Same(f"initial_{s}") for s in problem.states}
    check(problem.run(backend, **in_place), problem.expected(), problem.kernel)


@pytest.mark.parametrize("backend", [*ALL_BACKENDS, *TOGETHER])
@pytest.mark.parametrize("variant", VARIANTS)
def test_strided_views(backend: str, variant: str) -> None:
    time, batch, inner, hidden = sizes = (5, 3, 6, 19)
    problem = problem_of(variant, *sizes, lanes=2, reverse=True)
    views = {
        "x": Lanes(problem.arrays["x"], strides=(2, 2 * time * inner + 1, 2 * time)),  # stored [batch, input, time, 2]
        "y": Out((time, batch, hidden), strides=(batch * 2 * hidden, 2 * hidden, 1)),  # half of a bidirectional y
        "initial_hidden": Lanes(problem.arrays["hidden"], strides=(hidden + 3, 1)),
        "last_hidden": Out((batch, hidden), strides=(2 * hidden, 1)),
    }
    check(problem.run(backend, **views), problem.expected(), problem.kernel)
    sparse = Out((time, batch, hidden), strides=(1, time * hidden, time))  # stored [batch, hidden, time]
    check(problem.run(backend, **(views | {"y": sparse})), problem.expected(), problem.kernel)


@pytest.mark.parametrize("variant", VARIANTS)
def test_x_and_y_in_state_memory(variant: str) -> None:
    problem = problem_of(variant, 1, 1, 12, 20, lanes=3)
    operands = {"x": Lanes(problem.arrays["x"], Space.STATE), "y": Out((1, 1, 20), Space.STATE)}
    check(problem.run("cpu", **operands), problem.expected(), problem.kernel)


@pytest.mark.parametrize("backend", [*ALL_BACKENDS, *TOGETHER])
@pytest.mark.parametrize("kernel", ["lstm", "gru"])
def test_only_y_is_asked_for(backend: str, kernel: str) -> None:
    problem = RecurrentProblem(kernel, 3, 2, 4, 5)
    got = problem.run(backend, **{f"last_{state}": None for state in problem.states})
    check(got, {"y": problem.expected()["y"]}, kernel)


@pytest.mark.parametrize("backend", ["cpu", *TOGETHER])
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("sizes", [(1, 1, 40, 33), (1, 1, 128, 128), (33, 1, 8, 8), (1, 7, 8, 8)], ids=str)
def test_a_lane_has_the_same_bits_alone_and_among_others(
    backend: str, variant: str, sizes: tuple[int, int, int, int]
) -> None:
    problem = problem_of(variant, *sizes, lanes=11)
    together = problem.run(backend)
    for first, last in [(0, 1), (4, 5), (2, 4), (3, 6), (0, 6), (1, 9), (10, 11)]:
        part = replace(problem, lanes=last - first)
        arrays = {name: value[first:last] for name, value in problem.arrays.items() if name in ("x", "hidden", "cell")}
        operands = {"x": Lanes(arrays["x"])} | {f"initial_{s}": Lanes(arrays[s]) for s in problem.states}
        alone = part.run(backend, **operands)
        for name in alone:
            if name != "scratch":
                assert alone[name].tobytes() == together[name][first:last].tobytes(), name


@pytest.mark.parametrize("variant", VARIANTS)
def test_steps_one_by_one_have_the_same_bits_as_all_at_once(variant: str) -> None:
    problem = problem_of(variant, 70, 1, 9, 21)
    whole = problem.run("cpu")
    states = {state: problem.arrays[state] for state in problem.states}
    for t in range(problem.time):
        operands = {"x": Lanes(problem.arrays["x"][:, t : t + 1]), "y": Out((1, 1, 21))}
        operands |= {f"initial_{state}": Lanes(value) for state, value in states.items()}
        step = problem.run("cpu", **operands)
        states = {state: step[f"last_{state}"] for state in problem.states}
        assert step["y"].tobytes() == whole["y"][:, t : t + 1].tobytes()


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("sizes", [(1, 1, 40, 33), (1, 1, 64, 64), (3, 1, 40, 80), (2, 9, 5, 48)], ids=str)
def test_weights_read_backwards_give_the_same_bits(variant: str, sizes: tuple[int, int, int, int]) -> None:
    problem = problem_of(variant, *sizes, lanes=2)
    prepared = PreparedKernel(problem.kernel, "cpu", problem.lanes, problem.operands())
    prepared.run()
    forwards = prepared.results()
    prepared.run()
    backwards = prepared.results()
    for name in forwards.keys() - {"scratch"}:
        assert forwards[name].tobytes() == backwards[name].tobytes(), name


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("scale", [1e-6, 30.0, 1e4])
def test_tiny_and_saturated_gates(variant: str, scale: float) -> None:
    problem = problem_of(variant, 4, 2, 16, 20, scale=scale)
    got, expected = problem.run("cpu"), problem.run("reference")
    check({k: v for k, v in got.items() if k != "scratch"}, {k: expected[k] for k in got if k != "scratch"}, "lstm")


@pytest.mark.parametrize("backend", [*ALL_BACKENDS, *TOGETHER])
@pytest.mark.parametrize("variant", VARIANTS)
def test_nan_stays_in_its_row(backend: str, variant: str) -> None:
    problem = problem_of(variant, 3, 4, 6, 18)
    x = problem.arrays["x"].copy()
    x[0, 1, 2, 3] = np.nan
    got = problem.run(backend, x=Lanes(x))
    assert np.isnan(got["y"][0, 1:, 2]).all()
    clean = problem.run(backend)
    assert got["y"][:, :1].tobytes() == clean["y"][:, :1].tobytes()
    np.testing.assert_array_equal(got["y"][0, :, [0, 1, 3]], clean["y"][0, :, [0, 1, 3]])
    assert not np.isnan(got["last_hidden"][0, [0, 1, 3]]).any()


@pytest.mark.parametrize("gates", [3, 4])
@pytest.mark.parametrize("hidden", [1, 16, 17, 40])
def test_packing_and_back(gates: int, hidden: int) -> None:
    random = np.random.default_rng(0)
    weights = random.standard_normal((gates * hidden, 7)).astype(np.float32)
    bias = random.standard_normal(2 * gates * hidden).astype(np.float32)
    np.testing.assert_array_equal(unpack_gate_weights(gate_weights(weights, gates), gates, hidden, 7), weights)
    np.testing.assert_array_equal(unpack_gate_bias(gate_bias(bias, gates, hidden), gates, hidden).reshape(-1), bias)
    assert not gate_bias(None, gates, hidden).any()
