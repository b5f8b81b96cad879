"""Runs trials by number in processes of their own, and watches them: what crashes, hangs or grows is told by number."""

from __future__ import annotations

import multiprocessing as mp
import resource
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

from tests.fuzz.silence import BEAT_S, Silence

HANG_S = 5.0
"""A trial that takes longer hangs: of time that it had, see `Silence`."""

REVIEW_S = 60.0
"""The same of a trial's review, which waits for others."""

MOST_TOLD = 50
"""Failures that are listed."""


@dataclass(frozen=True)
class Answer:
    """How a trial went."""

    words: str
    counts: Mapping[str, int] = field(default_factory=dict)
    """What was tried -> how many of it."""
    review: Callable[[], str] | None = None
    """Checks afterwards what is no part of the trial's time, and says more words; raises what must not happen."""


Trial = Callable[[int], Answer]
"""Makes the trial of a number; raises what must not happen."""


@dataclass(frozen=True)
class Report:
    """What a process says of a trial; an empty failure is none."""

    words: str
    failure: str
    counts: Mapping[str, int]
    peak_bytes: int


@dataclass
class Outcome:
    """What a run of trials came to."""

    answers: Counter[str] = field(default_factory=Counter)
    """How trials went -> how many."""
    counts: Counter[str] = field(default_factory=Counter)
    """What was tried -> how many of it."""
    failures: dict[int, str] = field(default_factory=dict)
    """Number of a trial -> what happened that must not."""
    peak_bytes: int = 0
    """Of resident memory, in one process."""

    @property
    def trials(self) -> int:
        """How many were made."""
        return sum(self.answers.values()) + len(self.failures)

    def take(self, number: int, report: Report) -> None:
        """Add one trial."""
        if report.failure:
            self.failures[number] = report.failure
        else:
            self.answers[report.words] += 1
        self.counts.update(report.counts)
        self.peak_bytes = max(self.peak_bytes, report.peak_bytes)

    def merge(self, other: Outcome) -> None:
        """Add another run."""
        self.answers.update(other.answers)
        self.counts.update(other.counts)
        self.failures |= other.failures
        self.peak_bytes = max(self.peak_bytes, other.peak_bytes)

    def lines(self) -> Iterator[str]:
        """For people."""
        yield f"{self.trials} trials, {len(self.failures)} failures, {self.peak_bytes >> 20} MiB at most"
        for what, count in self.counts.most_common():
            yield f"  {count:8} {what}"
        yield "ended as"
        for answer, count in self.answers.most_common():
            yield f"  {count:8} {answer}"
        for number, failure in sorted(self.failures.items())[:MOST_TOLD]:
            yield f"  trial {number}: {failure}"


def run_trials(
    prepare: Callable[[], Trial],
    numbers: range,
    memory_bytes: int,
    *,
    enough: Callable[[Outcome], bool] = lambda outcome: False,
    told: Callable[[Report], None] = lambda report: None,
) -> Outcome:
    """Run trials one after the other, in one process after the other where one dies.

    Args:
        prepare: called in the process, makes what trials need.
        numbers: of the trials.
        memory_bytes: of address space that trials may have, beyond what `prepare` took.
        enough: whether the rest need not be made.
        told: gets each report.
    """
    outcome = Outcome()
    while numbers and not enough(outcome):
        with _worker(prepare, numbers, memory_bytes) as (process, results):
            results.recv()  # it is ready
            assert process.pid is not None
            silence = Silence(process.pid)
            while numbers and not enough(outcome):
                report, goes_on = _heard(process, results, silence)
                outcome.take(numbers[0], report)
                numbers = numbers[1:]
                told(report)
                if not goes_on:
                    break
    return outcome


def _heard(process: BaseProcess, results: Connection, silence: Silence) -> tuple[Report, bool]:
    """The report of the next trial, and whether its process goes on."""
    patience_s, stage = HANG_S, ""
    silence.broken()
    while True:
        while not results.poll(BEAT_S):
            if silence.beat() > patience_s:
                return Report("", f"hangs for more than {patience_s:g} s{stage}", {}, 0), False
        try:
            heard = results.recv()
        except EOFError:
            process.join()
            return Report("", f"the process died: {_cause(process.exitcode)}{stage}", {}, 0), False
        if heard is not None:
            return heard, True
        patience_s, stage = REVIEW_S, ", while it was reviewed"
        silence.broken()


@contextmanager
def _worker(
    prepare: Callable[[], Trial], numbers: range, memory_bytes: int
) -> Iterator[tuple[BaseProcess, Connection]]:
    context = mp.get_context("spawn")
    results, sender = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(prepare, numbers, memory_bytes, sender))
    process.start()
    sender.close()
    try:
        yield process, results
    finally:
        process.kill()
        process.join()


def _run(prepare: Callable[[], Trial], numbers: range, memory_bytes: int, sender: Connection) -> None:
    trial = prepare()
    limit_memory(memory_bytes)
    sender.send(None)
    for number in numbers:
        sender.send(_tried(trial, number, sender))


def _tried(trial: Trial, number: int, sender: Connection) -> Report:
    words = failure = ""
    counts: Mapping[str, int] = {}
    try:
        answer = trial(number)
        words, counts = answer.words, answer.counts
        if answer.review is not None:
            sender.send(None)  # its own time is over
            words += answer.review()
    except BaseException as error:  # noqa: BLE001 - whatever it is, the trial has failed
        failure = f"{type(error).__name__}: {error}"[:500]
    return Report(words, failure, counts, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


def limit_memory(more_bytes: int) -> None:
    """Let this process have so much more of address space than it has."""
    taken_bytes = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken_bytes + more_bytes, resource.RLIM_INFINITY))


def _cause(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        return signal.Signals(-exit_code).name
    return f"exit code {exit_code}"
