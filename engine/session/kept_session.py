"""A session that takes snapshots of itself while it is fed by one thread and stepped by another."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .output import Output
from .resumable_session import ResumableSession
from .snapshot import Snapshot, checked, packed


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

    Taking one costs the copies of state and ring, on the thread that drains; feeding waits for it, and no other stream.
    """

    def __init__(self, *arguments: Any, interval_frames: int, snapshot: bytes | None = None, **options: Any) -> None:
        """Open a stream as `Session` does, or go on with one from its snapshot. Raises SnapshotError besides."""
        self._feeding = threading.Lock()
        self._interval_frames = interval_frames
        self.taken: deque[KeptSnapshot] = deque(maxlen=1)
        """The newest snapshot, for one thread to pop."""
        self.on_close: Callable[[Copied], None] | None = None
        """Is given how the stream stands when it is closed; of one that was flushed, how it stood before."""
        self._unflushed: Copied | None = None
        super().__init__(*arguments, **options, resumable=True)
        if snapshot is not None:
            try:
                Snapshot.read(snapshot).restore(self)
            except Exception:
                self.close()
                raise
        self._last_frames = self.frames

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

    def now(self) -> KeptSnapshot:
        """A snapshot; not while it is stepped."""
        with self._feeding:
            copied = self._copied()
        return copied()

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
            copied = self._copied()
        self.taken.append(copied())

    def _copied(self) -> Copied:
        """With the lock held, between two steps."""
        frames, fed_samples, given_samples, data = self.frames, self.fed_samples, self.given_samples, packed(self)
        return lambda: KeptSnapshot(frames, fed_samples, given_samples, checked(data))
