"""A server of the demo's own: `wavetile serve` in another process, so that client and server do not share a GIL."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO

from ...errors import WavetileError

READY = "ready on "
START_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 10.0


@contextmanager
def running_server(models: Sequence[str]) -> Iterator[str]:
    """Serve `models` on a free loopback port; yields HOST:PORT, and stops the server at the end.

    Raises:
        WavetileError: the server did not start; the message has what it said.
    """
    package = __name__.partition(".commands.")[0]
    command = [sys.executable, "-m", package, "serve", *models, "--port", "0"]
    # Started from a checkout or a notebook, the package may be on sys.path without being installed.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as said:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said, env=environment, text=True)
        try:
            address = _await_ready(process)
            if address is None:
                raise WavetileError(f"the demo's server did not start: {_last_line(said)}")
            yield address
        finally:
            process.terminate()
            try:
                process.communicate(timeout=STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()


def _last_line(said: IO[str]) -> str:
    """What a server said last: its error."""
    said.seek(0)
    lines = [line.strip() for line in said if line.strip()]
    return lines[-1].removeprefix("error: ") if lines else "it said nothing"


def _await_ready(process: subprocess.Popen[str]) -> str | None:
    """The address in the server's ready line, or None if it ended or took too long."""
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            lines.put(line)
            if line.startswith(READY):
                return
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    deadline_s = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            line = lines.get(timeout=max(0.0, deadline_s - time.monotonic()))
        except queue.Empty:
            return None
        if line is None:
            return None
        if line.startswith(READY):
            return line.removeprefix(READY).strip()
