"""Runs a table whose big instructions are cut into parts on several threads, one native call each.

Every thread walks a table of its own: its parts, and calls of a barrier between what must not overlap. What is whole is
done by the first thread, the caller's. The others are Python threads that wait for a lock between runs; while they
compute they hold no GIL.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..contract import ALIGNMENT_BYTES
from ..table import WHOLE, Memory, Table, aligned_bytes
from .machine_code import address
from .runner import CpuRunner


class TeamRunner(CpuRunner):
    """A table on as many threads as it has parts side by side. `run` allocates nothing and holds no GIL."""

    def __init__(self, table: Table, memory: Memory) -> None:
        super().__init__(table, memory)
        assert table.parts is not None  # else there is one thread
        meeting = aligned_bytes(2 * ALIGNMENT_BYTES)
        operands = np.array([meeting.ctypes.data, table.threads], np.int64)
        meet = address("barrier"), operands.ctypes.data
        self._jobs = []
        for thread in range(table.threads):
            calls = np.array([meet if i is None else self._calls[i] for i in _schedule(table.parts, thread)], np.int64)
            job = np.array([calls.ctypes.data, len(calls), self._context.ctypes.data, thread == 0], np.int64)
            self._jobs.append((job, calls, operands, meeting))
        self._job_address = self._jobs[0][0].ctypes.data
        self._process = -1
        self._starts: list[Any] = []

    def run(self, lanes: int) -> None:
        """Execute the table once for lanes 0 .. lanes - 1.

        Raises:
            KernelError: more lanes than the memory has.
        """
        if lanes != self._running:
            self._set_lanes(lanes)
        if self._process != os.getpid():  # the first run, or the first one in a forked process
            self._hire()
        waiting = list(self._starts)
        try:
            while waiting:
                waiting.pop().release()
        finally:  # who has been woken waits for all the others, whatever has interrupted this thread
            for start in waiting:
                start.release()
            self._execute(self._job_address)

    def _hire(self) -> None:
        """Start the other threads; they end when the runner does."""
        self._process = os.getpid()
        self._starts = [threading.Lock() for _ in self._jobs[1:]]
        hired = [True]
        for start, job in zip(self._starts, self._jobs[1:], strict=True):
            start.acquire()
            arguments = start, hired, self._execute, job
            threading.Thread(target=_work, args=arguments, name="wavetile compute", daemon=True).start()
        weakref.finalize(self, _dismiss, hired, self._starts)


def _schedule(parts: np.ndarray, thread: int) -> list[int | None]:
    """What one thread does: numbers of instructions, and None where it waits for all others.

    There is a barrier before the first part of an instruction and after the last, once where these meet, and at the
    end, so that the caller's thread comes back when all is done.
    """
    result: list[int | None] = []
    met, cut = True, False
    for index, part in enumerate(parts.tolist()):
        first = part in (WHOLE, 0)
        if first and (cut or (part == 0 and not met)):
            result.append(None)
            met = True
        cut = part != WHOLE
        if max(part, 0) == thread:
            result.append(index)
        if first:
            met = False
    return [*result, None]


def _work(start: Any, hired: Sequence[bool], execute: Callable[[int], None], job: tuple[np.ndarray, ...]) -> None:
    """One thread: a job whenever the lock is released. The arrays of the job live as long as the thread."""
    address = job[0].ctypes.data
    while True:
        start.acquire()
        if not hired:
            return
        execute(address)


def _dismiss(hired: list[bool], starts: Sequence[Any]) -> None:
    hired.clear()
    for start in starts:
        start.release()
