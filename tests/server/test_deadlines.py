"""Frames that miss their deadlines: what becomes of them by each policy, and that latency comes back after a load."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from tests.virtual_time import HeldTime
from wavetile.clients import StreamClient, StreamResult
from wavetile.engine.server import live_stream
from wavetile.engine.session import scheduled, scheduler
from wavetile.engine.session.deadlines import Deadlines

from .fakes import HOP, GainModel
from .running import audio_of, exchange, serving, until

MS = 1_000_000
SIGNAL = np.random.default_rng(5).uniform(-0.4, 0.4, 40 * HOP).astype(np.float32)
WHOLE = np.concatenate([np.zeros(HOP, np.float32), np.float32(0.5) * SIGNAL])
"""What model "gain" makes of it, undisturbed."""


def test_a_burst_is_due_at_real_time_pace_and_no_clock_drifts_away() -> None:
    deadlines = Deadlines(budget_ns=30 * MS, hop_ns=10 * MS)
    first = deadlines.expected_ns(100 * MS, None)
    second = deadlines.expected_ns(100 * MS, first)
    assert (first, second, deadlines.expected_ns(200 * MS, second)) == (100 * MS, 110 * MS, 200 * MS)
    assert deadlines.expected_ns(101 * MS, None) == 101 * MS  # nothing waits


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> HeldTime:
    """Stop the time by which frames come, are computed and are late."""
    return HeldTime().stand_in(monkeypatch, live_stream, scheduled, scheduler)


async def test_frames_are_told_as_met_or_late(clock: HeldTime) -> None:
    model = GainModel(spend=clock.pass_by)
    async with serving({"gain": model}) as server, StreamClient(server.address) as client:
        async with client.stream("gain", frame_budget_s=1.0) as stream:
            results = await exchange(stream, SIGNAL, HOP)
        assert sum(result.met_frame_count for result in results) == 41
        model.step_s = 0.02
        async with client.stream("gain") as stream:  # a budget of 10 ms
            results = await exchange(stream, SIGNAL[: 5 * HOP], HOP)
        assert sum(result.late_frame_count for result in results) == 6
        assert sum(result.met_frame_count for result in results) == 0
        np.testing.assert_array_equal(audio_of(results), WHOLE[: 6 * HOP])


async def test_skipped_frames_leave_a_gap_and_the_state_goes_on(clock: HeldTime) -> None:
    model = GainModel()
    go_on = threading.Event()
    async with (
        serving({"gain": model}) as server,
        StreamClient(server.address) as client,
        client.stream("gain", frame_budget_s=0.1, late_policy="skip") as stream,
    ):
        await stream.send(SIGNAL[: 10 * HOP])
        results = [await anext(stream)]
        while sum(result.frame_count for result in results) < 10:
            results.append(await anext(stream))
        model.go_on = go_on
        await stream.send(SIGNAL[10 * HOP : 11 * HOP])
        await until(lambda: len(model.batch_sizes) == 11)
        await stream.send(SIGNAL[11 * HOP : 14 * HOP])  # waits for 300 ms, with 100, 110 and 120 ms to go
        await until(lambda: model.order[0].completed == 14)
        clock.pass_by(0.3)
        go_on.set()
        await stream.send(SIGNAL[14 * HOP :])
        await stream.finish()
        results += [result async for result in stream]
    _check_numbering(results)
    assert sum(result.frame_count for result in results) == 41
    assert sum(result.skipped_frame_count for result in results) == 3
    assert sum(result.late_frame_count for result in results) == 1  # it was begun in time
    given = np.zeros(len(WHOLE), bool)
    for result in results:
        assert result.samples is not None
        here = slice(result.first_sample_index, result.first_sample_index + len(result.samples))
        np.testing.assert_array_equal(result.samples, WHOLE[here])
        given[here] = True
    np.testing.assert_array_equal(np.flatnonzero(~given), np.arange(11 * HOP, 14 * HOP))


def _check_numbering(results: list[StreamResult]) -> None:
    """Results are numbered without gaps, and each value belongs to a frame that was not skipped."""
    frames = 0
    for number, result in enumerate(results):
        assert (result.sequence_number, result.first_frame_index) == (number, frames)
        assert len(result.values.get("peak", ())) == result.frame_count - result.skipped_frame_count
        frames += result.frame_count


@pytest.mark.parametrize("policy", ["never", ""])
async def test_unknown_policies_are_refused(policy: str) -> None:
    async with serving({"gain": GainModel()}) as server, StreamClient(server.address) as client:
        with pytest.raises(Exception, match=f"late policy '{policy}' is unknown; use one of process, skip, bypass"):
            await client.stream("gain", late_policy=policy).__aenter__()
