"""The end of a server's streams: each is told how long it has, may go on for so long, and is then ended."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

LEAVE_S = 2.0
"""After the grace, for results that are computed or on their way, and the status behind them."""


class Leaver(Protocol):
    """A live stream. Both methods return at once."""

    def notice(self, grace_s: float, /) -> None:
        """Tell the client that the server will stop."""
        ...

    def leave(self) -> None:
        """End the stream with DrainingError, behind what is on its way."""
        ...


class Drain:
    """The live streams of one event loop, and when they have to go."""

    def __init__(self) -> None:
        self._streams: set[Leaver] = set()
        self._ends_s: float | None = None
        """Of the loop's clock; None: no stop was asked for."""
        self._nobody = asyncio.Event()
        self._nobody.set()

    @contextmanager
    def member(self, stream: Leaver) -> Iterator[None]:
        """Tell and end `stream` with all others for as long as the context lasts."""
        self._streams.add(stream)
        self._nobody.clear()
        if self._ends_s is not None:  # it was let in right before
            stream.notice(max(0.0, self._ends_s - asyncio.get_running_loop().time()))
        try:
            yield
        finally:
            self._streams.discard(stream)
            if not self._streams:
                self._nobody.set()

    async def run(self, grace_s: float) -> float:
        """Tell all streams; return once they are gone, or LEAVE_S after those were ended that took all of the grace.

        Without a grace, return at once. Returns what is left of it, in seconds.
        """
        loop = asyncio.get_running_loop()
        ends_s = loop.time() + grace_s
        if grace_s > 0 and self._ends_s is None:
            self._ends_s = ends_s
            for stream in list(self._streams):
                stream.notice(grace_s)
        if grace_s > 0 and not await self.emptied(grace_s):
            for stream in list(self._streams):
                stream.leave()
            await self.emptied(LEAVE_S)
        return max(0.0, ends_s - loop.time())

    async def emptied(self, timeout_s: float) -> bool:
        """Whether no stream is left, for which to wait this long."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._nobody.wait()
        except TimeoutError:
            return False
        return True
