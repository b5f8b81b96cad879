"""Calls what is due, when it is due: one timer for all streams."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections.abc import Callable

Action = Callable[[int], None]
"""Takes the time at which it was due."""


class Pacer:
    """A queue of actions by `time.monotonic_ns`, on one event loop; `after` is called after those due at one time."""

    def __init__(self, loop: asyncio.AbstractEventLoop, after: Callable[[], None]) -> None:
        self._loop = loop
        self._after = after
        self._due: list[tuple[int, int, Action]] = []
        self._order = itertools.count()
        self._timer: asyncio.TimerHandle | None = None
        self._ticking = False

    def at(self, due_ns: int, action: Action) -> None:
        """Call `action` at this time, or at once if it has passed."""
        heapq.heappush(self._due, (due_ns, next(self._order), action))
        if not self._ticking and self._due[0][0] == due_ns:
            self._arm()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(self._due[0][0] / 1e9, self._tick) if self._due else None

    def _tick(self) -> None:
        self._ticking = True
        while self._due and self._due[0][0] <= time.monotonic_ns():
            due_ns, _, action = heapq.heappop(self._due)
            action(due_ns)
        self._ticking = False
        self._after()
        self._arm()
