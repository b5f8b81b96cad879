"""`recurrent_general` on memory: lanes, lengths, strides, guards; tests/plan/test_recurrent.py has the rest."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from wavetile.kernels.contract import Space
from wavetile.kernels.packing import bias as padded
from wavetile.kernels.packing_recurrent import gate_bias, gate_weights, integer_weights
from wavetile.kernels.schemas.recurrent_general import Cell, GateActivation

from .harness import Constant, Lanes, Out, Same, run_kernel
from .layouts import ALL_BACKENDS, NATIVE_BACKENDS
from .recurrent_problems import RecurrentProblem
from .tolerances import TOLERANCES

DEFAULTS = {"f": GateActivation.SIGMOID, "g": GateActivation.TANH, "h": GateActivation.TANH}

_WEIGHTS = {"input": "W", "hidden": "R"}


def general(problem: RecurrentProblem, **changed: Any) -> dict[str, Any]:
    """Operands of the general kernel for a problem of `lstm` or `gru`."""
    arrays, columns = problem.arrays, problem.gates * problem.hidden
    parameters = {f"{name}_{parameter}": 0.0 for name in DEFAULTS for parameter in ("alpha", "beta")}
    operands = {name: problem.operands()[name] for name in problem.operands() if not name.endswith("weights")}
    operands |= {
        "input_weights": Constant(gate_weights(arrays["W"], 1)),
        "hidden_weights": Constant(gate_weights(arrays["R"], 1)),
        "input_scales": None,
        "hidden_scales": None,
        "bias": Constant(gate_bias(arrays["B"], 1, columns)),
        "cell": Cell[problem.kernel.upper()],
        "clip": np.inf,
        "linear_before_reset": int(problem.linear_before_reset),
        "input_forget": 0,
    }
    operands.pop("candidate", None)
    return operands | DEFAULTS | parameters | changed


def check(got: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    for name, value in expected.items():
        np.testing.assert_allclose(got[name], value, **TOLERANCES["recurrent_general"], err_msg=name)


@pytest.mark.parametrize("backend", ALL_BACKENDS)
@pytest.mark.parametrize("kernel", ["lstm", "gru"])
@pytest.mark.parametrize("sizes", [(1, 1, 1, 1), (4, 3, 5, 17), (2, 1, 9, 40)], ids=str)
def test_equals_onnxruntime_in_lanes(backend: str, kernel: str, sizes: tuple[int, int, int, int]) -> None:
    problem = RecurrentProblem(kernel, *sizes, lanes=3, reverse=True)
    in_place = {f"initial_{s}": Lanes(problem.arrays[s], Space.STATE) for s in problem.states}
    in_place |= {f"last_{s}": Same(f"initial_{s}") for s in problem.states}
    check(run_kernel("recurrent_general", backend, lanes=3, **general(problem, **in_place)), problem.expected())


@pytest.mark.parametrize("backend", ALL_BACKENDS)
def test_lanes_have_lengths_of_their_own(backend: str) -> None:
    problem = RecurrentProblem("gru", 4, 2, 3, 5, lanes=2, reverse=True)
    lengths = np.array([[4, 2], [0, 9]], np.int64)  # more than there are counts as all
    got = run_kernel("recurrent_general", backend, lanes=2, **general(problem, lengths=Lanes(lengths)))
    for lane in range(2):
        for row in range(2):
            steps = min(lengths[lane, row], 4)
            assert not got["y"][lane, steps:, row].any()
            if not steps:
                assert not got["last_hidden"][lane, row].any()
                continue
            short = RecurrentProblem("gru", int(steps), 1, 3, 5, reverse=True)
            short.arrays.update({name: problem.arrays[name] for name in ("W", "R", "B")})
            short.arrays["x"] = problem.arrays["x"][lane : lane + 1, :steps, row : row + 1]
            short.arrays["hidden"] = problem.arrays["hidden"][lane : lane + 1, row : row + 1]
            expected = short.expected()
            tolerance = TOLERANCES["recurrent_general"]
            np.testing.assert_allclose(got["y"][lane, :steps, row], expected["y"][0, :, 0], **tolerance)
            np.testing.assert_allclose(got["last_hidden"][lane, row], expected["last_hidden"][0, 0], **tolerance)


def in_part(cell: Cell, **changed: Any) -> dict[str, Any]:
    """A layer of two rows, one of which ends early; of an RNN it has the weights of one gate."""
    problem, columns = (
        RecurrentProblem("lstm" if cell is Cell.LSTM else "gru", 4, 2, 3, 18, reverse=True),
        cell.gates * 18,
    )
    packed = {f"{kind}_weights": gate_weights(problem.arrays[name][:columns], 1) for kind, name in _WEIGHTS.items()}
    packed["bias"] = gate_bias(problem.arrays["B"][: 2 * columns], 1, columns)
    constants = {name: Constant(array) for name, array in packed.items()}
    return general(problem, lengths=Lanes(np.array([[4, 2]])), cell=cell, **constants) | changed


def check_against_definition(backend: str, operands: dict[str, Any], lanes: int = 1) -> None:
    got, expected = (run_kernel("recurrent_general", one, lanes=lanes, **operands) for one in (backend, "reference"))
    check(got, {name: expected[name] for name in expected.keys() - {"scratch"}})


@pytest.mark.parametrize("backend", NATIVE_BACKENDS)
@pytest.mark.parametrize("cell", list(Cell), ids=lambda cell: cell.name)
@pytest.mark.parametrize("kind", list(GateActivation), ids=lambda kind: kind.name)
def test_every_function_in_every_place(backend: str, cell: Cell, kind: GateActivation) -> None:
    for place in "fgh"[: cell.functions]:
        operands = in_part(cell, **{place: kind, f"{place}_alpha": 0.3, f"{place}_beta": 0.6, "clip": 0.7})
        check_against_definition(backend, operands)


@pytest.mark.parametrize("backend", NATIVE_BACKENDS)
@pytest.mark.parametrize("input_forget", [0, 1])
def test_peepholes(backend: str, input_forget: int) -> None:
    peepholes = Constant(np.random.default_rng(3).standard_normal(54).astype(np.float32))
    operands = in_part(Cell.LSTM, peepholes=peepholes, input_forget=input_forget)
    check_against_definition(backend, operands)


@pytest.mark.parametrize("backend", NATIVE_BACKENDS)
@pytest.mark.parametrize("linear_before_reset", [0, 1])
def test_both_ways_to_reset(backend: str, linear_before_reset: int) -> None:
    operands = in_part(Cell.GRU, linear_before_reset=linear_before_reset)
    check_against_definition(backend, operands)


@pytest.mark.parametrize("backend", NATIVE_BACKENDS)
def test_integers_equal_the_definition(backend: str) -> None:
    problem = RecurrentProblem("lstm", 5, 3, 7, 19, lanes=2, reverse=True)
    generator = np.random.default_rng(2)
    w, r = (generator.integers(-128, 128, (76, inner)).astype(np.float32) for inner in (7, 19))
    lengths = Lanes(np.array([[5, 2, 0], [1, 4, 3]]))
    operands = integer_operands(problem, w, r, lengths=lengths)
    check_against_definition(backend, operands, lanes=2)


@pytest.mark.parametrize("backend", ALL_BACKENDS)
def test_strided_views(backend: str) -> None:
    problem = RecurrentProblem("lstm", 5, 3, 6, 19, lanes=2)
    views = {
        "x": Lanes(problem.arrays["x"], strides=(2, 61, 10)),  # stored [batch, input, time, 2]
        "y": Out((5, 3, 19), strides=(1, 95, 5)),  # stored [batch, hidden, time]
        "last_cell": None,
    }
    expected = problem.expected()
    del expected["last_cell"]
    check(run_kernel("recurrent_general", backend, lanes=2, **general(problem, **views)), expected)


def integer_operands(problem: RecurrentProblem, w: np.ndarray, r: np.ndarray, **changed: Any) -> dict[str, Any]:
    """Operands of the general kernel with integer weights [columns, inner] of scale 1/256."""
    scales = np.full(w.shape[0], 2.0**-8, np.float32)
    return general(
        problem,
        input_weights=Constant(integer_weights(w)),
        hidden_weights=Constant(integer_weights(r)),
        input_scales=Constant(padded(scales)),
        hidden_scales=Constant(padded(scales)),
        **changed,
    )


@pytest.mark.parametrize("backend", ALL_BACKENDS)
@pytest.mark.parametrize("inner", [1, 255, 256, 257, 1000])
def test_sums_of_integers_are_exact(backend: str, inner: int) -> None:
    """An RNN of one step whose function is the identity gives the product itself; float32 would lose its last bits."""
    hidden, generator = 20, np.random.default_rng(inner)
    problem = RecurrentProblem("gru", 1, 2, inner, hidden, initial=False)
    x = generator.integers(0, 256, (1, 1, 2, inner)).astype(np.float32)
    x[..., 0] = 255  # the scale is 1, the zero point 0
    w = generator.integers(200, 256, (hidden, inner)).astype(np.float32)
    got = run_kernel(
        "recurrent_general",
        backend,
        **integer_operands(
            problem,
            w,
            np.zeros((hidden, hidden), np.float32),
            x=Lanes(x),
            bias=Constant(gate_bias(None, 1, hidden)),
            cell=Cell.RNN,
            f=GateActivation.AFFINE,
            f_alpha=1.0,
        ),
    )
    sums = x[0, 0].astype(np.int64) @ w.astype(np.int64).T
    np.testing.assert_array_equal(got["y"][0, 0], sums.astype(np.float32) / 256)


@pytest.mark.parametrize("backend", ALL_BACKENDS)
def test_lanes_have_grids_of_their_own(backend: str) -> None:
    problem = RecurrentProblem("lstm", 5, 2, 7, 19, lanes=3, reverse=True)
    problem.arrays["x"][1] *= 100
    problem.arrays["hidden"][2] *= 10
    generator = np.random.default_rng(1)
    w, r = (generator.integers(-128, 128, (76, inner)).astype(np.float32) for inner in (7, 19))
    together = run_kernel("recurrent_general", backend, lanes=3, **integer_operands(problem, w, r))
    for lane in range(3):
        alone = RecurrentProblem("lstm", 5, 2, 7, 19, reverse=True)
        alone.arrays.update(problem.arrays)
        alone.arrays.update({name: problem.arrays[name][lane : lane + 1] for name in ("x", "hidden", "cell")})
        got = run_kernel("recurrent_general", backend, **integer_operands(alone, w, r))
        for name, value in got.items():
            np.testing.assert_array_equal(value[0], together[name][lane], err_msg=name)


@pytest.mark.parametrize("kind", list(GateActivation), ids=lambda kind: kind.name)
def test_nan_stays_nan(kind: GateActivation) -> None:
    problem = RecurrentProblem("gru", 2, 1, 3, 4)
    x = np.full_like(problem.arrays["x"], np.nan)
    got = run_kernel("recurrent_general", "cpu", **general(problem, x=Lanes(x), g=kind, g_alpha=0.5, g_beta=0.5))
    assert np.isnan(got["y"]).all()
