"""Problems reach a card and come back: here one that is the processor."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from tests.kernels import harness
from tests.kernels.cuda.host import COMPILER, HELD, compiler_is_here
from tests.kernels.cuda.host_device import HostDevice
from tests.kernels.harness import Constant, Lanes, Out, run_kernel
from tests.kernels.recurrent_problems import RecurrentProblem
from tests.kernels.tolerances import TOLERANCES
from wavetile.kernels.opcodes import Unary

from .device_runner import DeviceRunner

pytestmark = pytest.mark.skipif(not compiler_is_here(), reason=f"there is no {COMPILER} here")


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> HostDevice:
    device = HostDevice()
    monkeypatch.setitem(harness.RUNNERS, "cuda", lambda table, memory: DeviceRunner(table, memory, device))
    return device


def test_a_problem_runs_both_ways_on_the_card_and_comes_back(device: HostDevice) -> None:
    x = np.linspace(-1, 1, 12, dtype=np.float32).reshape(2, 1, 1, 1, 1, 2, 3)
    written = run_kernel(
        "unary", "cuda", lanes=2, x=Lanes(x), y=Out((1, 1, 1, 1, 2, 3)), operator=Unary.RELU, alpha=0.0, beta=0.0
    )
    assert written["y"].tolist() == np.maximum(x, 0).tolist()
    assert device.launched == ["walk", "unary_grid", "unary_grid"]


def test_what_differs_between_the_two_ways_is_found(device: HostDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DeviceRunner, "step", lambda self, lanes, limits: None)
    x = np.ones((1, 1, 1, 1, 1, 2, 3), np.float32)
    with pytest.raises(AssertionError, match=r"unary.*two ways to run it give other numbers"):
        run_kernel("unary", "cuda", x=Constant(x[0]), y=Out(x.shape[1:]), operator=Unary.RELU, alpha=0.0, beta=0.0)


def test_the_two_ways_may_round_differently(device: HostDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    done = DeviceRunner._done

    def off_by(relative: float) -> None:
        def nudged(runner: DeviceRunner, work: partial[None]) -> tuple[np.ndarray, np.ndarray]:
            arena, state = done(runner, work)
            if work.func.__name__ == "step":
                arena.view(np.float32)[...] *= np.float32(1 + relative)
            return arena, state

        monkeypatch.setattr(DeviceRunner, "_done", nudged)

    x = Lanes(np.ones((1, 1, 1, 1, 1, 2, 3), np.float32))
    operands = {"x": x, "y": Out((1, 1, 1, 1, 2, 3)), "operator": Unary.RELU, "alpha": 0.0, "beta": 0.0}
    off_by(1e-6)
    assert (run_kernel("unary", "cuda", **operands)["y"] == 1).all()
    off_by(1e-3)
    with pytest.raises(AssertionError, match="two ways to run it give other numbers"):
        run_kernel("unary", "cuda", **operands)


def test_lanes_that_are_taken_together_go_there_too(monkeypatch: pytest.MonkeyPatch) -> None:
    device = HostDevice()
    monkeypatch.setitem(harness.RUNNERS, "cuda_held", partial(DeviceRunner, device=device, together=HELD))
    problem = RecurrentProblem("lstm", 3, 2, 4, 20, lanes=3)
    expected = problem.expected()
    got = problem.run("cuda_held")
    for name, value in expected.items():
        np.testing.assert_allclose(got[name], value, **TOLERANCES["lstm"])
    assert device.launched == ["lstm_lanes", "lstm_lanes"]
