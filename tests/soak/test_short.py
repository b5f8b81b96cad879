"""Isolation and soak, for some seconds each: the long runs are `isolation.py` and `soak.py`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import wavetile
from tests.patience import PATIENCE_S
from tests.session.programs import overlap_spec
from tests.soak.isolation import SpecModel, isolate, solo_run
from tests.soak.soak import soak, verdict
from wavetile.clients.load import Figures, run
from wavetile.clients.load.plan import NS
from wavetile.engine.commands.served import served
from wavetile.engine.plan import StatePool
from wavetile.engine.session import Stream


async def test_streams_of_a_crowd_do_not_touch_each_other() -> None:
    spec = overlap_spec()
    pool = StatePool(spec.program, 64)
    tally = await isolate(
        spec.name,
        SpecModel(spec, pool),
        lambda samples: solo_run(Stream(spec), samples),
        lambda: pool.capacity - pool.free,
        operations=600,
        seed=1,
    )
    assert tally.wrong == []
    assert tally.slots_held == 0
    assert set(tally.operations) == {"open", "send", "finish", "cancel", "vanish", "resume"}
    assert tally.compared > 20


async def test_a_touched_state_is_seen() -> None:
    spec = overlap_spec()
    pool = StatePool(spec.program, 64)

    def solo(samples: np.ndarray) -> tuple[bytes, dict[str, list[float]]]:
        audio, values = solo_run(Stream(spec), samples)
        return audio, {name: [number + (name == "count") for number in numbers] for name, numbers in values.items()}

    tally = await isolate(
        spec.name, SpecModel(spec, pool), solo, lambda: pool.capacity - pool.free, operations=100, seed=2
    )
    assert tally.wrong
    assert not tally.passed


async def test_streams_of_a_trained_network_do_not_touch_each_other(trained: Callable[[str], wavetile.Model]) -> None:
    model = trained("gtcrn")
    pool = model._state_pool()
    tally = await isolate(
        "gtcrn",
        served(model),
        lambda samples: solo_run(model.stream(), samples),
        lambda: pool.capacity - pool.free,
        operations=400,
        seed=3,
    )
    assert tally.wrong == []
    assert tally.slots_held == 0
    assert tally.compared > 10


def test_a_server_that_is_churned_gives_what_it_should(
    trained: Callable[[str], wavetile.Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "GRACE_NS", int(PATIENCE_S * NS))  # a slow machine gives every answer too
    found = soak(trained("silero_vad").name, minutes=0.08, streams=20, share=0.5, seed=4)
    counts = found.figures.counts
    assert counts["frames"] > 300
    # Whether deadlines are kept, and memory is flat, some seconds of a busy machine do not tell.
    assert (counts["wrong"], counts["missed"], found.figures.refused) == (0, 0, 0)
    assert set(found.figures.endings) == {"OK", "cancelled", "vanished"}
    assert found.middle_bytes > 10e6


def test_a_soak_fails_where_memory_grows() -> None:
    figures = Figures(deadline_ns=10_000_000, measured_from_ns=0, interval_ns=1_000_000_000)
    figures.answered(0, 1_000_000, 0, 0)
    figures.fold()
    flat = [90.0] * 10 + [100.0] * 10 + [101.0] * 10
    assert verdict(figures, flat).passed, "what the first third takes does not count"
    assert verdict(figures, flat).growth == pytest.approx(0.01)
    assert not verdict(figures, [90.0] * 10 + [100.0] * 10 + [103.0] * 10).passed
    figures.counts["late by the server"] = 1
    assert not verdict(figures, flat).passed
