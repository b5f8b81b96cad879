"""Whose evaluation is next: a bounded queue by priority, on one event loop."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ..status import QueueFullError, QueueTimeoutError


class TurnQueue:
    """`turns` evaluations at a time; others wait, the highest priority first and equal ones in their order."""

    def __init__(self, turns: int, max_waiting: int) -> None:
        self._free = turns
        self._max_waiting = max_waiting
        self._order = itertools.count()
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []

    @property
    def waiting(self) -> int:
        """How many wait for their turn."""
        return len(self._waiting)

    @asynccontextmanager
    async def turn(self, priority: int, timeout_s: float | None) -> AsyncIterator[None]:
        """Hold a turn for as long as the context lasts; a lower number of `priority` goes first.

        Raises:
            QueueFullError: too many wait already.
            QueueTimeoutError: no turn came within `timeout_s`; None waits for ever.
        """
        if self._free:
            self._free -= 1
        else:
            await self._wait(priority, timeout_s)
        try:
            yield
        finally:
            self._pass_on()

    async def _wait(self, priority: int, timeout_s: float | None) -> None:
        if len(self._waiting) >= self._max_waiting:
            raise QueueFullError(f"{len(self._waiting)} evaluations wait, as many as may; try again later")
        place = (priority, next(self._order), asyncio.get_running_loop().create_future())
        heapq.heappush(self._waiting, place)
        try:
            async with asyncio.timeout(timeout_s):
                await place[2]
        except BaseException as error:  # cancelled, which a timeout is too
            if place in self._waiting:
                self._waiting.remove(place)
                heapq.heapify(self._waiting)
            elif not place[2].cancelled():  # its turn came at the same moment
                self._pass_on()
            if isinstance(error, TimeoutError):
                raise QueueTimeoutError(f"the request waited longer than its timeout of {timeout_s:g} s") from None
            raise

    def _pass_on(self) -> None:
        """Give a turn to who waits first, or keep it for who comes."""
        while self._waiting:
            coming = heapq.heappop(self._waiting)[2]
            if not coming.done():  # who is cancelled stays in the queue until its task runs
                coming.set_result(None)
                return
        self._free += 1
