"""Feeds the loader and the server mutated input until something breaks: `python tests/fuzz/run.py networks|messages`.

Every trial has a number, which alone decides what it is: `--first N --count 1 --processes 1` makes one again.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.fuzz import messages, networks
from tests.fuzz.trial import Outcome, Report, Trial, run_trials

ENDLESS = 10**9
"""More trials than anybody makes."""
MOST_FAILURES = 100
"""Of a process's part, which then need not go on."""
SHOWN_EVERY_S = 10.0


@dataclass(frozen=True)
class Kind:
    """What makes the trials, and what of them is counted."""

    prepare: Callable[[], Trial]
    counted: str
    wanted: int
    processes: int
    """At a time. Calls are mostly waited for, by threads that take turns."""
    memory_bytes: int = 2 << 30
    """Of address space that the trials of a process may take."""


KINDS = {
    "networks": Kind(networks.prepare, networks.COUNTED, 10_000, processes=2),
    "messages": Kind(messages.prepare, messages.READ, 100_000, processes=4),
}


class Progress:
    """A line on standard error each few seconds."""

    def __init__(self, counted: str, wanted: int) -> None:
        self._counted = counted
        self._wanted = wanted
        self._began_s = self._shown_s = time.monotonic()
        self._all = Outcome()
        self._lock = threading.Lock()

    def told(self, report: Report) -> None:
        """Count a report; from any thread."""
        with self._lock:
            self._all.take(self._all.trials, report)
            now_s = time.monotonic()
            if now_s - self._shown_s < SHOWN_EVERY_S:
                return
            self._shown_s = now_s
            done, passed_s = self._all.counts[self._counted], now_s - self._began_s
            print(
                f"{passed_s:5.0f} s: {done} of {self._wanted} {self._counted}, {done / passed_s:.0f} a second, "
                f"{len(self._all.failures)} failures",
                file=sys.stderr, flush=True,
            )  # fmt: skip


def main() -> int:
    """Run, and say how it went; 1 if something broke."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--first", type=int, default=0, metavar="N", help="number of the first trial (default: 0)")
    parser.add_argument("--count", type=int, metavar="N", help="how many (default: 10,000 networks, 100,000 messages)")
    parser.add_argument("--processes", type=int, metavar="N", help="at a time (default: 2, for messages 4)")
    options = parser.parse_args()
    kind = KINDS[options.kind]
    wanted = options.count or kind.wanted
    processes = options.processes or kind.processes
    progress = Progress(kind.counted, wanted)

    def share(index: int) -> Outcome:
        """Each process makes its part, so that the trials are the same however fast each of them is."""
        mine = len(range(index, wanted, processes))
        numbers = range(options.first + index, options.first + ENDLESS, processes)
        return run_trials(
            kind.prepare,
            numbers,
            kind.memory_bytes,
            enough=lambda one: one.counts[kind.counted] >= mine or len(one.failures) >= MOST_FAILURES,
            told=progress.told,
        )

    began_s = time.monotonic()
    outcome = Outcome()
    with ThreadPoolExecutor(processes) as threads:
        for part in threads.map(share, range(processes)):
            outcome.merge(part)
    print(*outcome.lines(), f"{time.monotonic() - began_s:.0f} s", sep="\n")
    return 1 if outcome.failures else 0


if __name__ == "__main__":
    sys.exit(main())
