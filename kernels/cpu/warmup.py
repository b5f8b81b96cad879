"""Compiles every native kernel ahead of its first use, in several processes, and remembers that it has been done."""

from __future__ import annotations

import hashlib
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import llvmlite
import numba
from llvmlite import binding

from ..errors import KernelError
from . import kernels as _kernels  # noqa: F401  (fills NATIVE)
from .execute import interpreter
from .native import NATIVE, kernel_folder, source_digest

Progress = Callable[[int, int, str], None]
"""Called with (functions compiled so far, functions in all, name of the one that has just been compiled)."""

MAX_PROCESSES = 8
"""Each holds a compiler, about 200 MB."""

REASON_CHARACTERS = 600
_INTERPRETER = "interpreter"
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


def is_warm() -> bool:
    """Tell whether every kernel is in the cache, as it is now and for this processor; takes milliseconds."""
    try:
        kept = _stamp().read_text("utf-8").splitlines()
    except OSError:
        return False
    folder = kernel_folder()
    return bool(kept) and all((folder / name).is_file() for name in kept)


def warm_up(progress: Progress | None = None, *, processes: int | None = None) -> WarmUp:
    """Compile what the cache lacks of the native kernels and of the interpreter; at once where that has been done.

    Args:
        progress: called from several threads, one call at a time.
        processes: how many compile side by side; the processors that this process may use if None.

    Raises:
        KernelError: a kernel does not compile, or the cache can not be written.
    """
    started_s = time.monotonic()
    names = [*NATIVE, _INTERPRETER]
    if is_warm():
        return WarmUp(len(names), time.monotonic() - started_s, 0, kernel_folder())
    processes = min(processes or _usable_processors(), MAX_PROCESSES, len(names))
    waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
    for name in names:
        waiting.put(name)
    report = _Counter(len(names), progress)
    if processes == 1:
        while not waiting.empty():
            name = waiting.get()
            _compile(name)
            report(name)
    else:
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
    _remember()
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


def _compile(name: str) -> None:
    """Compile one function, or load it from the cache."""
    try:
        if name == _INTERPRETER:
            interpreter()
        else:
            _ = NATIVE[name].address
    except OSError as error:
        raise KernelError(
            f"compiled kernels can not be kept in {kernel_folder()} ({error}); set WAVETILE_CACHE"
        ) from error
    except Exception as error:
        # Numba's texts run to pages; the first lines say what and where.
        reason = " ".join(str(error).split())[:REASON_CHARACTERS]
        raise KernelError(f"kernel {name!r} does not compile: {reason}") from error


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
    assert worker.stdin is not None
    assert worker.stdout is not None
    assert worker.stderr is not None
    try:
        while True:
            try:
                name = waiting.get_nowait()
            except queue.Empty:
                return
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
            report(name)
    except BaseException:
        while not waiting.empty():
            waiting.get_nowait()
        raise


def _work() -> None:
    """Compile the functions named on standard input, a line each, and answer each with a line."""
    for line in sys.stdin:
        try:
            _compile(line.strip())
            answer = _DONE
        except KernelError as error:
            answer = f"{_FAILED} {' '.join(str(error).split())}"
        sys.stdout.write(f"{answer}\n")
        sys.stdout.flush()


def _remember() -> None:
    """Write the stamp: the cache's files for the present sources, so that a lost one is noticed."""
    folder = kernel_folder()
    digests = {source_digest(path) for path in Path(__file__).parent.glob("*.py")}
    kept = [path for digest in digests for path in (folder / digest).rglob("*.nb?")]
    stamp = _stamp()
    try:
        stamp.parent.mkdir(parents=True, exist_ok=True)
        partial = stamp.with_suffix(f".{os.getpid()}")
        partial.write_text("\n".join(sorted(str(path.relative_to(folder)) for path in kept)), "utf-8")
        partial.replace(stamp)
    except OSError as error:
        raise KernelError(f"{stamp}: can not be written ({error}); set WAVETILE_CACHE to a folder that can") from error


def _stamp() -> Path:
    return kernel_folder() / f"warm-{_key()}"


@cache
def _key() -> str:
    """A digest of all that Numba's cache depends on: versions, processor, and place, time and size of each source."""
    digest = hashlib.sha256()
    processor = (
        numba.config.CPU_NAME or binding.get_host_cpu_name(),  # type: ignore[attr-defined]
        numba.config.CPU_FEATURES or binding.get_host_cpu_features().flatten(),  # type: ignore[attr-defined]
    )
    digest.update(repr((numba.__version__, llvmlite.__version__, sys.version_info[:2], processor)).encode())
    here = Path(__file__).parent
    for path in sorted((*here.glob("*.py"), *here.parent.glob("*.py"))):
        status = path.stat()
        digest.update(repr((str(path), status.st_mtime_ns, status.st_size)).encode())
    return digest.hexdigest()[:16]


def _usable_processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


if __name__ == "__main__":
    _work()
