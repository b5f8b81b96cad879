"""Wakes the one task that waits for something: at half the cost of an `asyncio.Event`, twice for each message."""

from __future__ import annotations

import asyncio


class Bell:
    """`next` waits for the next `ring`; a ring that nobody waits for is lost. For one loop, and one task at a time."""

    __slots__ = ("_loop", "_waiter")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiter: asyncio.Future[None] | None = None

    def ring(self) -> None:
        """Wake who waits."""
        waiter = self._waiter
        if waiter is not None:
            self._waiter = None
            if not waiter.done():  # cancelled, and not run since
                waiter.set_result(None)

    async def next(self) -> None:
        """Return once it rings; what is waited for was looked at right before, on this loop."""
        self._waiter = self._loop.create_future()
        await self._waiter
