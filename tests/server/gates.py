"""What a step of a fake model can be made to wait for."""

from __future__ import annotations

import threading
from typing import Protocol


class Gate(Protocol):
    """A `threading.Event`, or what lets waiters through one by one."""

    def wait(self, timeout: float, /) -> bool:
        """Whether it let through in time."""
        ...


class Turnstile:
    """Lets one through for each `turn`."""

    def __init__(self) -> None:
        self._turns = threading.Semaphore(0)

    def turn(self) -> None:
        self._turns.release()

    def wait(self, timeout: float, /) -> bool:
        return self._turns.acquire(timeout=timeout)
