"""Snapshots in a folder: a file each, readable by the server alone, whole or not there."""

from __future__ import annotations

import os
import secrets
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ...errors import WavetileError

SUFFIX = ".snapshot"
SWEEP_S = 10.0
"""How often files are looked for whose time is over."""


class DirectoryStore:
    """Files named by hashes. A file's time of modification is when its time is over.

    What is written survives the server, not the machine: nothing waits for the disk. Servers that share the folder take
    turns on a lock file where one could undo what the other does; a file system that has no locks is refused.
    """

    def __init__(self, folder: Path) -> None:
        """Use `folder`, which is made if need be. Raises WavetileError."""
        self._folder = folder
        self._swept_s = 0.0
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            mode = folder.stat().st_mode
            with self._locked():
                pass
        except (OSError, ImportError) as error:
            raise WavetileError(f"snapshots can not be kept in {folder}: {error}") from error
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise WavetileError(
                f"the folder of snapshots {folder} is open to other users of this machine (mode "
                f"{stat.S_IMODE(mode):o}); `chmod 700 {folder}` would work"
            )

    def add(self, name: str, data: bytes, expires_s: float) -> None:
        """See `SnapshotStore`."""
        self._sweep()
        self._written(data, expires_s).replace(self._path(name))

    def replace(self, name: str, data: bytes, expires_s: float) -> bool:
        """See `SnapshotStore`."""
        path, partial = self._path(name), self._written(data, expires_s)
        with self._locked():
            if path.exists():
                partial.replace(path)
                return True
        partial.unlink()
        return False

    def read(self, name: str) -> bytes | None:
        """See `SnapshotStore`."""
        with suppress(FileNotFoundError), self._path(name).open("rb") as file:
            if os.fstat(file.fileno()).st_mtime >= time.time():
                return file.read()
        return None

    def take(self, name: str) -> bool:
        """See `SnapshotStore`."""
        with suppress(FileNotFoundError), self._locked():
            self._path(name).unlink()
            return True
        return False

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}{SUFFIX}"

    def _written(self, data: bytes, expires_s: float) -> Path:
        """A file of its own with this content."""
        path = self._folder / f"{secrets.token_hex(16)}.partial"
        try:
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(data)
            os.utime(path, (expires_s, expires_s))
        except OSError:
            path.unlink(missing_ok=True)
            raise
        return path

    @contextmanager
    def _locked(self) -> Iterator[None]:
        import fcntl  # not on Windows

        descriptor = os.open(self._folder / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)  # which gives the lock back

    def _sweep(self) -> None:
        """Remove what nobody can ask for any more, also of servers that were killed while they wrote."""
        now_s = time.time()
        if now_s - self._swept_s < SWEEP_S:
            return
        self._swept_s = now_s
        for path in self._folder.iterdir():
            late_s = 60.0 if path.suffix == ".partial" else 0.0
            with suppress(FileNotFoundError):
                if path.suffix in (SUFFIX, ".partial") and path.stat().st_mtime + late_s < now_s:
                    path.unlink()
