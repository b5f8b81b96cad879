"""The jitter buffer between a network and a loudspeaker: fixed memory, bounded delay, silence where nothing came."""

from __future__ import annotations

import threading

import numpy as np


class PlaybackBuffer:
    """A ring of samples that one thread writes and another reads.

    Reading gives silence until `target_samples` have come, and again after the buffer ran empty, so that late arrivals
    cost one gap instead of many. Beyond `capacity_samples` the oldest samples are dropped: the delay can not grow.
    """

    def __init__(self, *, target_samples: int, capacity_samples: int, channels: int = 1) -> None:
        if not 0 <= target_samples <= capacity_samples:
            raise ValueError(
                f"target_samples {target_samples} must lie between 0 and capacity_samples {capacity_samples}"
            )
        self.underruns = 0
        self.dropped_samples = 0
        self._target = target_samples
        self._ring = np.zeros((capacity_samples, channels), np.float32)
        self._read = 0
        self._count = 0
        self._filling = True
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return self._count

    def write(self, samples: np.ndarray) -> None:
        """Append `[samples, channels]` float32 (or `[samples]` for one channel)."""
        capacity, channels = self._ring.shape
        rows = samples.reshape(len(samples), channels)
        with self._lock:
            surplus = max(0, self._count + len(rows) - capacity)
            old = min(surplus, self._count)
            self._read = (self._read + old) % capacity
            self._count -= old
            rows = rows[surplus - old :]
            self._ring[(self._read + self._count + np.arange(len(rows))) % capacity] = rows
            self._count += len(rows)
            self.dropped_samples += surplus
            if self._count >= self._target:
                self._filling = False

    def read(self, sample_count: int) -> np.ndarray:
        """The next `[sample_count, channels]` float32; zeros where there is nothing."""
        capacity, channels = self._ring.shape
        result = np.zeros((sample_count, channels), np.float32)
        with self._lock:
            if self._filling:
                return result
            count = min(sample_count, self._count)
            result[:count] = self._ring[(self._read + np.arange(count)) % capacity]
            self._read = (self._read + count) % capacity
            self._count -= count
            if count < sample_count:
                self.underruns += 1
                self._filling = True
        return result
