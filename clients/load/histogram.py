"""Times in buckets whose width grows with the time, so that a day of latencies needs no more memory than a second."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

BUCKETS_PER_OCTAVE = 64
"""A bucket is 1.1 % wide: what a percentile may be off by, upwards."""
OCTAVES = 45
"""Up to 2^45 ns, nearly ten hours."""
PERCENTILES = (50.0, 90.0, 99.0, 99.9)


class Histogram:
    """Counts of times in ns; as HdrHistogram (Tene) by logarithm."""

    def __init__(self) -> None:
        self.counts = np.zeros(BUCKETS_PER_OCTAVE * OCTAVES, np.int64)
        self.largest_ns = 0
        self.total_ns = 0

    def add(self, times_ns: np.ndarray) -> None:
        """Count times, `[n]` in ns; those below 1 ns count as 1."""
        if not len(times_ns):
            return
        times = np.maximum(np.asarray(times_ns, np.float64), 1.0)
        places = np.minimum(np.log2(times) * BUCKETS_PER_OCTAVE, len(self.counts) - 1).astype(np.int64)
        self.counts += np.bincount(places, minlength=len(self.counts))
        self.largest_ns = max(self.largest_ns, int(times.max()))
        self.total_ns += int(times.sum())

    def merge(self, other: Histogram) -> None:
        """Add what another one has counted."""
        self.counts += other.counts
        self.largest_ns = max(self.largest_ns, other.largest_ns)
        self.total_ns += other.total_ns

    @property
    def count(self) -> int:
        """How many times were counted."""
        return int(self.counts.sum())

    def percentile_ns(self, percent: float) -> float:
        """A time that `percent` of the times do not exceed: its bucket's upper edge; NaN where nothing was counted."""
        count = self.count
        if not count:
            return float("nan")
        place = int(np.searchsorted(np.cumsum(self.counts), max(percent / 100 * count, 1)))
        return min(2.0 ** ((place + 1) / BUCKETS_PER_OCTAVE), float(self.largest_ns))

    def share_above(self, time_ns: float) -> float:
        """The share of times above `time_ns`, to the width of a bucket."""
        if not self.count or self.largest_ns <= time_ns:
            return 0.0
        place = int(np.log2(max(time_ns, 1.0)) * BUCKETS_PER_OCTAVE)
        return float(self.counts[place + 1 :].sum()) / self.count

    def summary_ms(self, percentiles: Sequence[float] = PERCENTILES) -> dict[str, float]:
        """Percentiles, largest and mean in ms, by name."""
        names = {f"p{percent:g}": self.percentile_ns(percent) / 1e6 for percent in percentiles}
        count = self.count
        return {**names, "max": self.largest_ns / 1e6, "mean": self.total_ns / 1e6 / count if count else float("nan")}
