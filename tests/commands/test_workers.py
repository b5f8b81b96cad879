"""Several processes on one port: all answer, one that dies is replaced, and they end together."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from argparse import Namespace
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

from tests.commands.processes import children, models, serving
from tests.commands.said import Command
from tests.patience import PATIENCE_S, wait_until
from wavetile.clients import StreamClient
from wavetile.engine.commands.workers import check_pages, of_worker
from wavetile.engine.errors import WavetileError

if not hasattr(socket, "SO_REUSEPORT"):
    pytest.skip("this system can not share a port among processes", allow_module_level=True)


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="there is no /proc to find workers in")
def test_workers_share_a_port_and_are_replaced(gain_card: Path) -> None:
    with serving(gain_card, "--backend", "reference", "--port", 0, "--workers", 2) as (process, address):
        first = children(process)
        assert len(first) == 2
        assert {tuple(models(address)) for _ in range(20)} == {("gain",)}
        dead = min(first)
        os.kill(dead, signal.SIGKILL)
        wait_until(lambda: len(children(process) - {dead}) == 2)
        wait_until(lambda: models(address) == {"gain": "1"})
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


async def test_workers_give_their_streams_notice(gain_card: Path) -> None:
    """The one that has the stream waits for its end, however long the grace is."""
    options = ("--backend", "reference", "--port", 0, "--workers", 2, "--stop-grace", 10 * PATIENCE_S, "--max-load", 0)
    with serving(gain_card, *options) as (process, address):
        async with (
            asyncio.timeout(PATIENCE_S),
            StreamClient(address, timeout_s=PATIENCE_S) as client,
            client.stream("gain") as stream,
        ):
            process.send_signal(signal.SIGTERM)
            while stream.notice is None:
                await stream.send(np.zeros(stream.info.hop_samples, np.float32))
                await anext(stream)
            assert stream.notice.grace_s == 10 * PATIENCE_S
            await stream.finish()
            assert sum([result.frame_count async for result in stream]) > 0
        assert await asyncio.to_thread(process.wait, PATIENCE_S) == 0


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


@pytest.mark.parametrize(
    ("port", "dashboard", "metrics", "reason"),
    [
        (0, ("127.0.0.1", 9000), ("127.0.0.1", 9002), "9002 to 9005, .* beside --dashboard 9000; --metrics 9004 would"),
        (0, ("127.0.0.1", 9000), ("0.0.0.0", 8998), "8998 to 9001, .* beside --dashboard 9000; --metrics 9004 would"),
        (9003, ("127.0.0.1", 9000), None, "9000 to 9003, .* beside --port 9003; --dashboard 9004 would work"),
        (0, ("127.0.0.1", 65533), None, "65533 to 65536, which can not all be had; --dashboard 65532 would work"),
        (0, ("::1", 65532), ("::1", 65530), "beside --dashboard 65532; --metrics 65528 would work"),
        (9004, ("127.0.0.1", 9000), ("127.0.0.1", 9005), ""),
        (0, ("127.0.0.1", 65532), ("127.0.0.1", 0), ""),
        (0, ("127.0.0.1", 9000), ("127.0.0.2", 9000), ""),
    ],
)
def test_pages_of_workers_need_ports_that_nobody_else_has(
    port: int, dashboard: tuple[str, int], metrics: tuple[str, int] | None, reason: str
) -> None:
    options = Namespace(host="127.0.0.1", port=port, dashboard=dashboard, metrics=metrics, workers=4)
    with pytest.raises(WavetileError, match=reason) if reason else nullcontext():
        check_pages(options)
