"""`gru_small` on both back ends against ONNX Runtime: groups, directions, sizes of block, states in place, lanes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pytest

from wavetile.kernels.contract import Space
from wavetile.kernels.opcodes import Activation
from wavetile.kernels.packing_recurrent import (
    side_by_side,
    small_block,
    small_gate_bias,
    small_gate_weights,
    unpack_small_gate_weights,
)
from wavetile.kernels.schemas.recurrent import Direction

from .harness import Constant, Lanes, Out, Same, run_kernel
from .layouts import ALL_BACKENDS
from .recurrent_problems import RecurrentProblem
from .tolerances import TOLERANCES


@dataclass(frozen=True)
class SmallProblem:
    """Layers of one size side by side, put together from problems of one direction."""

    groups: int
    direction: Direction
    time: int
    batch: int
    inner: int
    hidden: int
    linear_before_reset: bool = True
    candidate: Activation = Activation.TANH
    lanes: int = 1
    scale: float = 0.5
    initial: bool = True

    @cached_property
    def sequences(self) -> list[list[RecurrentProblem]]:
        """By group, then direction; the directions of a group share x."""
        result = []
        for group in range(self.groups):
            row = [
                RecurrentProblem(
                    "gru", self.time, self.batch, self.inner, self.hidden, reverse, bool(group or self.initial),
                    self.initial, self.linear_before_reset, self.candidate, self.lanes, self.scale, 2 * group + d,
                )
                for d, reverse in enumerate(self.direction.reversed)
            ]  # fmt: skip
            for one in row:
                one.arrays["x"] = row[0].arrays["x"]
            result.append(row)
        return result

    def _stack(self, arrays: list[list[np.ndarray]]) -> np.ndarray:
        """[groups][directions][lanes, ...] -> [lanes, groups, directions, ...]."""
        return np.stack([np.stack(row, axis=1) for row in arrays], axis=1)

    def operands(self) -> dict[str, Any]:
        flat = [one for row in self.sequences for one in row]
        shape = (self.groups, len(self.direction.reversed))
        hidden = self._stack([[one.arrays["hidden"] for one in row] for row in self.sequences])
        return {
            "x": Lanes(np.stack([row[0].arrays["x"] for row in self.sequences], axis=1)),
            "input_weights": Constant(small_gate_weights([p.arrays["W"] for p in flat], self.hidden, self.inner)),
            "hidden_weights": Constant(
                small_gate_weights([p.arrays["R"] for p in flat], self.hidden, small_block(self.hidden))
            ),
            "bias": Constant(small_gate_bias([p.arrays["B"] if p.bias else None for p in flat], self.hidden)),
            "initial_hidden": Lanes(hidden) if self.initial else None,
            "y": Out((*shape, self.time, self.batch, self.hidden)),
            "last_hidden": Out((*shape, self.batch, self.hidden)),
            "direction": self.direction,
            "linear_before_reset": int(self.linear_before_reset),
            "candidate": self.candidate,
        }

    def expected(self) -> dict[str, np.ndarray]:
        answers = [[one.expected() for one in row] for row in self.sequences]
        return {key: self._stack([[one[key] for one in row] for row in answers]) for key in ("y", "last_hidden")}

    def check(self, got: dict[str, np.ndarray]) -> None:
        for name, value in self.expected().items():
            scale = max(1.0, float(np.abs(value).max()))
            tolerance = TOLERANCES["gru"]
            np.testing.assert_allclose(got[name], value, tolerance["rtol"], tolerance["atol"] * scale, err_msg=name)

    def run(self, backend: str, **changed: Any) -> dict[str, np.ndarray]:
        return run_kernel("gru_small", backend, lanes=self.lanes, **(self.operands() | changed))


SIZES = (  # groups, direction, time, batch, input, hidden
    (1, Direction.FORWARD, 1, 1, 8, 16),
    (1, Direction.REVERSE, 5, 2, 3, 9),
    (1, Direction.BIDIRECTIONAL, 7, 1, 9, 5),
    (2, Direction.BIDIRECTIONAL, 33, 1, 8, 4),
    (2, Direction.FORWARD, 1, 33, 8, 8),
    (4, Direction.FORWARD, 3, 2, 1, 3),
    (3, Direction.REVERSE, 2, 3, 17, 1),
    (1, Direction.BIDIRECTIONAL, 1, 1, 4, 2),
)


@pytest.mark.parametrize("backend", ALL_BACKENDS)
@pytest.mark.parametrize("candidate", [Activation.TANH, Activation.RELU])
@pytest.mark.parametrize("linear_before_reset", [True, False])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_equals_onnxruntime(backend: str, candidate: Activation, linear_before_reset: bool, sizes: tuple) -> None:
    for initial in (True, False):
        problem = SmallProblem(*sizes, linear_before_reset=linear_before_reset, candidate=candidate, initial=initial)
        problem.check(problem.run(backend))


@pytest.mark.parametrize("backend", ALL_BACKENDS)
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_state_in_place_in_permuted_slots(backend: str, sizes: tuple) -> None:
    problem = SmallProblem(*sizes, lanes=3)
    state = Lanes(problem.operands()["initial_hidden"].array, Space.STATE)
    problem.check(problem.run(backend, initial_hidden=state, last_hidden=Same("initial_hidden")))


@pytest.mark.parametrize("backend", ALL_BACKENDS)
def test_strided_views(backend: str) -> None:
    problem = SmallProblem(2, Direction.BIDIRECTIONAL, 5, 3, 6, 3, lanes=2)
    views = {
        # Stored [batch, input, groups, time].
        "x": Lanes(problem.operands()["x"].array, strides=(5, 1, 60, 10)),
        # Stored [time, batch, groups, directions, hidden], as the concatenation of all.
        "y": Out((2, 2, 5, 3, 3), strides=(6, 3, 36, 12, 1)),
        "last_hidden": None,
    }
    got = problem.run(backend, **views)
    problem.check(got | {"last_hidden": problem.expected()["last_hidden"]})


@pytest.mark.parametrize("sizes", SIZES[:6], ids=str)
def test_a_lane_has_the_same_bits_alone_and_among_others(sizes: tuple) -> None:
    problem = SmallProblem(*sizes, lanes=4)
    together, operands = problem.run("cpu"), problem.operands()
    for lane in range(4):
        one = {key: Lanes(operands[key].array[lane : lane + 1]) for key in ("x", "initial_hidden")}
        alone = run_kernel("gru_small", "cpu", lanes=1, **(operands | one))
        for name, value in alone.items():
            assert value.tobytes() == together[name][lane : lane + 1].tobytes(), name


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_stays_in_its_group_and_row(bad: float) -> None:
    problem = SmallProblem(2, Direction.BIDIRECTIONAL, 4, 3, 6, 3)
    x = problem.operands()["x"].array.copy()
    x[0, 1, 2, 1, 0] = bad
    got, clean = problem.run("cpu", x=Lanes(x)), problem.run("cpu")
    assert got["y"][0, 0].tobytes() == clean["y"][0, 0].tobytes()
    np.testing.assert_array_equal(got["y"][0, 1, :, :, [0, 2]], clean["y"][0, 1, :, :, [0, 2]])
    assert got["y"][0, 1, 0, :2, 1].tobytes() == clean["y"][0, 1, 0, :2, 1].tobytes()
    if np.isnan(bad):
        assert np.isnan(got["y"][0, 1, 0, 2:, 1]).all()
        assert np.isnan(got["y"][0, 1, 1, :3, 1]).all()
    else:
        expected = problem.run("reference", x=Lanes(x))["y"]
        np.testing.assert_allclose(got["y"], expected, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("scale", [1e-6, 30.0, 1e4])
def test_tiny_and_saturated_gates(scale: float) -> None:
    problem = SmallProblem(1, Direction.BIDIRECTIONAL, 4, 2, 7, 6, scale=scale)
    np.testing.assert_allclose(problem.run("cpu")["y"], problem.run("reference")["y"], rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("hidden", [1, 4, 5, 8])
def test_packing_and_back(hidden: int) -> None:
    random = np.random.default_rng(0)
    weights = [random.standard_normal((3 * hidden, 7)).astype(np.float32) for _ in range(2)]
    packed = small_gate_weights(weights, hidden, 7)
    for sequence, one in enumerate(weights):
        np.testing.assert_array_equal(unpack_small_gate_weights(packed, sequence, hidden, 7), one)
    block = small_block(hidden)
    alone = [small_gate_weights([one], hidden, 7).reshape(-1, 16)[:, :block] for one in weights]
    np.testing.assert_array_equal(side_by_side(alone), packed)
