"""What a server keeps of its streams, where, and for how long."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path

from ...errors import WavetileError
from ..private_file import read_private
from .directory import DirectoryStore
from .store import MemoryStore, SnapshotStore

LEAST_KEY_CHARACTERS = 32


@dataclass(frozen=True, slots=True)
class ResumeOptions:
    """The defaults keep snapshots in the server's memory, where they end with it."""

    # A stream can be resumed for so long after its last sign of life; 0: no stream can.
    resume_for_s: float = 60.0
    # Of signal, from one snapshot of a stream to the next: what a resumed stream computes again, at most.
    interval_s: float = 1.0
    # "": the server's memory; a folder; or redis://host:port/number (extra `cluster`). Several servers may share it.
    store: str = ""
    # At least 32 characters of text that nobody can guess, the same for all servers that share a store.
    key: Path | None = None
    # Of all streams that may be resumed, each counted with the most that its snapshots can take.
    max_bytes: int = 512 * 1024 * 1024

    def check(self) -> None:
        """Raise WavetileError where the settings do not go together."""
        if self.resume_for_s < 0 or self.interval_s <= 0:
            raise WavetileError(
                f"resume_for_s is {self.resume_for_s} and interval_s {self.interval_s}; neither may be negative, and "
                "the interval not 0"
            )
        if self.store and self.key is None:
            raise WavetileError(
                f"snapshots in {self.store} are for other servers too, which need the key that they are sealed with; "
                "--snapshot-key FILE would work"
            )

    def secret(self) -> bytes:
        """The key, or one of this process. Raises WavetileError when it can not be read, or others can read it."""
        if self.key is None:
            return secrets.token_bytes(32)
        text = read_private(self.key, "snapshot key").strip()
        if len(text) < LEAST_KEY_CHARACTERS:
            raise WavetileError(
                f"the snapshot key {self.key} has {len(text)} characters; {LEAST_KEY_CHARACTERS} or more that nobody "
                "can guess would work, such as `openssl rand -hex 32` prints"
            )
        return text.encode()

    def open_store(self) -> SnapshotStore:
        """Where the snapshots are kept. Raises WavetileError when that can not be had."""
        if not self.store:
            return MemoryStore()
        if self.store.startswith(("redis://", "rediss://", "unix://")):
            from .redis_store import RedisStore

            return RedisStore(self.store)
        return DirectoryStore(Path(self.store))
