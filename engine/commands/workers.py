"""Several servers on one port, each a process with nothing in common: the system shares connections out among them.

Each worker has its own models, threads and streams. A stream stays where its connection went; a worker that dies takes
its own streams with it and is replaced. Source: SO_REUSEPORT, socket(7).
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing as mp
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import FrameType

from ..errors import WavetileError
from .console import fail

logger = logging.getLogger(__name__)

SHORTEST_LIFE_S = 5.0
"""One that ends sooner after its start is replaced when this has passed: what went wrong may go wrong again."""

PAGES = ("dashboard", "metrics")
"""Options with a place to listen that workers can not share."""
LAST_PORT = 65535

Prepare = Callable[[argparse.Namespace], None]
"""What each process does first."""

Serve = Callable[[argparse.Namespace, Callable[[str], None]], int]
"""Serves until it is asked to stop; calls the function with the address when it can be used."""


class Workers:
    """The processes of one server; made, watched and ended by one thread."""

    def __init__(self, prepare: Prepare, serve: Serve, options: argparse.Namespace) -> None:
        """`options`: of the command, with the `port` that all workers listen on."""
        self._prepare, self._serve = prepare, serve
        self._options = options
        self._context = mp.get_context("spawn")  # a forked process would have half of gRPC's threads
        self._workers: list[tuple[BaseProcess, Connection, float]] = []
        self._asked: set[BaseProcess] = set()
        self._stopping = False

    def run(self, on_ready: Callable[[], None]) -> int:
        """Start all workers, replace those that die, and return when a stop was asked for and all have ended.

        Returns:
            The exit status: 0, or 1 where a worker could not start.
        """
        failed = False
        with _handled({signal.SIGINT: self._stop, signal.SIGTERM: self._stop, **self._passed_on()}):
            for index in range(self._options.workers):
                self._workers.append(self._started(index))
            if self._all_ready():
                on_ready()
            else:
                failed = not self._stopping
                self._stopping = True
            while not self._stopping:
                wait([process.sentinel for process, _, _ in self._workers])
                self._replace_dead()
            self._end()
        return 1 if failed else 0

    def _started(self, index: int) -> tuple[BaseProcess, Connection, float]:
        # The worker's end of the pipe says that it is ready; that it ends tells the worker that nobody watches it.
        here, there = self._context.Pipe()
        process = self._context.Process(
            target=_work,
            args=(self._prepare, self._serve, of_worker(self._options, index), there),
            name=f"wavetile-worker-{index}",
        )
        # A signal that a worker hears for its repository waits until it listens, instead of ending it.
        with _held_back(self._passed_on()):
            process.start()
        there.close()
        return process, here, time.monotonic()

    def _all_ready(self) -> bool:
        for process, pipe, _ in self._workers:
            try:
                pipe.recv()
            except EOFError:
                process.join()
                return False
        return True

    def _replace_dead(self) -> None:
        for index, (process, _, started_s) in enumerate(self._workers):
            if process.is_alive() or self._stopping:
                continue
            logger.error("worker %d ended with exit code %s; another takes its place", index, process.exitcode)
            time.sleep(max(0.0, started_s + SHORTEST_LIFE_S - time.monotonic()))
            if not self._stopping:
                self._workers[index] = self._started(index)

    def _stop(self) -> None:
        """Ask every worker to stop; asked again, it stops at once."""
        self._stopping = True
        for process, _, _ in self._workers:
            self._ask(process)

    def _passed_on(self) -> dict[signal.Signals, Callable[[], None]]:
        """What the workers are to hear as this process does: that their repository is to be read again."""
        return {signal.SIGHUP: self._reread} if self._options.repository is not None else {}

    def _reread(self) -> None:
        for process, _, _ in self._workers:
            if process.is_alive() and process.pid is not None:
                os.kill(process.pid, signal.SIGHUP)

    def _end(self) -> None:
        """Return when all have stopped; one that was being started when a stop was asked for is asked now."""
        for process, _, _ in self._workers:
            if process not in self._asked:
                self._ask(process)
        for process, _, _ in self._workers:
            process.join()

    def _ask(self, process: BaseProcess) -> None:
        self._asked.add(process)
        if process.is_alive():
            process.terminate()


def check_pages(options: argparse.Namespace) -> None:
    """Raise WavetileError where the workers' pages would need ports that are others' already, or that there are not."""
    taken = [("--port", options.host, range(options.port, options.port + 1))] if options.port else []
    for name in PAGES:
        host, port = getattr(options, name) or ("", 0)
        if not port:
            continue

        def is_free(first: int, host: str = host) -> bool:
            last = first + options.workers - 1
            return last <= LAST_PORT and not any(
                first < ports.stop and last >= ports.start and _meet(host, other) for _, other, ports in taken
            )

        if not is_free(port):
            others = ", ".join(f"{what} {where.start}" for what, _, where in taken)
            besides = f" beside {others}" if others else ""
            working = next(filter(is_free, (*range(port, LAST_PORT), *range(port, 0, -1))), None)
            remedy = f"--{name} {working}" if working else "fewer workers"
            raise WavetileError(
                f"--{name} {port}: {options.workers} workers have a port each, {port} to {port + options.workers - 1}, "
                f"which can not all be had{besides}; {remedy} would work"
            )
        taken.append((f"--{name}", host, range(port, port + options.workers)))


def _meet(host: str, other: str) -> bool:
    """Whether a port can not be listened on at both."""
    return host == other or not {host, other}.isdisjoint(("", "0.0.0.0", "::"))  # noqa: S104 - nobody listens here


def of_worker(options: argparse.Namespace, index: int) -> argparse.Namespace:
    """The options of one worker: what only one process can listen on moves on by its number."""
    moved = {}
    for name in PAGES:
        if address := getattr(options, name, None):
            host, port = address
            moved[name] = (host, port and port + index)
    return argparse.Namespace(**{**vars(options), **moved})


def _work(prepare: Prepare, serve: Serve, options: argparse.Namespace, pipe: Connection) -> None:
    """A worker's life."""
    os.setpgid(0, 0)  # Ctrl-C is for the process that watches, which asks the workers to stop

    def follow() -> None:
        try:
            pipe.recv()
        except EOFError:
            os.kill(os.getpid(), signal.SIGTERM)

    def ready(address: str) -> None:
        pipe.send(address)
        threading.Thread(target=follow, daemon=True).start()

    prepare(options)
    try:
        status = serve(options, ready)
    except WavetileError as error:
        fail(str(error))
        status = 1
    raise SystemExit(status)


@contextmanager
def shared_port(host: str, port: int) -> Iterator[int]:
    """A port that is free and stays so for servers that share it; 0 takes any.

    Raises:
        WavetileError: the port can not be had, or this system can not share ports.
    """
    if not hasattr(socket, "SO_REUSEPORT") or os.name != "posix":
        raise WavetileError("this system can not share a port among processes; --workers 1 would work")
    with ExitStack() as bound:
        try:
            taken = bound.enter_context(_bound(host, port))
        except OSError as error:
            raise WavetileError(
                f"can not listen on {host}:{port}: {error.strerror or error}; is another server there? "
                "port 0 takes a free one"
            ) from error
        yield taken


@contextmanager
def _bound(host: str, port: int) -> Iterator[int]:
    """A port that nobody listens on, kept for those who share it. Raises OSError."""
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family) as alone:  # without sharing: a server that is there already is an error
        alone.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        alone.bind(address)
        alone.listen(1)
        address = alone.getsockname()
    with socket.socket(family) as kept:  # bound and never listening, it only keeps others away
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        kept.bind(address)
        yield address[1]


@contextmanager
def _handled(handlers: Mapping[signal.Signals, Callable[[], None]]) -> Iterator[None]:
    """Inside the context, each of these signals calls its handler, a second time too."""

    def handle(number: int, frame: FrameType | None) -> None:
        del frame
        handlers[signal.Signals(number)]()

    before = {number: signal.signal(number, handle) for number in handlers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _held_back(numbers: Iterable[signal.Signals]) -> Iterator[None]:
    """Inside the context, these signals wait, and those of processes that are started until these take them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
