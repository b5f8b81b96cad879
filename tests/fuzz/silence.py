"""How long a watched process has said nothing, of the time in which it could have said something.

On a loaded machine a process that is well waits for its turn, and that must not pass for a hang. Linux keeps of each
thread how long it was ready to run and had no processor: this is taken off. And where the watcher itself comes late, no
more than two beats count: nobody knows who had the machine meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

BEAT_S = 0.25
"""Between two looks at a process that is silent."""

Threads = dict[int, tuple[float, float]]
"""By id: seconds that the thread ran, and that it was ready to run and waited for a processor."""


def threads_of(process: int) -> Threads:
    """A process's threads; none where the system does not tell, so that all time counts."""
    found: Threads = {}
    with suppress(OSError):  # the process has ended
        for folder in Path(f"/proc/{process}/task").iterdir():
            with suppress(OSError):  # the thread has ended
                ran_ns, waited_ns, _ = (folder / "schedstat").read_text().split()
                found[int(folder.name)] = int(ran_ns) / 1e9, int(waited_ns) / 1e9
    return found


class Silence:
    """Of one process; `beat` is called each BEAT_S for as long as it lasts, and `broken` when it ends."""

    def __init__(
        self,
        process: int,
        now_s: Callable[[], float] = time.monotonic,
        threads: Callable[[int], Threads] = threads_of,
    ) -> None:
        self._process = process
        self._now_s = now_s
        self._threads = threads
        self.broken()

    def broken(self) -> None:
        """The process has said something; from now on the next silence counts."""
        self._beaten_s = self._now_s()
        self._passed_s = 0.0
        self._first: Threads | None = None
        self._latest: Threads = {}

    def beat(self) -> float:
        """For how many seconds of its own it has said nothing: it ran, or waited for anything but its turn."""
        now_s = self._now_s()
        self._passed_s += min(now_s - self._beaten_s, 2 * BEAT_S)
        self._beaten_s = now_s
        threads = self._threads(self._process)
        if self._first is None:
            self._first = threads
        self._latest |= threads  # of one that has ended, what was seen last
        spent = [
            (ran_s - self._first.get(thread, (0.0, 0.0))[0], waited_s - self._first.get(thread, (0.0, 0.0))[1])
            for thread, (ran_s, waited_s) in self._latest.items()
        ]
        # Threads that wait for their turns at the same time are all counted, which may be too much: where one of them
        # has run for so long by itself, no waiting of others excuses it.
        longest_run_s = max((ran_s for ran_s, _ in spent), default=0.0)
        return max(self._passed_s - sum(waited_s for _, waited_s in spent), min(longest_run_s, self._passed_s))
