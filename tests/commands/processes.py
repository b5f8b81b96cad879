"""`wavetile serve` in processes of its own, and what its workers are and say."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import grpc

from tests.patience import PATIENCE_S
from wavetile.proto.v1 import wavetile_pb2 as pb
from wavetile.proto.v1 import wavetile_pb2_grpc as pb_grpc


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


def models(address: str) -> dict[str, str]:
    """What a server says that it has, and in which version, over a connection of its own."""
    with grpc.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
        answer = pb_grpc.StreamServiceStub(channel).ListModels(
            pb.ListModelsRequest(), timeout=PATIENCE_S, wait_for_ready=True
        )
    return {model.name: model.version for model in answer.models}
