"""A signal on a network that needs the whole of what it sees: windows of it, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from .array_queue import ArrayQueue

Run = Callable[[Mapping[str, np.ndarray]], dict[str, np.ndarray]]
"""Evaluates the network on whole arrays; where windows share work, on each window in its turn."""


@dataclass(frozen=True, slots=True)
class Sharing:
    """What a window has in common with the next one."""

    values: tuple[str, ...] = ()
    """Where the part of the network ends that is computed once for all windows; none: each is computed whole."""
    multiply_adds: int | None = None
    """Of a window after the first ones; None where nothing is shared, since nothing had to be compared."""
    multiply_adds_whole: int | None = None
    """Of a window by itself."""
    max_difference: float = 0.0
    """Between the two, over windows of a random signal."""
    limit: str = ""
    """Why no more is shared."""


@dataclass(frozen=True, slots=True)
class Window:
    """What the network makes of one window."""

    start: int
    """Of its first element in the signal."""
    outputs: dict[str, np.ndarray]


class WindowStream:
    """Windows of `window` elements, each `hop` after the one before, computed as soon as they are complete.

    For networks that do not stream exactly. Each window is a whole signal to the network: it knows nothing of others.
    What it has in common with the next one can be computed once all the same; `sharing` says what.
    """

    def __init__(self, run: Run, queue: ArrayQueue, *, window: int, hop: int, sharing: Sharing | None = None) -> None:
        self._run, self._queue = run, queue
        self.window, self.hop = window, hop
        self.sharing = sharing or Sharing()
        self._start = 0  # of the next window
        self._gap = 0  # elements before it that have yet to come, where windows lie apart

    def process(self, inputs: Mapping[str, np.ndarray]) -> list[Window]:
        """Take the next elements of every input and return the windows that they complete.

        What does not fill a window is kept; a signal's last elements are in no window if they do not fill one.

        Raises:
            SignalError: an input is missing or unknown, of another type or shape, or longer than another one.
        """
        self._queue.append(inputs)
        windows = []
        while self._skip() and self._queue.length >= self.window:
            windows.append(Window(self._start, self._run(self._queue.peek(self.window))))
            self._start += self.hop
            self._gap = self.hop
        return windows

    def _skip(self) -> bool:
        """Let go of what lies before the next window; whether all of that is there."""
        gone = min(self._gap, self._queue.length)
        self._queue.drop(gone)
        self._gap -= gone
        return not self._gap
