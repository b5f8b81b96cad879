"""How many bytes each kept stream may take: promised when it begins, so that no stream that is kept falls out."""

from __future__ import annotations

from dataclasses import dataclass

MOST_TO_FREE = 3
"""A caller has no more than so many times what is left for others: three quarters where it is alone."""


@dataclass(slots=True)
class _Kept:
    """What one stream has."""

    caller: str
    promised_bytes: int
    written_bytes: int = 0
    expires_s: float | None = None
    """When it may be forgotten; None: its call lives."""
    finished: bool = False

    @property
    def bytes(self) -> int:
        """Of a stream that has come to its end, what there is; it is hardly resumed, and would not grow by much."""
        return self.written_bytes if self.finished else self.promised_bytes


class Room:
    """Of one server. Times are those of `time.time()`."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._streams: dict[str, _Kept] = {}
        """The oldest first."""

    @property
    def taken_bytes(self) -> int:
        """What has been promised in all."""
        return sum(kept.bytes for kept in self._streams.values())

    def promise(self, name: str, caller: str, size: int, now_s: float) -> list[str]:
        """Promise a new stream room for `size` bytes.

        Returns:
            Streams that had to go for it: of the same caller, and at their ends, the oldest first.

        Raises:
            OSError: there is no room, even so. Nothing has gone then.
        """
        for old, kept in list(self._streams.items()):
            if kept.expires_s is not None and kept.expires_s < now_s:
                del self._streams[old]
        free = self._max_bytes - self.taken_bytes - size
        own = size + sum(kept.bytes for kept in self._streams.values() if kept.caller == caller)
        finished = [old for old, kept in self._streams.items() if kept.finished and kept.caller == caller]
        gone: list[str] = []
        while own > MOST_TO_FREE * free:
            if not finished:
                raise OSError(
                    f"{size} bytes more for snapshots can not be promised: {self.taken_bytes} of {self._max_bytes} "
                    f"are taken, {own - size} by this caller"
                )
            gone.append(finished.pop(0))
            free += self._streams[gone[-1]].bytes
            own -= self._streams[gone[-1]].bytes
        for old in gone:
            del self._streams[old]
        self._streams[name] = _Kept(caller, size)
        return gone

    def written(self, name: str, size: int) -> None:
        """So much of it is used."""
        if (kept := self._streams.get(name)) is not None:
            kept.written_bytes = size

    def end(self, name: str, expires_s: float, *, finished: bool) -> None:
        """Its call is over: what it has is its own until then, for whoever resumes it needs as much."""
        if (kept := self._streams.get(name)) is not None:
            kept.expires_s, kept.finished = expires_s, finished

    def put_back(self, name: str, caller: str, size: int, expires_s: float) -> None:
        """Let a stream that was let go of have so much again."""
        self._streams[name] = _Kept(caller, size, size, expires_s)

    def leave(self, name: str) -> None:
        """It is kept no more."""
        self._streams.pop(name, None)
