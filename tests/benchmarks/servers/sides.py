"""The servers that are compared, each a process of its own, and what they cost in processor time."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks.servers.serving import READY
from wavetile.clients.load import Target, Wire

START_TIMEOUT_S = 180.0
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class StartError(Exception):
    """A server did not start; what it said last."""


@dataclass(frozen=True, slots=True)
class Side:
    """A running server."""

    name: str
    target: Target
    wire: Wire
    pids: tuple[int, ...]

    def processor_s(self) -> float:
        """Processor time that its processes have used."""
        return sum(_processor_s(pid) for pid in _with_children(self.pids))

    def resident_bytes(self) -> int:
        """Memory of its processes."""
        return sum(resident_bytes(pid) for pid in _with_children(self.pids))


def commands(model: str) -> dict[str, list[str]]:
    """How each side is started, by name."""
    here = "tests.benchmarks.servers"
    wavetile = ["-m", "wavetile.engine", "serve", model, "--port", "0", "--max-streams", "8192", "--max-load", "0"]
    return {
        "wavetile": wavetile,
        "wavetile, 2 workers": [*wavetile, "--workers", "2"],
        "echo": ["-m", f"{here}.echo", model],
        "echo of bytes": ["-m", f"{here}.echo", model, "raw"],
        "onnxruntime": ["-m", f"{here}.plain", model],
        "onnxruntime, thread": ["-m", f"{here}.plain", model, "thread"],
        "triton": ["-m", f"{here}.triton", model],
    }


@contextlib.contextmanager
def running(command: list[str], repository: Path) -> Iterator[tuple[str, int]]:
    """Start a server, Python and its arguments; yields its address and process. Raises StartError."""
    own = command[0] == sys.executable  # another Python has packages of its own
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(repository), *filter(None, sys.path if own else ())]),
    }
    environment.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))
    if command[2].endswith(".triton") and (library := _python_library(command[0])) is not None:
        # Triton's Python processes bring a libpython of their own, which may be older than that Python's modules.
        environment["LD_PRELOAD"] = str(library)
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True, env=environment, text=True,
        cwd=repository,
    )  # fmt: skip
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    said: deque[str | None] = deque(maxlen=4)
    readers = [
        threading.Thread(target=_read_out, args=(process.stdout, lines.put), daemon=True),
        threading.Thread(target=_read_out, args=(process.stderr, said.append), daemon=True),
    ]
    for reader in readers:
        reader.start()
    try:
        yield _await_ready(lines, said), process.pid
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # what it started and left behind
        for reader in readers:
            reader.join()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def resident_bytes(pid: int) -> int:
    """Memory of one process that lies in RAM; 0 once it is gone."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def _read_out(stream: Iterable[str], take: Callable[[Any], object]) -> None:
    """Read a server's output to its end, so that it never waits for a reader; then comes None."""
    for line in stream:
        take(line)
    take(None)


def _await_ready(lines: queue.SimpleQueue[str | None], said: Iterable[str | None]) -> str:
    """The address that the server says."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while (left := deadline - time.monotonic()) > 0:
        try:
            line = lines.get(timeout=left)
        except queue.Empty:
            break
        if line is None:
            time.sleep(0.2)  # what it said last is on its way
            break
        if line.startswith(READY):
            return line.removeprefix(READY).strip()
    raise StartError(" ".join(line.strip() for line in said if line) or "it said nothing")


def _python_library(python: str) -> Path | None:
    """The shared library of an interpreter, if it has one."""
    ask = "import sysconfig; print(*sysconfig.get_config_vars('LIBDIR', 'INSTSONAME'), sep='/')"
    said = subprocess.run([python, "-c", ask], capture_output=True, text=True)
    library = Path(said.stdout.strip())
    return library if library.is_file() and library.suffix != ".a" else None


def _with_children(pids: tuple[int, ...]) -> list[int]:
    found, waiting = [], list(pids)
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{pid}/task").iterdir():
                waiting += [int(child) for child in (task / "children").read_text().split()]
    return found


def _processor_s(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S
