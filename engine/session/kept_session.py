"""A session that takes snapshots of itself while it is fed by one thread and stepped by another."""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .output import Output
from .resumable_session import ResumableSession
from .snapshot import Snapshot, packed

GOLDEN_RATIO = 0.618033988749895
"""Its multiples, less their whole parts, lie as far from each other as they can, however many there are."""

FIELDS_BYTES = 4096
"""What numbers, names and texts of a snapshot take at most."""

_opened = itertools.count()


class KeptSnapshot(NamedTuple):
    """A snapshot, and how far the stream was."""

    frames: int
    """Whose results were drained."""
    fed_samples: int
    """Of the input, at the stream's rate, or feature frames."""
    given_samples: int
    """Of the output, at the stream's rate."""
    data: bytes


Copied = Callable[[], KeptSnapshot]
"""A stream's state that was copied; the call makes a snapshot of it, on any thread."""


class KeptSession(ResumableSession):
    """A session for servers. Between two steps, each `interval_frames`, it appends to `taken`.

    That costs the copies of state and ring, on the thread that drains; feeding waits for it, and so do the streams of
    the same batch. So streams that open together have their turns apart: each one's first interval is shorter.
    """

    def __init__(self, *arguments: Any, interval_frames: int, **options: Any) -> None:
        """Open a stream as `Session` does."""
        self._feeding = threading.Lock()
        self._interval_frames = interval_frames
        self.taken: deque[Copied] = deque(maxlen=1)
        """The newest state, for one thread to pop and to make a snapshot of."""
        self.on_close: Callable[[Copied], None] | None = None
        """Is given how the stream stands when it is closed; of one that was flushed, how it stood before."""
        self._unflushed: Copied | None = None
        super().__init__(*arguments, **options, resumable=True)
        self._last_frames = self._first_turn = -int(next(_opened) * GOLDEN_RATIO % 1 * interval_frames)

    def go_on_from(self, snapshot: bytes) -> None:
        """Go on where `snapshot` was taken, before anything is fed; on any thread. Takes milliseconds.

        Raises SnapshotError, StreamClosedError.
        """
        with self._feeding:
            Snapshot.read(snapshot).restore(self)
            self._last_frames = self.frames + self._first_turn

    def accept(self, block: np.ndarray) -> None:
        """See `Session.accept`."""
        with self._feeding:
            super().accept(block)

    def flush(self) -> None:
        """See `Session.flush`."""
        with self._feeding:
            if self._final_steps is None:
                self._unflushed = self._copied()
            super().flush()

    def drain(self) -> Output:
        """See `Session.drain`."""
        output = super().drain()
        if self.frames - self._last_frames >= self._interval_frames:
            self._take()
        return output

    @property
    def most_snapshot_bytes(self) -> int:
        """No snapshot of it is larger."""
        return FIELDS_BYTES + self.lanes * self.spec.program.state_bytes + self.signal_bytes

    def now(self) -> Copied:
        """How it stands; not while it is stepped."""
        with self._feeding:
            return self._copied()

    def close(self) -> None:
        """See `Session.close`; tells `on_close`."""
        on_close, self.on_close = self.on_close, None
        try:
            if on_close is not None:
                with self._feeding:
                    copied = self._unflushed or self._copied()
                on_close(copied)
        finally:
            super().close()

    def _take(self) -> None:
        with self._feeding:
            if self._final_steps is not None:
                return
            self._last_frames = self.frames
            self.taken.append(self._copied())

    def _copied(self) -> Copied:
        """With the lock held, between two steps."""
        frames, fed_samples, given_samples = self.frames, self.fed_samples, self.given_samples
        spec, sample_rate_hz, channels, saved = self.spec, self.sample_rate_hz, self.channels, self.save()
        return lambda: KeptSnapshot(frames, fed_samples, given_samples, packed(spec, sample_rate_hz, channels, saved))
