"""Problems reach a card and come back: here one that is the processor."""

from __future__ import annotations

import numpy as np
import pytest

from tests.kernels import harness
from tests.kernels.cuda.host import COMPILER, compiler_is_here
from tests.kernels.cuda.host_device import HostDevice
from tests.kernels.harness import Constant, Lanes, Out, run_kernel
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
    monkeypatch.setattr(DeviceRunner, "step", lambda self, lanes, launches: None)
    x = np.ones((1, 1, 1, 1, 1, 2, 3), np.float32)
    with pytest.raises(AssertionError, match=r"unary.*the interpreter gives other numbers"):
        run_kernel("unary", "cuda", x=Constant(x[0]), y=Out(x.shape[1:]), operator=Unary.RELU, alpha=0.0, beta=0.0)
