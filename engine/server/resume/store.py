"""Where sealed snapshots are kept: a few operations, each whole or not at all, and a place for them in memory."""

from __future__ import annotations

import threading
import time
from typing import Protocol


class SnapshotStore(Protocol):
    """Bytes by name, for a while. Safe from several threads, and where servers share it, from several servers.

    Names are made of [0-9a-f]. All methods may block; they raise OSError where the place can not be reached.
    """

    def add(self, name: str, data: bytes, expires_s: float) -> None:
        """Keep `data` until this time (`time.time()`). The name is new."""
        ...

    def replace(self, name: str, data: bytes, expires_s: float) -> bool:
        """Keep `data` in place of what is there; False: nothing is there any more, and nothing was kept."""
        ...

    def read(self, name: str) -> bytes | None:
        """What is kept; None: nothing, or its time is over."""
        ...

    def take(self, name: str) -> bool:
        """Remove it; True for one caller alone, however many there are."""
        ...


class MemoryStore:
    """In this process."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[bytes, float]] = {}
        self._lock = threading.Lock()

    def add(self, name: str, data: bytes, expires_s: float) -> None:
        """See `SnapshotStore`."""
        with self._lock:
            now_s = time.time()
            for old in [old for old, (_, until_s) in self._kept.items() if until_s < now_s]:
                del self._kept[old]
            self._kept[name] = data, expires_s

    def replace(self, name: str, data: bytes, expires_s: float) -> bool:
        """See `SnapshotStore`."""
        with self._lock:
            if name not in self._kept:
                return False
            self._kept[name] = data, expires_s
            return True

    def read(self, name: str) -> bytes | None:
        """See `SnapshotStore`."""
        data, until_s = self._kept.get(name, (None, 0.0))
        return data if until_s >= time.time() else None

    def take(self, name: str) -> bool:
        """See `SnapshotStore`."""
        with self._lock:
            return self._kept.pop(name, None) is not None
