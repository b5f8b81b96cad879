"""A little of what `run.py` does at length, and that it would see what it looks for."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from tests.fuzz import messages, networks, trial
from tests.fuzz.comparison import difference
from tests.fuzz.mutate import mutate_fields
from tests.fuzz.referee import Referee
from tests.fuzz.silence import BEAT_S, Silence, Threads
from tests.fuzz.trial import Answer, Trial, run_trials
from tests.plan.networks import parse
from wavetile.engine.models import evaluator
from wavetile.engine.plan import Target
from wavetile.proto.v1 import wavetile_pb2 as pb

MEMORY_BYTES = 2 << 30
DOUBLED = parse("(float[2,3] x) => (float[2,3] y) { y = Add(x, x) }").SerializeToString()


@pytest.mark.parametrize(("prepare", "count"), [(networks.prepare, 400), (messages.prepare, 400)])
def test_nothing_breaks(prepare: Callable[[], Trial], count: int) -> None:
    outcome = run_trials(prepare, range(1_000_000, 1_000_000 + count), MEMORY_BYTES)
    assert not outcome.failures
    assert sum(outcome.answers.values()) == outcome.trials == count
    assert len(outcome.answers) > 3  # it is not always the same
    assert all(outcome.counts.values())


def test_enough_is_enough() -> None:
    outcome = run_trials(breaking, range(10, 100), MEMORY_BYTES, enough=lambda outcome: outcome.counts["tried"] >= 4)
    assert outcome.trials == 4


def breaking() -> Trial:
    """Every way to break, one after the other."""

    def broken() -> str:
        raise RuntimeError("broken")

    def trial(number: int) -> Answer:
        if number == 1:
            broken()
        if number == 2:
            os.kill(os.getpid(), signal.SIGSEGV)
        if number == 3:
            time.sleep(60)
        if number == 4:
            bytearray(2 * MEMORY_BYTES)
        return Answer("fine", {"tried": 1}, broken if number == 6 else lambda: " still")

    return trial


def test_what_breaks_is_told_by_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "HANG_S", 2.0)
    outcome = run_trials(breaking, range(8), MEMORY_BYTES)
    assert outcome.answers == {"fine still": 3}
    assert {number: failure.split(":")[0] for number, failure in outcome.failures.items()} == {
        1: "RuntimeError",
        2: "the process died",
        3: "hangs for more than 2 s",
        4: "MemoryError",
        6: "RuntimeError",
    }
    assert "8 trials, 5 failures" in next(iter(outcome.lines()))


def silence_after(beats_s: list[float], told: list[Threads]) -> float:
    """What the last of these beats says, with what the system says of the threads at each."""
    clock, threads = iter(np.cumsum([0.0, *beats_s]).tolist()), iter(told)
    silence = Silence(0, lambda: next(clock), lambda process: next(threads))
    return [silence.beat() for _ in beats_s][-1]


@pytest.mark.parametrize(
    ("doing", "seconds"),
    [
        ({1: (0.0, 0.0)}, 10.0),  # sleeps
        ({1: (10.0, 0.0)}, 10.0),  # computes
        ({1: (0.5, 9.5)}, 0.5),  # waits for its turn, and had little of it
        ({1: (2.0, 4.0), 2: (2.0, 6.0)}, 2.0),  # two threads, in turns
        ({1: (6.0, 4.0), 2: (0.0, 9.0)}, 6.0),  # one computes, and the other's waiting is no excuse
    ],
)
def test_time_that_others_had_is_no_silence(doing: Threads, seconds: float) -> None:
    steps = round(10.0 / BEAT_S)
    told = [
        {
            thread: (100 + ran_s * step / steps, 7 + waited_s * step / steps)
            for thread, (ran_s, waited_s) in doing.items()
        }
        for step in range(steps + 1)
    ]
    assert silence_after([0.0] + [BEAT_S] * steps, told) == pytest.approx(seconds)


def test_a_watcher_that_was_kept_away_counts_little() -> None:
    assert silence_after([BEAT_S, 30.0, BEAT_S], [{}] * 3) == 4 * BEAT_S


def test_a_thread_that_has_ended_has_waited() -> None:
    assert silence_after([BEAT_S] * 3, [{1: (0, 0)}, {1: (0, 0), 2: (0.0, 0.2)}, {1: (0, 0)}]) == pytest.approx(
        3 * BEAT_S - 0.2
    )


class Leaky(evaluator.Evaluator):
    """Gives the first byte of its memory besides."""

    def run(self, inputs: Any) -> dict[str, np.ndarray]:
        outputs = super().run(inputs)
        return {**outputs, "leak": networks.PoisonedWorkspace.made[0].memory[0, -1:].copy()}


@pytest.mark.parametrize("kind", [evaluator.Evaluator, Leaky])
def test_what_depends_on_unwritten_memory_is_seen(
    kind: type[evaluator.Evaluator], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluator, "Workspace", networks.PoisonedWorkspace)
    network = kind(networks.load_network(DOUBLED), Target(), 1)
    inputs = {"x": np.ones((2, 3), np.float32)}
    if kind is Leaky:
        with pytest.raises(AssertionError, match="leak depends on memory that nothing has written"):
            networks.run_twice(network, inputs)
    else:
        np.testing.assert_array_equal(networks.run_twice(network, inputs)["y"], 2)


@pytest.fixture
def referee() -> Iterator[Referee]:
    one = Referee("onnx")
    yield one
    one.close()


def test_a_referee_computes_refuses_and_comes_back(referee: Referee) -> None:
    inputs = {"x": np.ones((2, 3), np.float32)}
    for _ in range(2):
        np.testing.assert_array_equal(referee.outputs(DOUBLED, inputs), [np.full((2, 3), 2, np.float32)])
        assert referee.outputs(b"no network", inputs) is None
        os.kill(referee._process.pid, signal.SIGSEGV)
        assert referee.outputs(DOUBLED, inputs) is None


class Biased(Referee):
    def outputs(self, network: bytes, inputs: Any) -> list[np.ndarray] | None:
        return [2 * inputs["x"] + 1]


def test_other_numbers_than_a_referee_are_told() -> None:
    answer = networks.use(DOUBLED, np.random.default_rng(0), [Biased("other")])
    assert answer.words == "ran"
    assert answer.review is not None
    with pytest.raises(AssertionError, match="other: y differs by 1 of"):
        answer.review()


@pytest.mark.parametrize(
    ("mine", "other", "words"),
    [
        ([1.0, np.nan, np.inf], [1.00001, np.nan, np.inf], ""),
        ([1.0, 1000.0], [1.01, 1000.0], ""),
        ([1.0, 1.0], [1.0, 1.001], "y differs by 0.001 of 1"),
        ([1.0, np.nan], [1.0, 1.0], "y is not finite in other places"),
        ([1.0, np.inf], [1.0, -np.inf], "y is not finite in other places"),
        ([1.0], [[1.0]], "y is float32[1], theirs float32[1, 1]"),
    ],
)
def test_differences_have_words(mine: list[Any], other: list[Any], words: str) -> None:
    told = difference({"y": np.array(mine, np.float32)}, [np.array(other, np.float32)])
    assert told.startswith(words)
    assert bool(told) == bool(words)


def test_whole_numbers_are_equal_or_not() -> None:
    assert difference({"y": np.array([1, 2])}, [np.array([1, 3])]) == "y has 1 of 2 other numbers"
    assert not difference({"y": np.array([True, False])}, [np.array([True, False])])


def test_a_number_alone_decides_what_a_trial_is() -> None:
    sound = networks.corpus()
    assert networks.damaged(random.Random(5), sound) == networks.damaged(random.Random(5), sound)
    changed = set()
    for number in range(20):
        message = pb.StreamConfig(model="gain", audio=pb.AudioConfig(channels=1))
        mutate_fields(random.Random(number), message)
        changed.add(message.SerializeToString())
    assert len(changed) > 10
