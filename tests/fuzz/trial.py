"""Runs trials by number in a process of its own, and watches it: what crashes, hangs or grows is told by its number."""

from __future__ import annotations

import multiprocessing as mp
import resource
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

PATIENCE_S = 5.0
"""A trial that takes longer hangs."""

Trial = Callable[[int], str]
"""Makes the trial of a number and says how it went in a few words; raises what must not happen."""


@dataclass
class Outcome:
    """What a run of trials came to."""

    answers: Counter[str] = field(default_factory=Counter)
    """How trials went -> how many."""
    failures: dict[int, str] = field(default_factory=dict)
    """Number of a trial -> what happened that must not."""
    peak_bytes: int = 0
    """Of resident memory."""

    def lines(self) -> Iterator[str]:
        """For people."""
        total = sum(self.answers.values()) + len(self.failures)
        yield f"{total} trials, {len(self.failures)} failures, {self.peak_bytes >> 20} MiB at most"
        for answer, count in self.answers.most_common():
            yield f"  {count:7} {answer}"
        for number, failure in sorted(self.failures.items())[:50]:
            yield f"  trial {number}: {failure}"


def run_trials(
    prepare: Callable[[], Trial], numbers: range, memory_bytes: int, progress: Callable[[int], None]
) -> Outcome:
    """Run trials one after the other, in one process after the other where one dies.

    Args:
        prepare: called in the process, makes what trials need.
        numbers: of the trials.
        memory_bytes: of address space that trials may have, beyond what `prepare` took.
        progress: told how many are done.
    """
    outcome = Outcome()
    remaining = numbers
    while remaining:
        with _worker(prepare, remaining, memory_bytes) as (process, results):
            results.recv()  # it is ready
            done = 0
            while done < len(remaining):
                number = remaining[done]
                if not results.poll(PATIENCE_S):
                    outcome.failures[number] = f"hangs for more than {PATIENCE_S:g} s"
                    break
                try:
                    answer, failure, peak_bytes = results.recv()
                except EOFError:
                    process.join()
                    outcome.failures[number] = f"the process died: {_cause(process.exitcode)}"
                    break
                if failure:
                    outcome.failures[number] = failure
                else:
                    outcome.answers[answer] += 1
                outcome.peak_bytes = max(outcome.peak_bytes, peak_bytes)
                done += 1
                progress(len(numbers) - len(remaining) + done)
        remaining = remaining[done + 1 :]
    return outcome


@contextmanager
def _worker(
    prepare: Callable[[], Trial], numbers: range, memory_bytes: int
) -> Iterator[tuple[BaseProcess, Connection]]:
    context = mp.get_context("spawn")
    results, sender = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(prepare, numbers, memory_bytes, sender), daemon=True)
    process.start()
    sender.close()
    try:
        yield process, results
    finally:
        process.kill()
        process.join()


def _run(prepare: Callable[[], Trial], numbers: range, memory_bytes: int, sender: Connection) -> None:
    trial = prepare()
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + memory_bytes, resource.RLIM_INFINITY))
    sender.send(None)
    for number in numbers:
        answer = failure = ""
        try:
            answer = trial(number)
        except BaseException as error:  # noqa: BLE001 - whatever it is, the trial has failed
            failure = f"{type(error).__name__}: {error}"[:500]
        sender.send((answer, failure, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024))


def _cause(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        return signal.Signals(-exit_code).name
    return f"exit code {exit_code}"


def show_progress(total: int) -> Callable[[int], None]:
    """A line on standard error that counts."""

    def show(done: int) -> None:
        if done % max(1, total // 200) == 0 or done == total:
            print(f"\r{done} of {total}", end="\n" if done == total else "", file=sys.stderr, flush=True)

    return show
