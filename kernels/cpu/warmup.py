"""Compiles every native function ahead of its first use, in several processes, and remembers that it has been done."""

from __future__ import annotations

import gc
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from ..errors import KernelError
from .machine_code import is_complete, kernel_folder, make, mark_complete, read_index

Progress = Callable[[int, int, str], None]
"""Called with (functions compiled so far, functions in all, name of the one that has just been compiled)."""

MAX_PROCESSES = 8
"""Each holds a compiler, about 200 MB."""

_DONE, _FAILED = "done", "failed"


@dataclass(frozen=True, slots=True)
class WarmUp:
    """What a warm-up did."""

    functions: int
    seconds: float
    processes: int
    """0: everything was there."""
    folder: Path
    """Where the compiled functions are kept."""


def warm_up(progress: Progress | None = None, *, processes: int | None = None) -> WarmUp:
    """Compile what the cache lacks of the native functions; at once where that has been done.

    Args:
        progress: called from several threads, one call at a time.
        processes: how many compile side by side; the processors that this process may use if None.

    Raises:
        KernelError: a kernel does not compile, or the cache can not be written.
    """
    started_s = time.monotonic()
    if is_complete():
        return WarmUp(len(read_index()) - 1, time.monotonic() - started_s, 0, kernel_folder())
    names = _names()
    processes = min(processes or _usable_processors(), MAX_PROCESSES, len(names))
    report = _Counter(len(names), progress)
    if processes == 1:
        for name in names:
            make(name)
            report(name)
    else:
        waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
        for name in names:
            waiting.put(name)
        workers: list[subprocess.Popen[str]] = []
        try:
            workers += [_start_worker() for _ in range(processes)]
            with ThreadPoolExecutor(processes) as threads:
                for done in [threads.submit(_drive, worker, waiting, report) for worker in workers]:
                    done.result()
        finally:
            for worker in workers:
                worker.kill()
                worker.communicate()
    mark_complete(names)
    return WarmUp(len(names), time.monotonic() - started_s, processes, kernel_folder())


class _Counter:
    """Counts what is done, for a progress callback that need not be thread-safe."""

    def __init__(self, total: int, progress: Progress | None) -> None:
        self._done, self._total, self._progress, self._lock = 0, total, progress, threading.Lock()

    def __call__(self, name: str) -> None:
        with self._lock:
            self._done += 1
            if self._progress is not None:
                self._progress(self._done, self._total, name)


def _names() -> list[str]:
    from . import kernels as _kernels  # noqa: F401  (registers them)
    from .native import NATIVE

    return list(NATIVE)


def _start_worker() -> subprocess.Popen[str]:
    # Not multiprocessing: its spawned processes run the caller's main module again, which a script need not stand.
    return subprocess.Popen(
        [sys.executable, "-m", f"{__package__}.warmup"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        text=True,
    )


def _drive(worker: subprocess.Popen[str], waiting: queue.SimpleQueue[str], report: Callable[[str], None]) -> None:
    """Hand a worker one function after the other until none waits; one error ends everybody's work."""
    try:
        while True:
            try:
                name = waiting.get_nowait()
            except queue.Empty:
                return
            _ask(worker, name)
            report(name)
    except BaseException:
        while not waiting.empty():
            waiting.get_nowait()
        raise


def _ask(worker: subprocess.Popen[str], name: str) -> None:
    """Have a worker compile one function."""
    assert worker.stdin is not None
    assert worker.stdout is not None
    assert worker.stderr is not None
    try:
        worker.stdin.write(f"{name}\n")
        worker.stdin.flush()
        answer = worker.stdout.readline()
    except OSError:
        answer = ""
    outcome, _, detail = answer.strip().partition(" ")
    if outcome == _FAILED:
        raise KernelError(detail)
    if outcome != _DONE:
        raise KernelError(f"the process that compiled {name!r} ended: {worker.stderr.read()[-2000:].strip()}")


def _work() -> None:
    """Compile the functions named on standard input, a line each, and answer each with a line."""
    # The compiler makes hundreds of thousands of small objects that live as long as it works on a function; going
    # through them as often as Python does by default takes a tenth of the time.
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    for line in sys.stdin:
        try:
            make(line.strip())
            answer = _DONE
        except KernelError as error:
            answer = f"{_FAILED} {' '.join(str(error).split())}"
        sys.stdout.write(f"{answer}\n")
        sys.stdout.flush()


def _usable_processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


if __name__ == "__main__":
    _work()
