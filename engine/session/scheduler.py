"""Gives compute threads to live sessions: earliest deadline first, the ready frames of one model in one batch.

Three rules keep it simple and safe:

- A session is in at most one batch, with at most one frame, so its state advances in order and in one thread.
- An executor serves one thread at a time; nobody waits for a batch to fill. Load makes batches, idleness makes latency.
- A session whose results nobody takes is not scheduled on (`max_pending`), so its ring fills and its sender waits.

Times are `time.monotonic_ns()`.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import logging
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ..errors import SignalError
from .counts import ModelCounts

logger = logging.getLogger(__name__)


class ScheduledSession(Protocol):
    """What the scheduler needs of a session. Its ring has one producer (`feed`, `flush`) and one consumer (a step)."""

    lanes: int
    """How many of an executor's lanes a step of this session takes."""

    @property
    def ready(self) -> int:
        """Complete hops that wait in the ring."""
        ...

    @property
    def free_samples(self) -> int:
        """How many samples a channel `feed` accepts now, at the stream's rate."""
        ...

    def feed(self, chunk: np.ndarray) -> None:
        """Take `chunk`, `[samples]` or `[samples, channels]`. Raises SignalError and then has taken nothing."""
        ...

    def flush(self) -> None:
        """Mark the end: pad so that `ready` covers everything that was fed. Called with `ready` = 0."""
        ...

    def drain(self) -> Any:
        """All that came out since the last drain; after the flush, once `ready` is 0, the tail too: one drain."""
        ...

    def close(self) -> None:
        """Give back the session's slots. Never called during a step."""
        ...


class StepExecutor(Protocol):
    """One workspace of a compiled program."""

    max_lanes: int

    def step(self, sessions: Sequence[Any], /) -> None:
        """Run one hop of each of these distinct sessions in one native call."""
        ...


@dataclass(frozen=True, slots=True)
class FrameResult:
    """One computed frame: what the session gave, when the frame came, how long it waited and its batch computed."""

    output: Any
    arrival_ns: int
    queue_time_ns: int
    compute_time_ns: int


class FrameSink(Protocol):
    """Where results go. Both methods run on the sink's event loop."""

    def frame_done(self, result: FrameResult, /) -> None:
        """One frame more, in order."""
        ...

    def frame_failed(self, error: Exception, /) -> None:
        """The session can not go on."""
        ...


class ScheduledStream:
    """One session in the scheduler's hands; made by `Scheduler.attach`. Its methods are for the event loop's thread."""

    def __init__(
        self,
        scheduler: Scheduler,
        session: ScheduledSession,
        model: str,
        budget_ns: int,
        max_pending: int,
        sink: FrameSink,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.session = session
        self.model = model
        self.sink = sink
        self.loop = loop
        self._scheduler = scheduler
        # Guarded by the scheduler's lock from here on.
        self.budget_ns = budget_ns
        self.max_pending = max_pending
        self.pending = 0  # frames that are computing or were computed and not released yet
        self.unfinished = 0  # frames that have arrived and were not handed to the sink yet
        self.frames: deque[tuple[int, int]] = deque()  # (arrival, deadline) of each frame that waits
        self.last_arrival_ns = 0
        self.queued = False
        self.running = False
        self.failed = False
        self.closed = False

    def feed(self, chunk: np.ndarray) -> None:
        """Hand `chunk` to the session; at most `session.free_samples` long. Raises SignalError."""
        self.session.feed(chunk)
        self._scheduler.arrived(self)

    def flush(self) -> None:
        """End the signal. Only when `idle`."""
        self.session.flush()
        self._scheduler.arrived(self)

    @property
    def idle(self) -> bool:
        """True when every frame that has arrived was computed and handed to the sink."""
        return self._scheduler.is_idle(self)

    def release(self, arrivals_ns: Sequence[int]) -> None:
        """Say that the results of frames with these arrivals are on their way, which makes room for as many more."""
        self._scheduler.release(self, arrivals_ns)

    def close(self) -> None:
        """Leave the scheduler and close the session: at once, or right after the step that it is in."""
        self._scheduler.detach(self)


class Scheduler:
    """Earliest deadline first over the ready sessions of all models, on `threads` compute threads.

    `executors` maps a model's name to its executors; with n of them, n threads can compute that model at once.
    """

    def __init__(self, executors: Mapping[str, Sequence[StepExecutor]], threads: int = 1) -> None:
        if threads < 1:
            raise ValueError(f"threads is {threads}; at least 1 works")
        self._idle_executors = {model: list(pool) for model, pool in executors.items()}
        self._max_lanes = {model: min(executor.max_lanes for executor in pool) for model, pool in executors.items()}
        self._ready: dict[str, list[tuple[int, int, ScheduledStream]]] = {model: [] for model in executors}
        self._counts = {model: ModelCounts() for model in executors}
        self._order = itertools.count()  # breaks ties between equal deadlines: first come, first served
        self._lock = threading.Lock()
        self._wake = threading.Condition(self._lock)
        self._stopping = False
        self._threads = [
            threading.Thread(target=self._work, name=f"wavetile-compute-{index}", daemon=True)
            for index in range(threads)
        ]

    def start(self) -> None:
        """Start the compute threads."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Stop after the steps that are running; frames that still wait are not computed."""
        with self._wake:
            self._stopping = True
            self._wake.notify_all()
        for thread in self._threads:
            if thread.is_alive():
                thread.join()

    def attach(
        self,
        session: ScheduledSession,
        *,
        model: str,
        budget_ns: int,
        sink: FrameSink,
        loop: asyncio.AbstractEventLoop,
        max_pending: int = 32,
    ) -> ScheduledStream:
        """Schedule `session` from now on.

        `budget_ns` is added to a frame's arrival to give its deadline; at most `max_pending` results wait
        for `release`.
        Raises SignalError when the session needs more lanes than the model's executors have.
        """
        max_lanes = self._max_lanes[model]
        if session.lanes > max_lanes:
            raise SignalError(f"{session.lanes} channels; model {model!r} computes at most {max_lanes} at once")
        return ScheduledStream(self, session, model, budget_ns, max_pending, sink, loop)

    def counts(self, model: str) -> ModelCounts:
        """What was computed of `model` so far; a copy."""
        with self._lock:
            return self._counts[model].copy()

    # What `ScheduledStream` calls, on event loops.

    def arrived(self, stream: ScheduledStream) -> None:
        """Samples were fed: frames may have become complete."""
        with self._lock:
            stream.last_arrival_ns = time.monotonic_ns()
            self._count_frames(stream)
            self._enqueue(stream)

    def is_idle(self, stream: ScheduledStream) -> bool:
        """See `ScheduledStream.idle`."""
        with self._lock:
            return stream.unfinished == 0

    def release(self, stream: ScheduledStream, arrivals_ns: Sequence[int]) -> None:
        """See `ScheduledStream.release`."""
        now_ns = time.monotonic_ns()
        with self._lock:
            self._counts[stream.model].end_to_end.add([now_ns - arrival_ns for arrival_ns in arrivals_ns])
            stream.pending -= len(arrivals_ns)
            self._enqueue(stream)

    def detach(self, stream: ScheduledStream) -> None:
        """See `ScheduledStream.close`."""
        with self._lock:
            if stream.closed:
                return
            stream.closed = True
            stream.frames.clear()
            if stream.running:
                return  # _finish closes the session
        stream.session.close()

    # What follows is called with the lock held.

    def _count_frames(self, stream: ScheduledStream) -> None:
        """Give a deadline to each hop that has become complete.

        During a step the ring still holds the step's hop or does not: the doubtful one is counted after the step.
        """
        waiting = stream.session.ready - (1 if stream.running else 0)
        for _ in range(waiting - len(stream.frames)):
            # A frame that arrives behind others of its own stream is due one budget after them: a burst, such as a
            # file sent at once, queues behind live streams and not before them.
            arrival_ns = stream.last_arrival_ns
            base_ns = max(arrival_ns, stream.frames[-1][1]) if stream.frames else arrival_ns
            stream.frames.append((arrival_ns, base_ns + stream.budget_ns))
            stream.unfinished += 1

    def _enqueue(self, stream: ScheduledStream) -> None:
        if stream.queued or stream.running or stream.failed or stream.closed:
            return
        if not stream.frames or stream.pending >= stream.max_pending:
            return
        stream.queued = True
        heapq.heappush(self._ready[stream.model], (stream.frames[0][1], next(self._order), stream))
        self._wake.notify()

    def _first_model(self) -> str | None:
        """The model with a free executor whose first ready frame is due earliest."""
        best: tuple[int, int, str] | None = None
        for model, heap in self._ready.items():
            while heap and heap[0][2].closed:
                heapq.heappop(heap)
            if heap and self._idle_executors[model]:
                key = (heap[0][0], heap[0][1], model)
                best = key if best is None else min(best, key)
        return best[2] if best else None

    def _take_batch(self) -> tuple[str, StepExecutor, list[ScheduledStream], list[int]] | None:
        """An executor, the streams whose frames it shall compute, and those frames' arrivals; None: nothing to do."""
        model = self._first_model()
        if model is None:
            return None
        executor = self._idle_executors[model].pop()
        heap = self._ready[model]
        streams: list[ScheduledStream] = []
        arrivals: list[int] = []
        lanes = 0
        while heap:
            stream = heap[0][2]
            if not stream.closed and streams and lanes + stream.session.lanes > executor.max_lanes:
                break
            heapq.heappop(heap)
            if stream.closed:
                continue
            stream.queued, stream.running = False, True
            stream.pending += 1
            lanes += stream.session.lanes
            streams.append(stream)
            arrivals.append(stream.frames.popleft()[0])
        if self._first_model() is not None:
            self._wake.notify()  # another thread may take another model meanwhile
        return model, executor, streams, arrivals

    # What follows runs on compute threads.

    def _work(self) -> None:
        while True:
            with self._wake:
                batch = None
                while not self._stopping and batch is None:
                    batch = self._take_batch()
                    if batch is None:
                        self._wake.wait()
            if batch is None:
                return
            self._compute(*batch)

    def _compute(self, model: str, executor: StepExecutor, streams: list[ScheduledStream], arrivals: list[int]) -> None:
        started_ns = time.monotonic_ns()
        outcomes: list[FrameResult | Exception]
        try:
            executor.step([stream.session for stream in streams])
        except Exception as error:
            # Input is checked when it is fed, so this is a defect of the program; no state of the batch can be trusted.
            logger.exception("a step of model %r failed with %d streams in it", model, len(streams))
            outcomes = [error] * len(streams)
        else:
            compute_ns = time.monotonic_ns() - started_ns
            outcomes = [
                self._drain(stream, arrival_ns, started_ns, compute_ns)
                for stream, arrival_ns in zip(streams, arrivals, strict=True)
            ]
        self._finish(model, executor, streams, outcomes)

    def _drain(
        self, stream: ScheduledStream, arrival_ns: int, started_ns: int, compute_ns: int
    ) -> FrameResult | Exception:
        try:
            return FrameResult(stream.session.drain(), arrival_ns, started_ns - arrival_ns, compute_ns)
        except Exception as error:
            logger.exception("a session of model %r failed to give its output", stream.model)
            return error

    def _finish(
        self,
        model: str,
        executor: StepExecutor,
        streams: list[ScheduledStream],
        outcomes: list[FrameResult | Exception],
    ) -> None:
        by_loop: dict[asyncio.AbstractEventLoop, list[tuple[ScheduledStream, FrameResult | Exception | None]]] = {}
        with self._lock:
            self._idle_executors[model].append(executor)
            results = [outcome for outcome in outcomes if isinstance(outcome, FrameResult)]
            if results:
                self._counts[model].add([result.queue_time_ns for result in results], results[0].compute_time_ns)
            for stream, outcome in zip(streams, outcomes, strict=True):
                stream.running = False
                stream.failed = isinstance(outcome, Exception)
                if not stream.closed:
                    self._count_frames(stream)
                    self._enqueue(stream)
                by_loop.setdefault(stream.loop, []).append((stream, None if stream.closed else outcome))
            # Posted under the lock: the next frame of a stream can not overtake this one on another thread.
            for loop, handed in by_loop.items():
                try:
                    loop.call_soon_threadsafe(self._deliver, handed)
                except RuntimeError:  # the loop is closed: nobody is left to take results
                    logger.debug("results of %d streams dropped: their event loop is closed", len(handed))

    # Back on an event loop.

    def _deliver(self, handed: list[tuple[ScheduledStream, FrameResult | Exception | None]]) -> None:
        """Give each outcome to its sink; None: the stream was closed during the step, so its session is closed now."""
        with self._lock:
            for stream, _ in handed:
                stream.unfinished -= 1
        for stream, outcome in handed:
            if outcome is None:
                stream.session.close()
            elif stream.closed:
                continue  # closed after the step, session and all
            elif isinstance(outcome, Exception):
                stream.sink.frame_failed(outcome)
            else:
                stream.sink.frame_done(outcome)
