"""A little of what `run.py` does at length, and that it would see what it looks for."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable

import pytest

from tests.fuzz import messages, networks, trial
from tests.fuzz.mutate import mutate_fields
from tests.fuzz.trial import Trial, run_trials
from wavetile.proto.v1 import wavetile_pb2 as pb

MEMORY_BYTES = 2 << 30


def ignore(done: int) -> None:
    """Nobody looks at the progress."""


@pytest.mark.parametrize(("prepare", "count"), [(networks.prepare, 400), (messages.prepare, 400)])
def test_nothing_breaks(prepare: Callable[[], Trial], count: int) -> None:
    outcome = run_trials(prepare, range(1_000_000, 1_000_000 + count), MEMORY_BYTES, ignore)
    assert not outcome.failures
    assert sum(outcome.answers.values()) == count
    assert len(outcome.answers) > 3  # it is not always the same


def breaking() -> Trial:
    """Every way to break, one after the other."""

    def trial(number: int) -> str:
        if number == 1:
            raise RuntimeError("broken")
        if number == 2:
            os.kill(os.getpid(), signal.SIGSEGV)
        if number == 3:
            time.sleep(60)
        if number == 4:
            bytearray(2 * MEMORY_BYTES)
        return "fine"

    return trial


def test_what_breaks_is_told_by_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "PATIENCE_S", 2.0)
    outcome = run_trials(breaking, range(7), MEMORY_BYTES, ignore)
    assert outcome.answers == {"fine": 3}
    assert {number: failure.split(":")[0] for number, failure in outcome.failures.items()} == {
        1: "RuntimeError",
        2: "the process died",
        3: "hangs for more than 2 s",
        4: "MemoryError",
    }
    assert "7 trials, 4 failures" in next(iter(outcome.lines()))


def test_a_number_alone_decides_what_a_trial_is() -> None:
    sound = networks.corpus()
    assert networks.damaged(random.Random(5), sound) == networks.damaged(random.Random(5), sound)
    changed = set()
    for number in range(20):
        message = pb.StreamConfig(model="gain", audio=pb.AudioConfig(channels=1))
        mutate_fields(random.Random(number), message)
        changed.add(message.SerializeToString())
    assert len(changed) > 10
