"""A stream in the scheduler's hands: what the scheduler needs of its session, and what it keeps of it."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from .deadlines import Deadlines, Outcome

if TYPE_CHECKING:
    from .scheduled_model import ScheduledModel


class ScheduledSession(Protocol):
    """What the scheduler needs of a session. Its ring has one producer (`feed`, `flush`) and one consumer (a step)."""

    lanes: int
    """How many of an executor's lanes a step of this session takes."""

    @property
    def completed(self) -> int:
        """Frames that have become complete since the signal's start; only the producer's calls change it."""
        ...

    @property
    def ready(self) -> int:
        """Complete frames that wait in the ring."""
        ...

    @property
    def free_samples(self) -> int:
        """How many samples a channel `feed` accepts now, at the stream's rate."""
        ...

    @property
    def bypassed(self) -> bool:
        """Whether the last frame's audio is its input; asked only of sessions that `bypass`."""
        ...

    def feed(self, chunk: np.ndarray) -> None:
        """Take `chunk`, `[samples]` or `[samples, channels]`. Raises SignalError and then has taken nothing."""
        ...

    def flush(self) -> None:
        """Mark the end: pad so that `ready` covers everything that was fed. Called with `ready` = 0."""
        ...

    def bypass(self) -> None:
        """Take a frame as a step does, but give out its input in its place; where the stream's policy says so."""
        ...

    def drain(self) -> Any:
        """All that came out since the last drain; after the flush, once `ready` is 0, the tail too: one drain."""
        ...

    def close(self) -> None:
        """Give back the session's slots. Never called during a step."""
        ...


class FrameResult(NamedTuple):
    """One frame: what the session gave, what became of it, when it came, how long it waited and its batch computed."""

    output: Any
    """There even of a skipped frame, for what is missing has to be counted."""
    outcome: Outcome
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


class Frame(NamedTuple):
    """A frame that waits; times of `time.monotonic_ns`."""

    arrival_ns: int
    """Of its last sample."""
    expected_ns: int
    """When it is taken to have arrived: see `Deadlines`."""
    deadline_ns: int


class StreamOwner(Protocol):
    """What a stream tells the scheduler."""

    def arrived(self, stream: ScheduledStream, arrival_ns: int, /) -> None:
        """Samples were fed that arrived then: frames may have become complete."""
        ...

    def is_idle(self, stream: ScheduledStream, /) -> bool:
        """See `ScheduledStream.idle`."""
        ...

    def release(self, stream: ScheduledStream, arrivals_ns: Sequence[int], /) -> None:
        """See `ScheduledStream.release`."""
        ...

    def detach(self, stream: ScheduledStream, /) -> None:
        """See `ScheduledStream.close`."""
        ...


class ScheduledStream:
    """One session in the scheduler's hands; made by `Scheduler.attach`. Its methods are for the event loop's thread.

    Its attributes are the scheduler's, and guarded by its lock where they are not the event loop's alone.
    """

    def __init__(
        self,
        owner: StreamOwner,
        session: ScheduledSession,
        model: ScheduledModel,
        deadlines: Deadlines,
        max_pending: int,
        sink: FrameSink,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._owner = owner
        self.session = session
        self.model = model
        self.deadlines = deadlines
        self.max_pending = max_pending
        self.sink: FrameSink | None = sink
        """None: it was closed."""
        self.loop = loop
        self.pending = 0  # frames that are computing or were computed and not released yet
        self.unfinished = 0  # frames that have arrived and were not handed to the sink yet; the event loop's
        self.frames: deque[Frame] = deque()  # those that wait
        self._completed = session.completed - session.ready  # frames that were counted; the event loop's
        self.queued = False
        self.running = False
        self.failed = False
        self.closed = False

    def feed(self, chunk: np.ndarray, arrival_ns: int | None = None) -> None:
        """Hand `chunk` to the session; at most `session.free_samples` long. Raises SignalError.

        `arrival_ns`: when it came, in `time.monotonic_ns`; None: now.
        """
        self.session.feed(chunk)
        self._owner.arrived(self, time.monotonic_ns() if arrival_ns is None else arrival_ns)

    def go_on(self) -> None:
        """Compute the frames that the session came with: it goes on from a snapshot, whose ring was not empty."""
        self._owner.arrived(self, time.monotonic_ns())

    def flush(self) -> None:
        """End the signal. Only when `idle`."""
        self.session.flush()
        self._owner.arrived(self, time.monotonic_ns())

    @property
    def idle(self) -> bool:
        """True when every frame that has arrived was computed and handed to the sink."""
        return self._owner.is_idle(self)

    def release(self, arrivals_ns: Sequence[int]) -> None:
        """Say that the results of frames with these arrivals are on their way, which makes room for as many more."""
        self._owner.release(self, arrivals_ns)

    def close(self) -> None:
        """Leave the scheduler and close the session: at once, or right after the step that it is in."""
        self._owner.detach(self)

    def count_arrived(self) -> int:
        """Frames that have become complete since the last call. On the event loop."""
        completed = self.session.completed
        count = completed - self._completed
        self._completed = completed
        self.unfinished += count
        return count

    def add_frames(self, count: int, arrival_ns: int) -> None:
        """Give a deadline to each of the frames that have become complete. With the scheduler's lock held."""
        for _ in range(count):
            before_ns = self.frames[-1].expected_ns if self.frames else None
            expected_ns = self.deadlines.expected_ns(arrival_ns, before_ns)
            self.frames.append(Frame(arrival_ns, expected_ns, expected_ns + self.deadlines.budget_ns))

    @property
    def can_run(self) -> bool:
        """Whether its first frame may be computed now. With the scheduler's lock held."""
        return (
            bool(self.frames) and self.pending < self.max_pending and not (self.running or self.failed or self.closed)
        )
