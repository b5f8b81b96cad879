"""What a load has shown: latencies, misses, refusals, by process first and then together."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .histogram import Histogram

INTERVALS = 120
"""Of a load's time that are looked at one by one, at most."""
FOLDED_RESULTS = 4096


@dataclass(slots=True)
class Interval:
    """A part of the time."""

    latency: Histogram = field(default_factory=Histogram)
    live: int = 0
    """Streams at its end."""


class Figures:
    """Counts, and histograms of times in ns, of one load."""

    def __init__(self, deadline_ns: int, measured_from_ns: int, interval_ns: int) -> None:
        """Frames count from `measured_from_ns` of the load's time on; those after `deadline_ns` are late."""
        self.deadline_ns = deadline_ns
        self.measured_from_ns = measured_from_ns
        self.interval_ns = interval_ns
        self.latency = Histogram()
        self.sent_late = Histogram()
        """How late the generator itself was: latencies count from when a chunk was due, so this is part of them."""
        self.opening = Histogram()
        """From the opening of a stream to its first response."""
        self.queue = Histogram()
        self.compute = Histogram()
        self.counts: Counter[str] = Counter()
        self.endings: Counter[str] = Counter()
        """Of streams, by what ended them: "OK", "cancelled", "vanished", a status."""
        self.intervals: dict[int, Interval] = {}
        self._rows: list[tuple[int, int, int, int]] = []
        self._lateness: list[int] = []

    # While the load goes on; times are of the load, in ns.

    def sent(self, due_ns: int, late_ns: int) -> None:
        """A chunk that was due at `due_ns` is on its way."""
        if due_ns >= self.measured_from_ns:
            self._lateness.append(late_ns)

    def answered(self, due_ns: int, latency_ns: int, queue_ns: int, compute_ns: int) -> None:
        """A frame whose last chunk was due at `due_ns` has its answer."""
        self._rows.append((due_ns, latency_ns, queue_ns, compute_ns))
        if len(self._rows) >= FOLDED_RESULTS:
            self.fold()

    def living(self, now_ns: int, streams: int) -> None:
        """So many streams are live now."""
        self._interval(now_ns // self.interval_ns).live = streams

    def fold(self) -> None:
        """Put what was noted into the histograms."""
        self.sent_late.add(np.array(self._lateness, np.int64))
        self._lateness.clear()
        if not self._rows:
            return
        rows = np.array(self._rows, np.int64)
        self._rows.clear()
        for number in np.unique(rows[:, 0] // self.interval_ns):
            self._interval(int(number)).latency.add(rows[rows[:, 0] // self.interval_ns == number, 1])
        rows = rows[rows[:, 0] >= self.measured_from_ns]
        self.counts["frames"] += len(rows)
        self.counts["over deadline"] += int((rows[:, 1] > self.deadline_ns).sum())
        self.latency.add(rows[:, 1])
        self.queue.add(rows[rows[:, 2] >= 0, 2])
        self.compute.add(rows[rows[:, 3] >= 0, 3])

    # Afterwards.

    def merge(self, other: Figures) -> None:
        """Add those of another process."""
        for name in ("latency", "sent_late", "opening", "queue", "compute"):
            getattr(self, name).merge(getattr(other, name))
        self.counts += other.counts
        self.endings += other.endings
        for number, interval in other.intervals.items():
            mine = self._interval(number)
            mine.latency.merge(interval.latency)
            mine.live += interval.live

    @property
    def refused(self) -> int:
        """Streams that the server did not take, or ended with an error."""
        return sum(count for name, count in self.endings.items() if name not in ("OK", "cancelled", "vanished"))

    @property
    def held(self) -> bool:
        """Whether all streams were served in time: 99 % of the frames by the deadline, none missed, none refused."""
        return (
            self.latency.count > 0
            and self.latency.percentile_ns(99) <= self.deadline_ns
            and not self.counts["missed"]
            and not self.counts["wrong"]
            and not self.refused
        )

    def as_json(self) -> dict[str, Any]:
        """Everything, as plain data; times in ms."""
        return {
            "deadline_ms": self.deadline_ns / 1e6,
            "latency_ms": self.latency.summary_ms(),
            "queue_ms": self.queue.summary_ms(),
            "compute_ms": self.compute.summary_ms(),
            "opening_ms": self.opening.summary_ms(),
            "sent_late_ms": self.sent_late.summary_ms(),
            "counts": dict(self.counts),
            "endings": dict(self.endings),
            "held": self.held,
            "intervals": [
                {"start_s": number * self.interval_ns / 1e9, "live": one.live, "frames": one.latency.count,
                 **one.latency.summary_ms()}
                for number, one in sorted(self.intervals.items())
            ],
        }  # fmt: skip

    def _interval(self, number: int) -> Interval:
        return self.intervals.setdefault(number, Interval())
