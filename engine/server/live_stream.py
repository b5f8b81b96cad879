"""A scheduled session as an asyncio stream: chunks are awaited in, results are awaited out, both bounded."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

import numpy as np

from ..session.deadlines import Deadlines, Outcome
from ..session.ring import stuck
from ..session.scheduled import FrameResult
from ..session.scheduled_model import ScheduledModel
from ..session.scheduler import Scheduler
from .activity import OpenStream
from .admission import Pulse
from .arrivals import ArrivalClock
from .bell import Bell
from .resume import Replay
from .served import ServedSession, SessionOutput


class Results(NamedTuple):
    """Consecutive outputs of frames; at the end the flush may bring a last one without frames.

    The first `skipped_frame_count` of the frames have no output: `skipped_samples` of audio are missing there.
    """

    outputs: Sequence[SessionOutput]
    arrivals_ns: Sequence[int]
    """Of each frame."""
    queue_time_ns: int
    compute_time_ns: int
    late_frame_count: int = 0
    skipped_frame_count: int = 0
    bypassed_frame_count: int = 0
    skipped_samples: int = 0

    @property
    def frame_count(self) -> int:
        """How many frames these are."""
        return len(self.arrivals_ns)


NOTHING = Results((), (), 0, 0)
"""What `LiveStream.results` gives where it was woken, and nothing was computed."""


class LiveStream:
    """One session on one event loop: `feed` waits for room in the session's ring, `results` for computed frames."""

    def __init__(
        self,
        scheduler: Scheduler,
        session: ServedSession,
        stream: OpenStream,
        *,
        model: ScheduledModel,
        deadlines: Deadlines,
        max_pending: int,
        replay: Replay | None = None,
    ) -> None:
        """`replay` says what of the results is not to be given out again."""
        self._session = session
        self._replay = replay
        self._stream = stream
        self._scheduled = scheduler.attach(
            session,
            model=model,
            deadlines=deadlines,
            sink=self,
            loop=asyncio.get_running_loop(),
            max_pending=max_pending,
        )
        rate_hz = session.sample_rate_hz
        self._arrivals = ArrivalClock(1e9 / rate_hz if rate_hz else deadlines.hop_ns)
        self._backlog = max_pending // 2
        # A frame that is due sooner than a hop after it came may be late on a server that has time for all.
        self._tells = deadlines.budget_ns >= deadlines.hop_ns
        self._excused = False
        self._pulse = Pulse()
        self._frames: list[FrameResult] = []
        self._tail: SessionOutput | None = None
        self._flushed = False
        self._woken = False
        self._leaving: Exception | None = None
        self._ended = False
        self._error: Exception | None = None
        self._progress = Bell()  # a frame was computed: there may be room in the ring
        self._available = Bell()  # there is something for `results`

    def go_on(self) -> None:
        """Begin with what the session was restored with, before anything is fed."""
        self._scheduled.go_on()

    async def feed(self, chunk: np.ndarray) -> None:
        """Feed `chunk`, `[samples]`, `[samples, channels]` or `[frames, features]`, in as many parts as the ring takes.

        Raises SignalError; parts that were fed before the bad one stay fed.
        """
        if self._stream.tap is not None:
            self._stream.tap.sent(chunk)
        self._arrivals.begin(len(chunk), time.monotonic_ns())
        offset = 0
        while offset < len(chunk):
            take = min(self._session.free_samples, len(chunk) - offset)
            if take > 0:
                arrival_ns = self._arrivals.feed(take, time.monotonic_ns())
                self._scheduled.feed(chunk[offset : offset + take], arrival_ns)
                offset += take
            elif self._scheduled.idle:
                raise stuck()
            else:
                self._arrivals.hold()
                await self._next_frame()

    async def finish(self) -> None:
        """End the signal: once all frames are computed, flush what is left. `results` then ends by itself."""
        while not self._scheduled.idle:
            await self._next_frame()
        self._scheduled.flush()
        self._flushed = True
        if self._scheduled.idle:  # no step is left, whose drain would have brought the tail
            tail = self._session.drain()
            self._tail = tail if self._replay is None else self._replay.tail(tail)
            self._end()

    async def exchange(self, chunk: np.ndarray, *, end: bool, emit: Callable[[Results], Awaitable[None]]) -> None:
        """Feed `chunk`, and if it is the signal's `end` finish; `emit` all that is computed until nothing waits.

        Not beside `results`, `feed` or `finish`. Raises what they raise; a stream that raised can not go on.
        """
        if not end and len(chunk) <= self._session.free_samples:  # the usual case: feeding need not wait for frames
            await self.feed(chunk)
            await self._emit_all(emit, lambda: self._scheduled.idle)
            return
        feeding = asyncio.create_task(self._feed_all(chunk, end))
        feeding.add_done_callback(lambda _: self._available.ring())
        try:
            await self._emit_all(emit, lambda: feeding.done() and self._scheduled.idle)
            await feeding
        finally:
            feeding.cancel()

    async def _emit_all(self, emit: Callable[[Results], Awaitable[None]], nothing_waits: Callable[[], bool]) -> None:
        while (results := await self._results(nothing_waits)) is not None:
            await emit(results)
            self.release(results)

    async def _feed_all(self, chunk: np.ndarray, end: bool) -> None:
        await self.feed(chunk)
        if end:
            await self.finish()

    async def results(self) -> Results | None:
        """What was computed since the last call, waiting for at least one frame; None after the last.

        Frames that were skipped after others that were not are left for the next call. NOTHING comes after `wake`.

        Raises whatever ended the stream early.
        """
        results = await self._results(self._has_to_return)
        if results is None and not self._ended:
            if self._woken:
                self._woken = False
                return NOTHING
            assert self._leaving is not None
            raise self._leaving
        return results

    def _has_to_return(self) -> bool:
        return self._woken or (self._leaving is not None and self._scheduled.idle)

    async def _results(self, nothing_waits: Callable[[], bool]) -> Results | None:
        while self._error is None and not self._frames and not self._ended and not nothing_waits():
            await self._available.next()
        if self._error is not None:
            raise self._error
        frames, self._frames = _split(self._frames)
        tail, self._tail = self._tail, None
        if tail is not None and _is_empty(tail):
            tail = None
        if not frames and tail is None:
            return None
        results = _results(frames, tail)
        if self._stream.tap is not None:
            for output in results.outputs:
                self._stream.tap.answered(output)
        return results

    def release(self, results: Results) -> None:
        """Say that `results` are on their way, so that as many frames more may be computed."""
        self._scheduled.release(results.arrivals_ns)
        self._stream.count(results.frame_count, results.queue_time_ns, results.compute_time_ns)
        self._stream.count_missed(results.late_frame_count, results.skipped_frame_count, results.bypassed_frame_count)
        if self._tells:
            self._tell(results)

    def pulse(self) -> Pulse:
        """How its frames fare."""
        return self._pulse

    def _tell(self, results: Results) -> None:
        missed = results.late_frame_count + results.skipped_frame_count + results.bypassed_frame_count
        # Where a client reads too slowly, frames wait for their turn to be computed: that is nobody else's fault.
        self._excused = len(self._frames) >= self._backlog or (self._excused and missed > 0)
        if not self._excused:
            frames, all_missed, count, waited_ns = self._pulse
            self._pulse = Pulse(
                frames + results.frame_count, all_missed + missed, count + 1, waited_ns + results.queue_time_ns
            )

    def fail(self, error: Exception) -> None:
        """End the stream with `error`, which `results` raises."""
        if self._error is None:
            self._error = error
        self._available.ring()

    def wake(self) -> None:
        """Let `results` return, whether there is something or not."""
        self._woken = True
        self._available.ring()

    def leave(self, error: Exception) -> None:
        """End the stream with `error` once all is computed and given out that has come; nothing is to be fed after it.

        One that was flushed ends by itself.
        """
        if not self._flushed:
            self._leaving = error
            self._available.ring()

    def close(self) -> None:
        """Free the session's slots."""
        self._scheduled.close()

    def frame_done(self, result: FrameResult) -> None:
        """A frame was computed (called by the scheduler, on the loop)."""
        kept = result if self._replay is None else self._replay.frame(result)
        if kept is None:
            self._scheduled.release([result.arrival_ns])
        else:
            self._frames.append(kept)
        self._progress.ring()
        self._available.ring()
        if self._flushed and self._scheduled.idle:
            self._end()

    def frame_failed(self, error: Exception) -> None:
        """A step failed (called by the scheduler, on the loop)."""
        self.fail(error)

    async def _next_frame(self) -> None:
        # No frame can slip through between the check before this call and the wait: frames are counted on this loop.
        await self._progress.next()

    def _end(self) -> None:
        self._ended = True
        self._available.ring()


def _split(frames: list[FrameResult]) -> tuple[list[FrameResult], list[FrameResult]]:
    """The first frames, of which skipped ones come before all others, and the rest."""
    if len(frames) == 1:
        return frames, []
    for index in range(1, len(frames)):
        if frames[index].outcome is Outcome.SKIPPED and frames[index - 1].outcome is not Outcome.SKIPPED:
            return frames[:index], frames[index:]
    return frames, []


def _results(frames: list[FrameResult], tail: SessionOutput | None) -> Results:
    if len(frames) == 1 and tail is None and frames[0].outcome is Outcome.MET:  # the usual case: nothing to add up
        frame = frames[0]
        return Results((frame.output,), (frame.arrival_ns,), frame.queue_time_ns, frame.compute_time_ns)
    skipped = [frame.output for frame in frames if frame.outcome is Outcome.SKIPPED]
    outputs = [frame.output for frame in frames[len(skipped) :]]
    if tail is not None:
        outputs.append(tail)
    outcomes = [frame.outcome for frame in frames]
    return Results(
        outputs,
        [frame.arrival_ns for frame in frames],
        max((frame.queue_time_ns for frame in frames), default=0),
        sum(frame.compute_time_ns for frame in frames),
        late_frame_count=outcomes.count(Outcome.LATE),
        skipped_frame_count=len(skipped),
        bypassed_frame_count=outcomes.count(Outcome.BYPASSED),
        skipped_samples=sum(len(output.samples) for output in skipped if output.samples is not None),
    )


def _is_empty(output: SessionOutput) -> bool:
    has_samples = output.samples is not None and len(output.samples) > 0
    return not has_samples and not output.events and not any(len(values) for values in output.values.values())
