"""How long something took, over and over: a count for each range of times, four ranges an octave."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator, Sequence

import numpy as np

RANGES_PER_OCTAVE = 4
LARGEST_OCTAVE = 40
"""Times of 2^40 ns (18 minutes) and more are counted as just below that."""
FOLDED_AT_ONCE = 1024
_RANGES = RANGES_PER_OCTAVE * (LARGEST_OCTAVE - 2)
_SMALLEST_NS, _LARGEST_NS = 4.0, 2.0**LARGEST_OCTAVE - 1.0
_FIRST_BITS = int(np.float64(_SMALLEST_NS).view(np.int64)) >> 50


class TimeHistogram:
    """Times in nanoseconds, each known to within a quarter of its octave.

    Adding is for hot paths: times are put aside, and sorted into their ranges many at once.
    """

    __slots__ = ("_counts", "_pending", "_total_ns")

    def __init__(self) -> None:
        self._counts = np.zeros(_RANGES, np.int64)
        self._total_ns = 0
        self._pending: list[int] = []

    def add(self, times_ns: Sequence[int]) -> None:
        """Count these times; one below 0, of a clock that went back, is counted as none."""
        self._pending.extend(times_ns)
        if len(self._pending) >= FOLDED_AT_ONCE:
            self._fold()

    def merge(self, other: TimeHistogram) -> None:
        """Count all that `other` has counted."""
        self._counts += other.counts
        self._total_ns += other.total_ns

    def copy(self) -> TimeHistogram:
        """The same, from now on counted apart."""
        copied = TimeHistogram()
        copied.merge(self)
        return copied

    @property
    def counts(self) -> np.ndarray:
        """How many times were in each range, `[ranges]` int64; `range_ns` says where a range lies."""
        self._fold()
        return self._counts

    @property
    def count(self) -> int:
        """How many times were counted."""
        return int(self.counts.sum())

    @property
    def total_ns(self) -> int:
        """All times, added up."""
        self._fold()
        return self._total_ns

    def below(self, octaves: Sequence[int]) -> Iterator[int]:
        """How many times were below 2^octave ns, of each octave of 2 or more."""
        sums = np.concatenate([[0], np.cumsum(self.counts)])
        for octave in octaves:
            yield int(sums[min(RANGES_PER_OCTAVE * (octave - 2), _RANGES)])

    def quantile_ns(self, share: float) -> float:
        """The time that `share` of all are below, as near as the ranges tell; NaN of none."""
        sums = np.cumsum(self.counts)
        if sums[-1] == 0:
            return math.nan
        wanted = share * sums[-1]
        index = int(np.searchsorted(sums, max(wanted, 1)))
        low_ns, high_ns = range_ns(index)
        above = (sums[index] - wanted) / self.counts[index]
        return high_ns - (high_ns - low_ns) * float(min(above, 1.0))

    def _fold(self) -> None:
        if not self._pending:
            return
        numbers = np.frombuffer(array("q", self._pending), np.int64)  # half the time of np.array
        times_ns = np.clip(numbers.astype(np.float64), 0.0, _LARGEST_NS)  # all of them exact
        self._pending.clear()
        self._total_ns += int(times_ns.sum())
        # The bits of a binary64 are its octave, then 52 digits, of which the first two are the quarter of the octave.
        bits = np.maximum(times_ns, _SMALLEST_NS).view(np.int64)
        self._counts += np.bincount((bits >> 50) - _FIRST_BITS, minlength=_RANGES)


def range_ns(index: int) -> tuple[int, int]:
    """Where a range begins and ends, in ns."""
    octave, quarter = divmod(index, RANGES_PER_OCTAVE)
    return (RANGES_PER_OCTAVE + quarter) << octave, (RANGES_PER_OCTAVE + quarter + 1) << octave
