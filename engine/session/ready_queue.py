"""The streams of one model whose next frame may be computed, by that frame's deadline."""

from __future__ import annotations

import heapq
import itertools

from .deadlines import LatePolicy
from .scheduled import Frame, ScheduledStream

_Entry = tuple[int, int, ScheduledStream]


class ReadyQueue:
    """Earliest deadline first; of equal ones first come, first served. Guarded by the scheduler's lock."""

    def __init__(self, order: itertools.count[int]) -> None:
        """`order` numbers the entries of all queues."""
        self._order = order
        self._entries: list[_Entry] = []
        self._bypassable: list[_Entry] = []
        """Apart, for those that are late are taken out first."""

    def push(self, stream: ScheduledStream) -> None:
        """Queue a stream that is not in here."""
        stream.queued = True
        heap = self._bypassable if stream.deadlines.policy is LatePolicy.BYPASS else self._entries
        heapq.heappush(heap, (stream.frames[0].deadline_ns, next(self._order), stream))

    def clear(self) -> None:
        """Drop all entries."""
        self._entries.clear()
        self._bypassable.clear()

    def first(self) -> tuple[int, int] | None:
        """Deadline and number of the first stream; None: there is none."""
        heap = self._first_heap()
        return heap[0][:2] if heap else None

    def take_batch(self, max_lanes: int) -> list[tuple[ScheduledStream, Frame]]:
        """The first streams, as many as fit into the lanes, at least one if there is one; and their first frames."""
        taken: list[tuple[ScheduledStream, Frame]] = []
        lanes = 0
        while heap := self._first_heap():
            lanes += heap[0][2].session.lanes
            if taken and lanes > max_lanes:
                break
            taken.append(_take(heap))
        return taken

    def take_late(self, now_ns: int) -> list[tuple[ScheduledStream, Frame]]:
        """The streams that bypass late frames and have one."""
        taken: list[tuple[ScheduledStream, Frame]] = []
        heap = self._bypassable
        while _has_live(heap) and heap[0][0] < now_ns:
            taken.append(_take(heap))
        return taken

    def _first_heap(self) -> list[_Entry] | None:
        """The heap with the first stream of all, if there is one."""
        one, other = self._entries, self._bypassable
        if not _has_live(other):
            return one if _has_live(one) else None
        return one if _has_live(one) and one[0] < other[0] else other


def _has_live(heap: list[_Entry]) -> bool:
    """Whether a stream is left; those that were closed meanwhile go."""
    while heap and heap[0][2].closed:
        heapq.heappop(heap)
    return bool(heap)


def _take(heap: list[_Entry]) -> tuple[ScheduledStream, Frame]:
    stream = heapq.heappop(heap)[2]
    stream.queued, stream.running = False, True
    stream.pending += 1
    return stream, stream.frames.popleft()
