"""Gives compute threads to live sessions: earliest deadline first, the ready frames of one model in one batch.

Three rules keep it simple and safe:

- A session is in at most one batch, with at most one frame, so its state advances in order and in one thread.
- An executor serves one thread at a time; nobody waits for a batch to fill. Load makes batches, idleness makes latency.
- A session whose results nobody takes is not scheduled on (`max_pending`), so its ring fills and its sender waits.

Event loops and compute threads share Python's one lock, so they meet as seldom as they can: what an event loop has to
say goes into an inbox, of which the compute threads take all that is there at once, and a thread that sleeps is woken
once for all that an event loop has read in one turn.

Times are `time.monotonic_ns()`.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from ..errors import SignalError
from .counts import ModelCounts
from .deadlines import Deadlines, LatePolicy, Outcome
from .ready_queue import ReadyQueue
from .scheduled import Frame, FrameResult, FrameSink, ScheduledSession, ScheduledStream
from .scheduled_model import ScheduledModel, StepExecutor

logger = logging.getLogger(__name__)

Taken = list[tuple[ScheduledStream, Frame]]
"""Streams, each with the frame that is to be computed of it."""


class Scheduler:
    """Earliest deadline first over the ready sessions of all models, on `threads` compute threads."""

    def __init__(self, threads: int = 1) -> None:
        if threads < 1:
            raise ValueError(f"threads is {threads}; at least 1 works")
        self._models: list[ScheduledModel] = []
        self._past: dict[str, ModelCounts] = {}
        """By name: what was computed of models that were removed."""
        self._order = itertools.count()
        self._lock = threading.Lock()
        self._inbox: deque[tuple[ScheduledStream, int, int]] = deque()
        """Stream, frames that arrived (below 0: were released), and when: from event loops, without the lock."""
        self._sleeping = 0  # threads; changed with the lock held
        self._rung = False  # a sleeping thread is being woken, and will look into the inbox
        self._wakes: queue.SimpleQueue[None] = queue.SimpleQueue()
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
        with self._lock:
            self._stopping = True
        for _ in self._threads:
            self._wakes.put(None)
        for thread in self._threads:
            if thread.is_alive():
                thread.join()

    def add(self, name: str, executors: Sequence[StepExecutor]) -> ScheduledModel:
        """Compute a model more from now on; with n executors, n threads can compute it at once.

        Streams of models that were added apart never share a batch, also where the models have the same name.
        """
        model = ScheduledModel(
            name,
            len(executors),
            list(executors),
            min(executor.max_lanes for executor in executors),
            ReadyQueue(self._order),
        )
        with self._lock:
            self._models.append(model)
        return model

    def remove(self, model: ScheduledModel) -> None:
        """Forget a model that has no streams any more, and let go of its executors; what it computed stays counted."""
        with self._lock:
            self._take_in()  # what its last streams have said would keep them here until somebody looks
            self._wake_another()  # there may have been more to take in
            model.removed = True
            self._forget_idle(model)

    def attach(
        self,
        session: ScheduledSession,
        *,
        model: ScheduledModel,
        deadlines: Deadlines,
        sink: FrameSink,
        loop: asyncio.AbstractEventLoop,
        max_pending: int = 32,
    ) -> ScheduledStream:
        """Schedule `session` from now on; at most `max_pending` results wait for `release`.

        Raises SignalError when the session needs more lanes than the model's executors have.
        """
        if session.lanes > model.max_lanes:
            raise SignalError(
                f"{session.lanes} channels; model {model.name!r} computes at most {model.max_lanes} at once"
            )
        return ScheduledStream(self, session, model, deadlines, max_pending, sink, loop)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the models that frames are or were computed of."""
        with self._lock:
            return tuple({**self._past, **dict.fromkeys(model.name for model in self._models)})

    def counts(self, name: str) -> ModelCounts:
        """What was computed so far of all models of that name, removed ones too; a copy."""
        with self._lock:
            total = ModelCounts()
            for counts in (self._past.get(name), *(model.counts for model in self._models if model.name == name)):
                if counts is not None:
                    total.merge(counts)
            return total

    def counts_of(self, model: ScheduledModel) -> ModelCounts:
        """What was computed of this one alone; a copy."""
        with self._lock:
            return model.counts.copy()

    def batches(self, model: ScheduledModel) -> dict[int, tuple[int, int]]:
        """Streams in a batch -> such batches of `model` so far, and the ns that they computed in all."""
        with self._lock:
            by_size = model.counts.by_size
            return {size: (batch.batches, batch.compute_ns) for size, batch in by_size.items()}

    # What `ScheduledStream` calls, on event loops.

    def arrived(self, stream: ScheduledStream, arrival_ns: int) -> None:
        """Samples were fed that arrived then: frames may have become complete."""
        if count := stream.count_arrived():
            self._inbox.append((stream, count, arrival_ns))
            self._ring(stream.loop)

    def is_idle(self, stream: ScheduledStream) -> bool:
        """See `ScheduledStream.idle`."""
        return stream.unfinished == 0  # only the event loop's thread changes it

    def release(self, stream: ScheduledStream, arrivals_ns: Sequence[int]) -> None:
        """See `ScheduledStream.release`."""
        now_ns = time.monotonic_ns()
        stream.model.counts.end_to_end.add([now_ns - arrival_ns for arrival_ns in arrivals_ns])
        self._inbox.append((stream, -len(arrivals_ns), now_ns))
        if stream.pending >= stream.max_pending:  # else it does not wait for this
            self._ring(stream.loop)

    def detach(self, stream: ScheduledStream) -> None:
        """See `ScheduledStream.close`."""
        with self._lock:
            if stream.closed:
                return
            stream.closed = True
            stream.sink = None  # which most often knows the stream: neither keeps the other in memory
            stream.frames.clear()
            if stream.running:
                return  # _finish closes the session
        stream.session.close()

    def _ring(self, loop: asyncio.AbstractEventLoop) -> None:
        """Wake a sleeping thread once `loop` has done what it is at, for there may be more to come."""
        # A thread that goes to sleep counts itself first, and then looks into the inbox: what is put there is seen.
        if self._sleeping and not self._rung:
            self._rung = True
            loop.call_soon(self._wakes.put, None)

    # What follows is called with the lock held.

    def _take_in(self) -> None:
        """Look at all that came into the inbox."""
        while self._inbox:
            stream, count, now_ns = self._inbox.popleft()
            if count > 0:
                stream.add_frames(count, now_ns)
            else:
                stream.pending += count
            self._enqueue(stream)

    def _enqueue(self, stream: ScheduledStream) -> None:
        if stream.can_run and not stream.queued:
            stream.model.ready.push(stream)

    def _forget_idle(self, model: ScheduledModel) -> None:
        """Forget a model that was removed, unless a batch of it is still computed, for streams that were closed."""
        if len(model.idle) == model.executors:
            self._models.remove(model)
            model.let_go()
            self._past.setdefault(model.name, ModelCounts()).merge(model.counts)

    def _first_model(self) -> ScheduledModel | None:
        """The model with a free executor whose first ready frame is due earliest."""
        firsts = [(first, model) for model in self._models if model.idle and (first := model.ready.first()) is not None]
        return min(firsts)[1] if firsts else None

    def _take_batch(self) -> tuple[ScheduledModel, StepExecutor, Taken] | None:
        """An executor and what it shall compute; None: nothing to do."""
        model = self._first_model()
        if model is None:
            return None
        executor = model.idle.pop()
        taken = model.ready.take_batch(executor.max_lanes)
        self._wake_another()
        return model, executor, taken

    def _take_late(self) -> tuple[ScheduledModel, Taken] | None:
        """A model's streams whose late frames are to be bypassed."""
        for model in self._models:
            if taken := model.ready.take_late(time.monotonic_ns()):
                self._wake_another()
                return model, taken
        return None

    def _wake_another(self) -> None:
        """Another thread may take another model meanwhile."""
        if self._sleeping and self._first_model() is not None:
            self._wakes.put(None)

    # What follows runs on compute threads.

    def _work(self) -> None:
        while True:
            with self._lock:
                work = self._next_work()
                asleep = work is None and not self._stopping
                self._sleeping += asleep
            if work is not None:
                work()
            elif not asleep:
                return
            else:
                if not self._inbox:
                    self._wakes.get()
                with self._lock:
                    self._sleeping -= 1
                self._rung = False

    def _next_work(self) -> Callable[[], None] | None:
        """What to do now; None: nothing. With the lock held."""
        if self._stopping:
            return None
        self._take_in()
        # Late frames first: they cost next to nothing, and who listens waits for them.
        if late := self._take_late():
            return partial(self._bypass, *late)
        if batch := self._take_batch():
            return partial(self._compute, *batch)
        return None

    def _compute(self, model: ScheduledModel, executor: StepExecutor, taken: Taken) -> None:
        started_ns = time.monotonic_ns()
        outcomes: list[FrameResult | Exception]
        try:
            executor.step([stream.session for stream, _ in taken])
        except Exception as error:
            # Input is checked when it is fed, so this is a defect of the program; no state of the batch can be trusted.
            about = {"event": "step_failed", "model": model.name, "streams": len(taken)}
            logger.exception("a step of model %r failed with %d streams in it", model.name, len(taken), extra=about)
            outcomes = [error] * len(taken)
        else:
            ended_ns = time.monotonic_ns()
            outcomes = [_computed(stream, frame, started_ns, ended_ns) for stream, frame in taken]
        self._finish(model, executor, taken, outcomes)

    def _bypass(self, model: ScheduledModel, taken: Taken) -> None:
        started_ns = time.monotonic_ns()
        outcomes = [_bypassed(stream, frame, started_ns) for stream, frame in taken]
        self._finish(model, None, taken, outcomes)

    def _finish(
        self,
        model: ScheduledModel,
        executor: StepExecutor | None,
        taken: Taken,
        outcomes: list[FrameResult | Exception],
    ) -> None:
        by_loop: dict[asyncio.AbstractEventLoop, list[tuple[ScheduledStream, FrameResult | Exception | None]]] = {}
        results = [outcome for outcome in outcomes if isinstance(outcome, FrameResult)]
        with self._lock:
            if executor is not None:
                model.idle.append(executor)
                if results:
                    model.counts.add_batch([one.queue_time_ns for one in results], results[0].compute_time_ns)
            model.counts.add_outcomes(one.outcome for one in results)
            if model.removed:
                self._forget_idle(model)
            for (stream, _), outcome in zip(taken, outcomes, strict=True):
                stream.running = False
                stream.failed = isinstance(outcome, Exception)
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
        for stream, _ in handed:
            stream.unfinished -= 1
        for stream, outcome in handed:
            try:
                _hand(stream, outcome)
            except Exception as error:
                about = {"event": "result_lost", "model": stream.model.name}
                logger.exception("a stream of model %r did not take its result", stream.model.name, extra=about)
                if stream.sink is not None:
                    with suppress(Exception):  # which would be one more of the same
                        stream.sink.frame_failed(error)


def _hand(stream: ScheduledStream, outcome: FrameResult | Exception | None) -> None:
    """Give one outcome to its sink; see `Scheduler._deliver`."""
    sink = stream.sink
    if outcome is None:
        stream.session.close()
    elif sink is None:
        return  # closed after the step, session and all
    elif isinstance(outcome, Exception):
        sink.frame_failed(outcome)
    else:
        sink.frame_done(outcome)


def _computed(stream: ScheduledStream, frame: Frame, started_ns: int, ended_ns: int) -> FrameResult | Exception:
    """The result of a stream's frame that a batch has just computed."""
    late, policy = started_ns > frame.deadline_ns, stream.deadlines.policy
    output = _drained(stream)
    if isinstance(output, Exception):
        return output
    if policy is LatePolicy.SKIP and late:
        outcome = Outcome.SKIPPED
    elif policy is LatePolicy.BYPASS and stream.session.bypassed:
        outcome = Outcome.BYPASSED
    else:
        outcome = Outcome.LATE if ended_ns > frame.deadline_ns else Outcome.MET
    return FrameResult(output, outcome, frame.arrival_ns, started_ns - frame.arrival_ns, ended_ns - started_ns)


def _bypassed(stream: ScheduledStream, frame: Frame, started_ns: int) -> FrameResult | Exception:
    """The result of a stream's frame that is late, and not computed."""
    output = _drained(stream, bypass=True)
    if isinstance(output, Exception):
        return output
    return FrameResult(output, Outcome.BYPASSED, frame.arrival_ns, started_ns - frame.arrival_ns, 0)


def _drained(stream: ScheduledStream, *, bypass: bool = False) -> Any:
    """What the session gives, or the error that it raises."""
    try:
        if bypass:
            stream.session.bypass()
        return stream.session.drain()
    except Exception as error:
        about = {"event": "step_failed", "model": stream.model.name, "streams": 1}
        logger.exception("a session of model %r failed to give its output", stream.model.name, extra=about)
        return error
