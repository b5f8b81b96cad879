"""A live signal through a server that is too slow for a while: lateness is bounded, told, and gone a second later."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import wavetile
from wavetile.clients import StreamResult
from wavetile.engine.commands.served import served
from wavetile.engine.server.arrivals import ArrivalClock

from .fakes import HOP, RATE_HZ, GainModel
from .simulated import SimulatedStream, Simulation

POLICIES = ("process", "skip", "bypass")
MS = 1_000_000
ROUNDING_S = 1e-8
"""Times of the event loop are numbers of seconds, those of frames whole nanoseconds."""


@dataclass
class Live:
    """A live signal and its results."""

    results: list[StreamResult]
    latencies_s: np.ndarray
    """Of each hop that was sent, from when it was sent until its result was there, `[hops]`."""

    def count(self, name: str, first: int = 0, end: int | None = None) -> int:
        """Frames of a kind in the results that begin with one of these frames."""
        end = len(self.latencies_s) if end is None else end
        return sum(getattr(result, name) for result in self.results if first <= result.first_frame_index < end)


async def send_live(
    simulation: Simulation, signal: np.ndarray, hop: int, events: Mapping[int, Callable[[], object]], policy: str
) -> Live:
    """Send `signal` hop by hop in real time; before hop n is sent, `events[n]` happens."""
    hops = len(signal) // hop
    stream = SimulatedStream(simulation, late_policy=policy)
    loop = asyncio.get_running_loop()
    serving = asyncio.create_task(stream.run())
    began_s = loop.time()
    for index in range(hops):
        await asyncio.sleep(began_s + index * hop / RATE_HZ - loop.time())
        events.get(index, lambda: None)()
        stream.send(signal[index * hop : (index + 1) * hop])
    stream.finish()
    await serving
    arrived_s = np.full(hops, np.nan)
    for result, now_s in zip(stream.results, stream.arrived_s, strict=True):
        arrived_s[result.first_frame_index : result.first_frame_index + result.frame_count] = now_s
    return Live(stream.results, arrived_s - began_s - np.arange(hops) * hop / RATE_HZ)


def check_outputs(live: Live, expected: np.ndarray) -> None:
    """What was not skipped is `expected`, and frames and samples are numbered without gaps."""
    frames = 0
    for number, result in enumerate(live.results):
        assert (result.sequence_number, result.first_frame_index) == (number, frames)
        frames += result.frame_count
        assert result.samples is not None
        here = slice(result.first_sample_index, result.first_sample_index + len(result.samples))
        np.testing.assert_array_equal(result.samples, expected[here])


@pytest.mark.parametrize("policy", POLICIES)
def test_after_an_overload_latency_is_back_within_a_second(policy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three times too slow for a second, at a load of a third; the ring holds 200 ms."""
    model = GainModel(step_s=0.003)
    simulation = Simulation(model, monkeypatch)
    signal = np.random.default_rng(2).uniform(-0.4, 0.4, 320 * HOP).astype(np.float32)

    def load(step_s: float) -> Callable[[], None]:
        return lambda: setattr(model, "step_s", step_s)

    begin, end = 60, 160
    events = {begin: load(0.03), end: load(0.003)}
    live = simulation.run(send_live(simulation, signal, HOP, events, policy))
    np.testing.assert_allclose(live.latencies_s[:begin], 0.003, atol=ROUNDING_S)
    healed = live.latencies_s[end + 100 :]
    np.testing.assert_allclose(healed, 0.003, atol=ROUNDING_S)
    assert live.count("met_frame_count", end + 100) == len(healed)
    under_load = live.latencies_s[begin:end]
    if policy == "bypass":  # a hop may wait for its budget and the batch before it, then no longer
        assert max(under_load) <= 0.01 + 0.03 + ROUNDING_S
        assert live.count("bypassed_frame_count", begin, end) >= 50
        assert live.count("skipped_frame_count") == 0
    else:
        assert max(result.queue_time_ns for result in live.results) > 0.2e9  # else the load was none
        kind = "late_frame_count" if policy == "process" else "skipped_frame_count"
        assert live.count(kind, begin, end) >= 30
        assert live.count("bypassed_frame_count") == 0
        check_outputs(live, np.concatenate([np.zeros(HOP, np.float32), np.float32(0.5) * signal]))


@pytest.mark.parametrize("policy", ["skip", "bypass"])
def test_what_waited_outside_of_a_full_ring_is_late_too(policy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One step takes a second, in which 80 hops more are sent than the ring holds."""
    model = GainModel()
    simulation = Simulation(model, monkeypatch)
    signal = np.random.default_rng(2).uniform(-0.4, 0.4, 250 * HOP).astype(np.float32)

    events = {50: lambda: setattr(model, "step_s", 1.0), 51: lambda: setattr(model, "step_s", 0.0)}
    live = simulation.run(send_live(simulation, signal, HOP, events, policy))
    kind = "skipped_frame_count" if policy == "skip" else "bypassed_frame_count"
    assert 60 <= live.count(kind) <= 140  # of the ring alone it would be 20
    np.testing.assert_allclose(live.latencies_s[165:], 0.0, atol=ROUNDING_S)


def test_the_arrival_clock_follows_real_time_while_a_client_is_ahead() -> None:
    clock = ArrivalClock(sample_ns=0.1 * MS)
    clock.begin(200, 1000 * MS)
    assert clock.feed(100, 1000 * MS) == 1000 * MS
    clock.hold()  # 10 ms of the chunk are left, and wait until 1500
    assert clock.feed(100, 1500 * MS) == 1010 * MS
    clock.begin(1000, 1501 * MS)
    assert clock.feed(1000, 1501 * MS) == 1110 * MS
    clock.begin(100, 1521 * MS)  # late by chance
    assert clock.feed(100, 1521 * MS) == 1120 * MS
    clock.begin(5000, 1522 * MS)  # more than a live signal can have had: from here on
    assert clock.feed(5000, 1522 * MS) == 1522 * MS
    clock.begin(100, 1523 * MS)
    assert clock.feed(100, 1523 * MS) == 1523 * MS
    clock.hold()
    assert clock.feed(100, 1700 * MS) == 1533 * MS
    arrivals = []
    for now in range(1710, 1780, 10):
        clock.begin(100, now * MS)
        arrivals.append(clock.feed(100, now * MS))
    assert arrivals[:2] == [1543 * MS, 1553 * MS]
    assert arrivals[-1] == 1770 * MS  # nothing had been waiting any more
    clock.hold()
    clock.begin(100, 9000 * MS)  # a client that paused
    assert clock.feed(100, 9000 * MS) == 9000 * MS


class Slowed:
    """A real model whose steps take `step_s`, of the time that `spend` lets pass."""

    def __init__(self, model: wavetile.Model) -> None:
        self._inner = served(model)
        self.step_s = 0.0
        self.spend: Callable[[float], None]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def executor(self) -> Any:
        executor = self._inner.executor()
        slowed = self

        class Executor:
            max_lanes = executor.max_lanes

            def step(self, sessions: Sequence[Any]) -> None:
                slowed.spend(slowed.step_s)
                executor.step(sessions)

        return Executor()


@pytest.mark.parametrize("policy", POLICIES)
def test_a_real_model_comes_back_too(
    policy: str, trained: Callable[[str], wavetile.Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    gtcrn = trained("gtcrn")
    model = Slowed(gtcrn)
    simulation = Simulation(model, monkeypatch)
    with gtcrn.stream() as stream:
        hop, delay = stream.hop_samples, stream.delay_samples
        random = np.random.default_rng(6)
        signal = (0.3 * random.uniform(-1, 1, 180 * hop) * np.sin(np.arange(180 * hop) / 900)).astype(np.float32)
        parts = [stream.process(signal).samples, stream.flush().samples]
        whole = np.concatenate([part for part in parts if part is not None])
    begin, end = 30, 90  # three times too slow for a second
    events = {
        begin: lambda: setattr(model, "step_s", 3 * hop / RATE_HZ),
        end: lambda: setattr(model, "step_s", 0.001),
    }
    model.step_s = 0.001
    live = simulation.run(send_live(simulation, signal, hop, events, policy))
    healed = end + RATE_HZ // hop
    usual_s = hop / RATE_HZ + 0.001  # a frame is complete with the next hop
    np.testing.assert_allclose(live.latencies_s[: begin - 1], usual_s, atol=ROUNDING_S)
    np.testing.assert_allclose(live.latencies_s[healed:-1], usual_s, atol=ROUNDING_S)
    assert live.count("met_frame_count", healed) == len(live.latencies_s) - healed
    if policy != "bypass":
        check_outputs(live, whole)
        return
    out = np.concatenate([result.samples for result in live.results if result.samples is not None])
    assert out.shape == whole.shape
    assert live.count("bypassed_frame_count", begin, end) >= 30
    first = next(result.first_sample_index for result in live.results if result.bypassed_frame_count)
    np.testing.assert_array_equal(out[:first], whole[:first])
    aligned = np.concatenate([np.zeros(delay, np.float32), signal])
    passed = [result for result in live.results if result.bypassed_frame_count == result.frame_count > 0]
    for before, result in itertools.pairwise(passed):
        if before.sequence_number + 1 == result.sequence_number:  # the fade is over
            assert result.samples is not None
            here = slice(result.first_sample_index, result.first_sample_index + len(result.samples))
            np.testing.assert_array_equal(result.samples, aligned[here])
