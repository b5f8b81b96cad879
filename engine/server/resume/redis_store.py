"""Snapshots in Redis, for servers on several machines (extra `cluster`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from ...errors import WavetileError

PREFIX = "wavetile:snapshot:"
TIMEOUT_S = 5.0

T = TypeVar("T")


class RedisStore:
    """Each snapshot a key with a time to live; Redis does one command at a time, so that one caller alone takes it."""

    def __init__(self, url: str) -> None:
        """Connect to `url`, such as redis://localhost:6379/0. Raises WavetileError."""
        try:
            import redis
        except ImportError as error:
            raise WavetileError(
                'snapshots in Redis need its client; `pip install "wavetile[cluster]"` installs it'
            ) from error
        self._errors = redis.RedisError
        try:
            self._redis: Any = redis.Redis.from_url(url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S)
            self._redis.ping()
        except (redis.RedisError, ValueError) as error:
            raise WavetileError(f"Redis can not be used for snapshots: {error}") from error  # its errors name no secret

    def add(self, name: str, data: bytes, expires_s: float) -> None:
        """See `SnapshotStore`."""
        self._ask(lambda: self._redis.set(PREFIX + name, data, pxat=round(1000 * expires_s)))

    def replace(self, name: str, data: bytes, expires_s: float) -> bool:
        """See `SnapshotStore`."""
        return bool(self._ask(lambda: self._redis.set(PREFIX + name, data, pxat=round(1000 * expires_s), xx=True)))

    def read(self, name: str) -> bytes | None:
        """See `SnapshotStore`."""
        return self._ask(lambda: self._redis.get(PREFIX + name))

    def take(self, name: str) -> bool:
        """See `SnapshotStore`."""
        return self._ask(lambda: self._redis.delete(PREFIX + name)) == 1

    def _ask(self, command: Callable[[], T]) -> T:
        try:
            return command()
        except self._errors as error:
            raise OSError(f"Redis: {error}") from error
