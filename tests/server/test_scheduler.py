"""The scheduler alone: order by deadline, batches, bursts, pending results, closing."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from wavetile.engine.errors import SignalError
from wavetile.engine.session.deadlines import Deadlines, LatePolicy, Outcome
from wavetile.engine.session.scheduled import FrameResult, ScheduledStream
from wavetile.engine.session.scheduler import Scheduler

from .fakes import HOP, GainModel, GainSession
from .running import until

MS = 1_000_000
SECOND = 1000 * MS
HOP_OF_SOUND = np.ones(HOP, np.float32)


class Sink:
    def __init__(self) -> None:
        self.results: list[FrameResult] = []
        self.errors: list[Exception] = []

    def frame_done(self, result: FrameResult) -> None:
        self.results.append(result)

    def frame_failed(self, error: Exception) -> None:
        self.errors.append(error)


class Bench:
    """One scheduler over one fake model; frames are queued before `start`, so that the order is the scheduler's."""

    def __init__(self, model: GainModel, threads: int = 1) -> None:
        self.model = model
        self.scheduler = Scheduler(threads)
        self.scheduled = self.scheduler.add("gain", [model.executor() for _ in range(threads)])

    def attach(
        self, budget_ns: int = 10 * MS, max_pending: int = 32, policy: LatePolicy = LatePolicy.PROCESS
    ) -> tuple[ScheduledStream, Sink, GainSession]:
        session, sink = self.model.open_session(16000, 1, bypass=policy is LatePolicy.BYPASS), Sink()
        stream = self.scheduler.attach(
            session,
            model=self.scheduled,
            deadlines=Deadlines(budget_ns, 10 * MS, policy),
            sink=sink,
            loop=asyncio.get_running_loop(),
            max_pending=max_pending,
        )
        return stream, sink, session


@pytest.fixture
def benches() -> Iterator[list[Bench]]:
    benches: list[Bench] = []
    yield benches
    for bench in benches:
        bench.scheduler.stop()


async def test_a_sink_that_fails_costs_the_others_of_its_batch_nothing(
    benches: list[Bench], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bench = Bench(GainModel())
    benches.append(bench)
    parts = [bench.attach() for _ in range(3)]

    def fail(_: FrameResult) -> None:
        raise RuntimeError("no room")

    monkeypatch.setattr(parts[0][1], "frame_done", fail)
    for stream, _, _ in parts:
        stream.feed(HOP_OF_SOUND)
    bench.scheduler.start()
    await until(lambda: all(sink.results for _, sink, _ in parts[1:]))
    assert bench.model.batch_sizes == [3]
    assert all(stream.idle for stream, _, _ in parts)
    assert [str(error) for error in parts[0][1].errors] == ["no room"]
    assert "a stream of model 'gain' did not take its result" in caplog.text


async def test_the_earliest_deadline_goes_first(benches: list[Bench]) -> None:
    bench = Bench(GainModel(max_lanes=1))
    benches.append(bench)
    budgets = [30, 10, 20]
    parts = [bench.attach(budget_ns=budget * SECOND) for budget in budgets]  # longer than all of this takes
    for stream, _, _ in parts:
        stream.feed(HOP_OF_SOUND)
    bench.scheduler.start()
    await until(lambda: all(sink.results for _, sink, _ in parts))
    sessions = [session for _, _, session in parts]
    assert [budgets[sessions.index(session)] for session in bench.model.order] == [10, 20, 30]


async def test_a_burst_queues_behind_live_streams(benches: list[Bench]) -> None:
    bench = Bench(GainModel(max_lanes=1))
    benches.append(bench)
    now_ns = time.monotonic_ns()
    burst, burst_sink, burst_session = bench.attach()
    burst.feed(np.ones(10 * HOP, np.float32), now_ns)
    live, live_sink, live_session = bench.attach()
    live.feed(HOP_OF_SOUND, now_ns)
    bench.scheduler.start()
    await until(lambda: len(burst_sink.results) == 10 and len(live_sink.results) == 1)
    assert bench.model.order[:3] == [burst_session, live_session, burst_session]


async def test_ready_frames_of_a_model_form_one_batch(benches: list[Bench]) -> None:
    bench = Bench(GainModel(max_lanes=4))
    benches.append(bench)
    parts = [bench.attach(budget_ns=SECOND) for _ in range(6)]
    now_ns = time.monotonic_ns()
    for stream, _, _ in parts:
        stream.feed(np.ones(2 * HOP, np.float32), now_ns)
    bench.scheduler.start()
    await until(lambda: all(len(sink.results) == 2 for _, sink, _ in parts))
    assert bench.model.batch_sizes == [4, 4, 4]  # each stream once a batch, first frames first
    assert len(set(map(id, bench.model.order[:6]))) == 6


async def test_times_are_measured_for_each_frame(benches: list[Bench]) -> None:
    bench = Bench(GainModel(step_s=0.02))
    benches.append(bench)
    stream, sink, _ = bench.attach()
    stream.feed(np.ones(2 * HOP, np.float32))
    bench.scheduler.start()
    await until(lambda: len(sink.results) == 2)
    first, second = sink.results
    assert min(first.compute_time_ns, second.compute_time_ns) >= 20 * MS
    assert second.queue_time_ns >= first.queue_time_ns + 20 * MS


async def test_no_frames_are_computed_beyond_the_pending_ones(benches: list[Bench]) -> None:
    bench = Bench(GainModel())
    benches.append(bench)
    stream, sink, session = bench.attach(max_pending=3)
    stream.feed(np.ones(8 * HOP, np.float32))
    bench.scheduler.start()
    await until(lambda: len(sink.results) == 3 and bench.scheduler._sleeping == 1)
    assert (len(sink.results), session.ready, stream.idle) == (3, 5, False)
    stream.release([result.arrival_ns for result in sink.results[:2]])
    await until(lambda: len(sink.results) == 5)
    stream.release([result.arrival_ns for result in sink.results[2:5]])
    await until(lambda: len(sink.results) == 8)
    assert stream.idle


async def test_times_of_frames_are_counted_by_model(benches: list[Bench]) -> None:
    bench = Bench(GainModel(step_s=0.01))
    benches.append(bench)
    streams = [bench.attach() for _ in range(2)]
    for stream, _, _ in streams:
        stream.feed(np.ones(3 * HOP, np.float32))
    bench.scheduler.start()
    for stream, sink, _ in streams:
        await until(lambda sink=sink: len(sink.results) == 3)
        stream.release([result.arrival_ns for result in sink.results])
    counts = bench.scheduler.counts("gain")
    assert (counts.frames, counts.by_size[2].batches) == (6, 3)
    assert counts.queue.count == counts.compute.count == counts.end_to_end.count == 6
    assert counts.queue_ns == sum(result.queue_time_ns for _, sink, _ in streams for result in sink.results)
    assert counts.compute_ns == sum(result.compute_time_ns for result in streams[0][1].results)
    assert counts.end_to_end.total_ns >= counts.queue_ns + counts.frame_compute_ns
    stream, sink, _ = streams[0]
    stream.feed(np.ones(HOP, np.float32))
    await until(lambda: len(sink.results) == 4)
    assert counts.frames == 6, "a copy goes on counting"


async def test_order_holds_with_several_threads(benches: list[Bench]) -> None:
    bench = Bench(GainModel(max_lanes=2, capacity_hops=100), threads=4)
    benches.append(bench)
    parts = [bench.attach(max_pending=1000) for _ in range(6)]
    ramp = np.repeat(np.arange(60, dtype=np.float32) / 64, HOP)
    bench.scheduler.start()
    for start in range(0, len(ramp), 1000):
        for stream, _, _ in parts:
            stream.feed(ramp[start : start + 1000])
        await asyncio.sleep(0)
    await until(lambda: all(len(sink.results) == 60 for _, sink, _ in parts))
    for _, sink, _ in parts:
        peaks = np.concatenate([result.output.values["peak"] for result in sink.results])
        np.testing.assert_array_equal(peaks, ramp[::HOP])


async def test_closing_drops_what_waits(benches: list[Bench]) -> None:
    bench = Bench(GainModel())
    benches.append(bench)
    stream, sink, session = bench.attach()
    other, other_sink, _ = bench.attach()
    stream.feed(HOP_OF_SOUND)
    other.feed(HOP_OF_SOUND)
    stream.close()
    stream.close()  # twice is once
    assert session.closed
    bench.scheduler.start()
    await until(lambda: len(other_sink.results) == 1)
    assert sink.results == []


async def test_a_failed_step_fails_its_streams_and_no_others(benches: list[Bench]) -> None:
    model = GainModel(max_lanes=1, step_error=RuntimeError("defect"))
    bench = Bench(model)
    benches.append(bench)
    broken, broken_sink, _ = bench.attach()
    broken.feed(np.ones(3 * HOP, np.float32))
    bench.scheduler.start()
    await until(lambda: len(broken_sink.errors) == 1)
    model.step_error = None
    stream, sink, _ = bench.attach()
    stream.feed(HOP_OF_SOUND)
    await until(lambda: len(sink.results) == 1)
    assert (broken_sink.results, len(broken_sink.errors)) == ([], 1)


async def test_a_model_that_is_removed_during_its_last_batch_stays_counted(benches: list[Bench]) -> None:
    go_on = threading.Event()
    bench = Bench(GainModel(go_on=go_on))
    benches.append(bench)
    stream, sink, session = bench.attach()
    stream.feed(HOP_OF_SOUND)
    bench.scheduler.start()
    await until(lambda: len(bench.model.order) == 1)  # it is computed now
    stream.close()
    bench.scheduler.remove(bench.scheduled)
    assert bench.scheduler.counts("gain").frames == 0
    go_on.set()
    await until(lambda: session.closed)
    assert bench.scheduler.counts("gain").frames == 1
    assert (sink.results, bench.scheduled.idle, bench.scheduler.names) == ([], [], ("gain",))
    bench.scheduled = bench.scheduler.add("gain", [bench.model.executor()])
    again, again_sink, _ = bench.attach()
    again.feed(HOP_OF_SOUND)
    await until(lambda: len(again_sink.results) == 1)
    assert bench.scheduler.counts("gain").frames == 2
    assert bench.scheduler.counts_of(bench.scheduled).frames == 1


async def test_models_of_one_name_share_no_batch(benches: list[Bench]) -> None:
    bench = Bench(GainModel())
    benches.append(bench)
    streams = [bench.attach()[0]]
    bench.scheduled = bench.scheduler.add("gain", [bench.model.executor()])
    streams += [bench.attach()[0] for _ in range(2)]
    for stream in streams:
        stream.feed(HOP_OF_SOUND)
    bench.scheduler.start()
    await until(lambda: len(bench.model.order) == 3)
    assert bench.model.batch_sizes == [1, 2]


async def test_what_can_not_be_scheduled_is_refused() -> None:
    bench = Bench(GainModel(max_lanes=1))
    session = bench.model.open_session(16000, 2)
    with pytest.raises(SignalError, match="2 channels; model 'gain' computes at most 1"):
        bench.scheduler.attach(
            session, model=bench.scheduled, deadlines=Deadlines(1, 1), sink=Sink(), loop=asyncio.get_running_loop()
        )
    with pytest.raises(ValueError, match="at least 1"):
        Scheduler(threads=0)


async def test_late_frames_are_bypassed_before_others_are_computed(benches: list[Bench]) -> None:
    bench = Bench(GainModel(max_lanes=1))
    benches.append(bench)
    urgent, urgent_sink, _ = bench.attach(budget_ns=-1)  # due before it has come
    late, late_sink, _ = bench.attach(budget_ns=1, policy=LatePolicy.BYPASS)
    calm, calm_sink, calm_session = bench.attach(budget_ns=60_000 * MS, policy=LatePolicy.BYPASS)
    came_ns = time.monotonic_ns() - SECOND  # so that all frames of `late` are: they follow each other by 10 ms
    for stream in (urgent, late, calm):
        stream.feed(np.ones(3 * HOP, np.float32), came_ns)
    bench.scheduler.start()
    await until(lambda: all(len(sink.results) == 3 for sink in (urgent_sink, late_sink, calm_sink)))
    assert [result.outcome for result in urgent_sink.results] == [Outcome.LATE] * 3
    assert [result.outcome for result in late_sink.results] == [Outcome.BYPASSED] * 3
    assert [result.outcome for result in calm_sink.results] == [Outcome.MET] * 3
    assert max(result.arrival_ns + result.queue_time_ns for result in late_sink.results) <= min(
        result.arrival_ns + result.queue_time_ns for result in urgent_sink.results
    )
    assert bench.model.order[3:] == [calm_session] * 3
    counts = bench.scheduler.counts("gain")
    assert counts.outcomes == {Outcome.MET: 3, Outcome.LATE: 3, Outcome.SKIPPED: 0, Outcome.BYPASSED: 3}
    assert (counts.frames, bench.model.batch_sizes) == (6, [1] * 6)
