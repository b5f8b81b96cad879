"""One stream of a load: opens, sends its chunks when they are due, notes when their frames are answered, and ends."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from enum import Enum

import grpc
import numpy as np

from ..latency import LatencyTracker
from .connection import Call, Connection
from .figures import Figures
from .pacer import Pacer
from .plan import NS, Plan
from .pool import Pool
from .wire import Wire

CODES = {code.value[0]: code.name for code in grpc.StatusCode}


class _State(Enum):
    OPENING = "opening"
    LIVE = "live"
    ENDING = "ending"
    OVER = "over"


class Player:
    """Plays one `Plan`. Its methods are called on the event loop of its pacer."""

    def __init__(
        self, plan: Plan, wire: Wire, pool: Pool, pacer: Pacer, figures: Figures, begin_ns: int, depth: int,
        over: Callable[[], None],
    ) -> None:  # fmt: skip
        """`begin_ns` is when the load began on `time.monotonic_ns`; `over` is called once when the stream is."""
        self._plan = plan
        self._wire = wire
        self._pool = pool
        self._pacer = pacer
        self._figures = figures
        self._begin_ns = begin_ns
        self._depth = depth
        self._over = over
        self._draw = random.Random(plan.seed)  # noqa: S311 - traffic, not secrets
        self._chunk_ns = wire.chunk_samples * NS / wire.sample_rate_hz
        self._ends_ns = begin_ns + plan.opens_ns + plan.duration_ns
        self._state = _State.OPENING
        self._connection: Connection | None = None
        self._call: Call | None = None
        self._tracker: LatencyTracker | None = None
        self._opened_ns = 0
        self._first_ns = 0
        self._chunks = 0
        self._frames = 0

    def open(self, due_ns: int) -> None:
        """Begin, when the plan says so."""
        self._opened_ns = due_ns
        self._figures.counts["streams"] += 1
        self._pool.lend(self._call_on, alone=self._plan.ending == "vanish")

    def give_up(self) -> None:
        """The load is over: what has no answer now never will have."""
        if self._state is not _State.OVER:
            if self._call is not None:
                self._call.cancel()
            self._end("OK" if self._state is _State.LIVE else "unanswered")

    def message(self, data: bytes) -> None:
        """A response has come."""
        if self._state is _State.OVER:
            return
        now_ns = time.monotonic_ns()
        self._figures.counts["responses"] += 1
        answer = self._wire.read(self._plan, data, self._frames, self._complete())
        if isinstance(answer, int):
            self._figures.opening.add(np.array([now_ns - self._opened_ns]))
            self._begin(answer)
            return
        counts = self._figures.counts
        counts["missed"] += answer.missed
        counts["late by the server"] += answer.late
        counts["wrong"] += answer.wrong
        if self._tracker is None or not answer.frames:
            return
        for latency_ns in self._tracker.received(self._frames, answer.frames, now_ns):
            due_ns = now_ns - int(latency_ns) - self._begin_ns
            self._figures.answered(due_ns, int(latency_ns), answer.queue_ns, answer.compute_ns)
        self._frames += answer.frames
        if self._depth and self._state is _State.LIVE:
            for _ in range(answer.frames):
                self._send_chunk(now_ns)
            if now_ns >= self._ends_ns:
                self._finish(now_ns)

    def ended(self, code: int, details: str) -> None:
        """The call has ended."""
        if self._state is not _State.OVER:
            self._end(CODES.get(code, str(code)))

    def _call_on(self, connection: Connection | None) -> None:
        if connection is None:
            self._end("no connection")
            return
        self._connection = connection
        self._call = connection.call(self._wire.path, self)
        if opening := self._wire.opening(self._plan):
            self._call.send(opening)
            self._figures.counts["requests"] += 1
        if not self._wire.announces:
            self._begin(int(self._wire.hop_samples))

    def _begin(self, first_frame_samples: int) -> None:
        """From now on the signal goes by, from some place within a chunk."""
        now_ns = time.monotonic_ns()
        self._state = _State.LIVE
        self._tracker = LatencyTracker(first_frame_samples, self._wire.hop_samples)
        if self._depth:
            ahead = -(-first_frame_samples // self._wire.chunk_samples) - 1 + self._depth
            for _ in range(ahead):
                self._send_chunk(now_ns)
            return
        self._first_ns = now_ns + int(self._draw.random() * self._chunk_ns)
        self._pacer.at(self._next_due_ns(), self._send_burst)

    def _next_due_ns(self) -> int:
        """When the next burst is due: once its last chunk is recorded, and as late as this client's line brings it."""
        recorded_ns = self._first_ns + int((self._chunks + self._plan.burst_chunks) * self._chunk_ns)
        return recorded_ns + int(self._draw.random() * self._plan.jitter_ns)

    def _send_burst(self, due_ns: int) -> None:
        if self._state is not _State.LIVE:
            return
        if due_ns > self._ends_ns:
            self._finish(due_ns)
            return
        for _ in range(self._plan.burst_chunks):
            self._send_chunk(due_ns)
        self._figures.sent(due_ns - self._begin_ns, time.monotonic_ns() - due_ns)
        self._pacer.at(max(self._next_due_ns(), due_ns), self._send_burst)

    def _send_chunk(self, due_ns: int) -> None:
        assert self._call is not None
        assert self._tracker is not None
        self._call.send(self._wire.chunk(self._plan, self._chunks))
        self._tracker.sent(self._wire.chunk_samples, due_ns)
        self._chunks += 1
        self._figures.counts["requests"] += 1

    def _complete(self) -> int:
        """Frames that the chunks sent so far have completed."""
        if self._tracker is None:
            return 0
        beyond = self._chunks * self._wire.chunk_samples - self._tracker.first_frame_samples
        return max(0, int(beyond // self._tracker.hop_samples) + 1)

    def _finish(self, due_ns: int) -> None:
        """End as the plan says."""
        assert self._call is not None
        assert self._connection is not None
        if self._plan.ending == "cancel":
            self._call.cancel()
            self._end("cancelled")
        elif self._plan.ending == "vanish":
            self._connection.reset()
            self._end("vanished")
        else:
            self._state = _State.ENDING
            self._call.send(self._wire.closing(self._plan), last=True)

    def _end(self, how: str) -> None:
        if how not in ("cancelled", "vanished"):
            self._figures.counts["missed"] += max(0, self._complete() - self._frames)
        self._state = _State.OVER
        self._figures.endings[how] += 1
        if self._connection is not None:
            self._pool.give_back(self._connection)
        self._over()
