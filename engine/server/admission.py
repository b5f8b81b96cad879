"""Counts the live streams and says whether one more may come in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from .status import DrainingError, TooManyStreamsError


class Admission:
    """At most `max_streams` live streams; none once `drain` was called. For the event loop's thread.

    A stream that was ended for a client that does not read lingers: gRPC keeps it, with the message it could not
    deliver, until the client takes its end or goes. There are as many places for those: neither kind grows without end.
    """

    def __init__(self, max_streams: int) -> None:
        self._max_streams = max_streams
        self._live = 0
        self._lingering = 0
        self._draining = False

    @property
    def live(self) -> int:
        """How many streams are in."""
        return self._live

    @property
    def draining(self) -> bool:
        """Whether `drain` was called."""
        return self._draining

    def drain(self) -> None:
        """Admit nobody from now on."""
        self._draining = True

    @contextmanager
    def admit(self) -> Iterator[None]:
        """Hold a place for as long as the context lasts. Raises TooManyStreamsError, DrainingError."""
        if self._draining:
            raise DrainingError("the server is stopping and takes no new streams; try another one")
        if self._live >= self._max_streams:
            raise TooManyStreamsError(f"the server has {self._live} streams, as many as it takes; try again later")
        if self._lingering >= self._max_streams:
            raise TooManyStreamsError("too many clients have not taken the end of their streams; try again later")
        self._live += 1
        try:
            yield
        finally:
            self._live -= 1

    @contextmanager
    def linger(self) -> Iterator[None]:
        """Count a stream that has ended for as long as its client has not been told."""
        self._lingering += 1
        try:
            yield
        finally:
            self._lingering -= 1
