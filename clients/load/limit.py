"""The most streams that a server holds."""

from __future__ import annotations

from collections.abc import Callable

PRECISION = 0.05


class LimitSearch:
    """Says how many streams to try next: twice as many until they are too many, then what lies between."""

    def __init__(self, *, first: int = 8, most: int = 8192) -> None:
        self._most = most
        self.limit = 0
        """The most that held so far."""
        self._failed = 0
        self.streams = first
        """To be tried next; 0: `limit` is known, to a twentieth of itself."""

    def tell(self, held: bool) -> None:
        """How the last try went."""
        if held:
            self.limit = self.streams
        else:
            self._failed = self.streams
        if not self._failed:
            self.streams = 0 if self.limit >= self._most else min(self.limit * 2, self._most)
        elif self._failed - self.limit > max(1, int(PRECISION * self.limit)):
            self.streams = (self.limit + self._failed) // 2
        else:
            self.streams = 0


def find_limit(holds: Callable[[int], bool], *, first: int = 8, most: int = 8192) -> int:
    """The largest number of streams for which `holds`, to a twentieth of itself; 0 if one stream is too many."""
    search = LimitSearch(first=first, most=most)
    while search.streams:
        search.tell(holds(search.streams))
    return search.limit
