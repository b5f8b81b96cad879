"""Time that passes only where nothing is left to do, so that what takes how long is exact on any machine."""

from __future__ import annotations

import asyncio
import math
import selectors
import threading
from collections.abc import Callable, Coroutine
from types import ModuleType
from typing import Any, Self, TypeVar

import pytest

from tests.patience import PATIENCE_S

T = TypeVar("T")


class HeldTime:
    """Stands in for the module `time`: its clocks agree, and stand still but for `pass_by`."""

    def __init__(self) -> None:
        self._now_ns = 1_000_000_000_000

    def pass_by(self, seconds: float) -> None:
        """Let so much time pass."""
        self._now_ns += round(seconds * 1e9)

    def monotonic_ns(self) -> int:
        """As `time.monotonic_ns`."""
        return self._now_ns

    def monotonic(self) -> float:
        """As `time.monotonic`."""
        return self._now_ns / 1e9

    time = perf_counter = monotonic

    def stand_in(self, patch: pytest.MonkeyPatch, *modules: ModuleType) -> Self:
        """Be what these modules know as `time`."""
        for module in modules:
            patch.setattr(module, "time", self)
        return self


class VirtualTime(HeldTime):
    """Passes where an event loop and compute threads all wait, up to what comes first.

    The coroutine that `run` runs may wait for timers and for compute threads, and for nothing else. A compute thread
    waits in `compute`, or in `get`: for them this is a queue of wake-ups, as `Scheduler` has one.
    """

    def __init__(self, threads: int = 0) -> None:
        """`threads`: how many compute threads there are from before `run` until after it."""
        super().__init__()
        self._threads = threads
        self._changed = threading.Condition()
        self._asleep = 0
        self._wakes = 0
        self._ends_ns: list[int] = []
        """Of what is being computed."""
        self._over = False

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """What a coroutine returns that runs on an event loop of this time."""
        with asyncio.Runner(loop_factory=lambda: _VirtualLoop(self)) as runner:
            try:
                return runner.run(work)
            finally:
                self._end()

    # For compute threads.

    def compute(self, seconds: float) -> None:
        """Return when so much time has passed."""
        with self._changed:
            end_ns = self._now_ns + round(seconds * 1e9)
            self._ends_ns.append(end_ns)
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._over or self._now_ns >= end_ns)
            self._ends_ns.remove(end_ns)

    def get(self) -> None:
        """Sleep until woken by a `put`."""
        with self._changed:
            self._asleep += 1
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._wakes > 0)
            self._asleep -= 1
            self._wakes -= 1

    def put(self, item: None) -> None:
        """Wake a thread that sleeps, or spare one its next sleep."""
        with self._changed:
            self._wakes += 1
            self._changed.notify_all()

    # For the event loop.

    def settle(self) -> None:
        """Return when every compute thread waits."""

        def waiting() -> bool:
            computing = sum(end_ns > self._now_ns for end_ns in self._ends_ns)
            return self._asleep + computing == self._threads and not (self._asleep and self._wakes)

        with self._changed:
            assert self._changed.wait_for(waiting, PATIENCE_S), "a compute thread waits for something else"

    def move_on(self, timeout_s: float | None) -> None:
        """Let time pass until a timer is due in `timeout_s`, or until something has been computed."""
        with self._changed:
            ends_ns = list(self._ends_ns)
            if timeout_s is not None:
                ends_ns.append(self._now_ns + math.ceil(timeout_s * 1e9))
            assert ends_ns, "everybody waits, and for nothing that time will bring"
            self._now_ns = min(ends_ns)
            self._changed.notify_all()

    def _end(self) -> None:
        with self._changed:
            self._over = True
            self._changed.notify_all()


class _VirtualSelector:
    """Tells of the wake-ups by other threads, and lets time pass where a loop would wait for them."""

    def __init__(self, time: VirtualTime) -> None:
        self._time = time
        self._real = selectors.DefaultSelector()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def select(self, timeout: float | None = None) -> Any:
        """As of a selector; `timeout` is of the virtual time."""
        self._time.settle()
        events = self._real.select(0)
        if not events and (timeout is None or timeout > 0):
            self._time.move_on(timeout)
            self._time.settle()  # what was computed by now is told before the loop goes on: never after, by chance
            events = self._real.select(0)
        return events


class _VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self, time: VirtualTime) -> None:
        super().__init__(_VirtualSelector(time))  # pyright: ignore[reportArgumentType] - what the loop asks of one, it has
        self._time = time

    def time(self) -> float:
        return self._time.monotonic()


DAY_S = 86_400.0


class HeldTimers:
    """The running loop's timers of DAY_S, which fire when told to."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._timers: list[tuple[asyncio.TimerHandle, Callable[..., object], tuple[Any, ...]]] = []
        loop = asyncio.get_running_loop()
        self._call_later = loop.call_later
        patch.setattr(loop, "call_later", self._held)

    def fire(self) -> None:
        """Let a day pass for those that were not cancelled."""
        timers, self._timers = self._timers, []
        for handle, callback, arguments in timers:
            if not handle.cancelled():
                handle.cancel()
                callback(*arguments)

    def _held(self, delay: float, callback: Callable[..., object], *arguments: Any, **context: Any) -> Any:
        handle = self._call_later(delay, callback, *arguments, **context)
        if delay == DAY_S:
            self._timers.append((handle, callback, arguments))
        return handle
