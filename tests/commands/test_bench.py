"""`wavetile bench`: both sides compute the same thing, in turns, and the times are told."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tests.commands.said import Command
from wavetile.engine.commands import measure


@pytest.mark.parametrize(("call_ns", "turn_calls"), [(1_000, measure.TURN_CALLS), (5_000_000, 4), (50_000_000, 1)])
def test_sides_take_turns_and_both_begin(call_ns: int, turn_calls: int, monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = itertools.count(step=call_ns)
    monkeypatch.setattr(measure, "time", SimpleNamespace(perf_counter_ns=lambda: next(ticks)))
    calls: list[tuple[str, int]] = []
    sides = {name: lambda step, name=name: calls.append((name, step)) for name in ("ours", "theirs")}
    timings = measure.take_turns(sides, seconds=0)
    counted = calls[len(sides) * measure.WARM_STEPS :]
    turns = [counted[first : first + turn_calls] for first in range(0, len(counted), turn_calls)]
    rounds = [("theirs", "ours"), ("ours", "theirs")] * measure.MIN_STEPS
    beginners = itertools.chain.from_iterable(rounds)
    assert [{name for name, _ in turn} for turn in turns] == [{next(beginners)} for _ in turns]
    for side in sides:
        steps = [step for name, step in counted if name == side]
        assert steps == list(range(measure.WARM_STEPS, measure.WARM_STEPS + measure.MIN_STEPS))
        assert timings[side].calls == measure.MIN_STEPS
        assert timings[side].median_us == call_ns / 1e3


def test_timing_is_in_microseconds() -> None:
    timing = measure._timing([[3_000, 1_000], [2_000, 1_000]])
    assert (timing.calls, timing.median_us, timing.first_us) == (4, 1.5, 2.5)
    assert abs(timing.p99_us - 2.97) < 1e-9


def test_a_carded_model_against_onnxruntime(wavetile_command: Command, gain_card: Path) -> None:
    pytest.importorskip("onnxruntime", reason="the peer is not installed")
    said = wavetile_command("bench", gain_card, "--json", "--seconds", 0.1)
    assert said.status == 0, said.notices
    told = json.loads(said.output)
    assert told["max_difference"] == 0
    assert set(told["sides"]) == {"stream", "run", "onnxruntime"}
    for side in told["sides"].values():
        assert 0 < side["median_us"] <= side["p99_us"]
        assert side["calls"] >= measure.MIN_STEPS
        faster = told["sides"]["onnxruntime"]["median_us"] / side["median_us"]
        assert np.isclose(side["times_faster_than_onnxruntime"], faster)


def test_a_bare_network_against_onnxruntime(wavetile_command: Command, image_network: Path) -> None:
    pytest.importorskip("onnxruntime", reason="the peer is not installed")
    said = wavetile_command("bench", image_network, "--seconds", 0.1)
    assert said.status == 0, said.notices
    assert "max |difference| to onnxruntime 0" in said.output
    assert "stream" not in said.output
