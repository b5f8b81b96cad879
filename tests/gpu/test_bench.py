"""Rows of times are made as on a card, here on one that is the processor and has no clock."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from tests.benchmarks.rows import OURS
from tests.kernels.cuda.host import COMPILER, compiler_is_here
from tests.kernels.cuda.host_device import cuda_on_host
from wavetile.engine.models import catalogue

from . import bench
from .networks import convolution_layer, recurrent_layer
from .works import layer_name

pytestmark = pytest.mark.skipif(not compiler_is_here(), reason=f"there is no {COMPILER} here")


@pytest.mark.parametrize(
    ("network", "unit"), [(recurrent_layer("GRU", 24, 2, steps=3), ""), (convolution_layer(3, 16, 8), "tf32")]
)
def test_a_layer_is_compared_and_timed_on_the_card(
    network: bench.RandomNetwork, unit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "find_spec", lambda name: None)
    with cuda_on_host() as backend:
        row = bench.layer("step", network, unit, backend.device, 0.0)
    assert row.name == layer_name(network, unit)
    assert row.sides[OURS].calls >= 5
    assert row.sides[OURS].median_us == pytest.approx(2000 / bench.REPLAYS)


def test_sides_that_say_their_times_take_turns() -> None:
    turns: list[str] = []
    times = {OURS: iter(np.arange(100.0)), "torch": iter(np.arange(100.0))}

    def side(name: str) -> float:
        turns.append(name)
        return next(times[name])

    timings = bench.by_events({name: lambda name=name: side(name) for name in times}, 0.0)
    assert timings[OURS].calls == 5
    assert timings[OURS].median_us == 3
    assert turns[2:6] in (["torch", OURS, OURS, "torch"], [OURS, "torch", "torch", OURS])


def test_trained_networks_that_are_not_here_are_not_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAVETILE_MODELS", str(tmp_path))
    monkeypatch.setenv("WAVETILE_CACHE", str(tmp_path))
    monkeypatch.setattr(catalogue, "fetch", lambda *_, **__: pytest.fail("it fetches"))
    planned = [("tick", card, partial(bench.tick, card, 0.0, native=False)) for card in ("gtcrn", "silero_vad")]
    for row in bench.measured(iter(planned), float("inf")):
        assert row.refusal == "skipped: its trained network is not here"


@pytest.mark.parametrize(("ours", "passes"), [(1.0, True), (1.2, False), (np.nan, False)])
def test_what_differs_is_not_timed(ours: float, passes: bool) -> None:
    difference = bench._difference(np.array([ours, 2.0]), np.array([1.0, 2.0]))
    if passes:
        bench._check("one", difference, 1e-3)
    else:
        with pytest.raises(bench.DifferenceError, match="one differs by"):
            bench._check("one", difference, 1e-3)
