"""When a client's samples arrived, also those that the server was not ready to read."""

from __future__ import annotations

LIVE_SHARE = 0.5
"""Of their own length, that chunks have to take to come; those that come sooner had been waiting to be read."""
REMEMBERED_SHARE = 0.9
"""What the next chunk leaves of what is known of those before: one that comes late by chance decides nothing."""


class ArrivalClock:
    """The arrival of what is fed to a stream, in `time.monotonic_ns`.

    While a stream's ring is full nothing is read of its call, and what its client goes on sending waits where nobody
    sees it. What is there at once when it is read afterwards is taken to have been sent since then in real time. A live
    signal is so; a file that is sent faster is late only where it is computed slower than that.
    """

    def __init__(self, sample_ns: float) -> None:
        """`sample_ns` is how long a sample, or feature frame, lasts."""
        self._sample_ns = sample_ns
        self._behind = False
        self._arrival_ns = 0
        self._fed_ns = 0
        self._chunk_ns = 0.0
        # Of the last chunks since it is behind: how long they last, and how long it took until they were read.
        self._lasted_ns = self._waited_ns = 0.0

    def begin(self, samples: int, now_ns: int) -> None:
        """A chunk of `samples` was read."""
        self._chunk_ns = samples * self._sample_ns
        if self._behind:
            self._lasted_ns = REMEMBERED_SHARE * self._lasted_ns + self._chunk_ns
            self._waited_ns = REMEMBERED_SHARE * self._waited_ns + now_ns - self._fed_ns
            self._behind = self._waited_ns < LIVE_SHARE * self._lasted_ns

    def hold(self) -> None:
        """There is no room for the rest of the chunk, nor for what comes after it."""
        if not self._behind:
            self._behind = True
            self._lasted_ns, self._waited_ns = self._chunk_ns / (1 - REMEMBERED_SHARE), 0.0

    def feed(self, samples: int, now_ns: int) -> int:
        """Return when these samples of the chunk arrived."""
        self._fed_ns = now_ns
        if self._behind:
            self._arrival_ns += round(samples * self._sample_ns)
            self._behind = self._arrival_ns + self._chunk_ns < now_ns
        if not self._behind:
            self._arrival_ns = now_ns
        return self._arrival_ns
