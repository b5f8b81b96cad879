"""Several processes on one port: all answer, one that dies is replaced, and they end together."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import grpc
import pytest

from tests.commands.said import Command
from tests.patience import PATIENCE_S, wait_until
from wavetile.engine.commands.workers import of_worker
from wavetile.proto.v1 import wavetile_pb2 as pb
from wavetile.proto.v1 import wavetile_pb2_grpc as pb_grpc

if not hasattr(socket, "SO_REUSEPORT"):
    pytest.skip("this system can not share a port among processes", allow_module_level=True)


@contextmanager
def serving(*arguments: object) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`wavetile serve` in a process of its own; it and its address."""
    command = [sys.executable, "-m", "wavetile.engine", "serve", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True)
    try:
        assert process.stdout is not None
        yield process, process.stdout.readline().removeprefix("ready on ").strip()
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE_S)


def children(process: subprocess.Popen[str]) -> set[int]:
    """The workers, by process number."""
    found = set()
    for one in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
        with suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
            if "spawn_main" in Path(f"/proc/{one}/cmdline").read_text():
                found.add(int(one))
    return found


def models(address: str) -> list[str]:
    """What a server says that it has, over a connection of its own."""
    with grpc.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
        answer = pb_grpc.StreamServiceStub(channel).ListModels(
            pb.ListModelsRequest(), timeout=PATIENCE_S, wait_for_ready=True
        )
    return [model.name for model in answer.models]


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="there is no /proc to find workers in")
def test_workers_share_a_port_and_are_replaced(gain_card: Path) -> None:
    with serving(gain_card, "--backend", "reference", "--port", 0, "--workers", 2) as (process, address):
        first = children(process)
        assert len(first) == 2
        assert {tuple(models(address)) for _ in range(20)} == {("gain",)}
        dead = min(first)
        os.kill(dead, signal.SIGKILL)
        wait_until(lambda: len(children(process) - {dead}) == 2)
        wait_until(lambda: models(address) == ["gain"])
        last = children(process)
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0
        assert not any(Path(f"/proc/{one}").exists() for one in last)


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="there is no /proc to find workers in")
def test_workers_stop_when_nobody_watches_them(gain_card: Path) -> None:
    with serving(gain_card, "--backend", "reference", "--port", 0, "--workers", 1 + 1) as (process, _):
        orphans = children(process)
        process.kill()
        wait_until(lambda: not any(Path(f"/proc/{one}/exe").exists() for one in orphans))


def test_a_port_that_is_taken_is_an_error(gain_card: Path, wavetile_command: Command) -> None:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = wavetile_command("serve", gain_card, "--backend", "reference", "--port", port, "--workers", 2)
    assert said.status == 1
    assert f"can not listen on 127.0.0.1:{port}" in said.notices


def test_pages_of_workers_have_ports_of_their_own() -> None:

    options = Namespace(port=5, metrics=("127.0.0.1", 9090), dashboard=None)
    assert of_worker(options, 3) == Namespace(port=5, metrics=("127.0.0.1", 9093), dashboard=None)
    assert of_worker(Namespace(metrics=("::1", 0)), 3) == Namespace(metrics=("::1", 0))
