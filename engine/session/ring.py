"""A ring of samples between one producer and one consumer."""

from __future__ import annotations

import numpy as np


class Ring:
    """The newest samples of a few channels: `[channels, capacity]` float32, allocated once.

    One thread may write while another reads. Each side moves only its own counter, and moves it after the samples:
    what the other side sees as there, is there. `clear` is for when neither is at work.
    """

    __slots__ = ("_buffer", "capacity", "read_count", "written")

    def __init__(self, channels: int, capacity: int) -> None:
        self.capacity = capacity
        self._buffer = np.zeros((channels, capacity), np.float32)
        self.written = 0
        """Samples a channel that were ever written."""
        self.read_count = 0
        """Samples a channel that were ever read."""

    @property
    def filled(self) -> int:
        """Samples a channel that wait."""
        return self.written - self.read_count

    @property
    def free(self) -> int:
        """Samples a channel that can be written."""
        return self.capacity - self.written + self.read_count

    def write(self, block: np.ndarray) -> None:
        """Append `[channels, samples]` float32, or `[samples]` to every channel.

        Raises:
            ValueError: there is no room; nothing was written.
        """
        count = block.shape[-1]
        if count > self.capacity - self.written + self.read_count:
            raise self._full(count)
        start = self.written % self.capacity
        end = start + count
        if end <= self.capacity:
            self._buffer[:, start:end] = block
        else:
            first = self.capacity - start
            self._buffer[:, start:] = block[..., :first]
            self._buffer[:, : end - self.capacity] = block[..., first:]
        self.written += count

    def write_silence(self, count: int) -> None:
        """Append `count` zeros to every channel; as `write`."""
        if count > self.free:
            raise self._full(count)
        start = self.written % self.capacity
        end = start + count
        self._buffer[:, start:end] = 0.0
        self._buffer[:, : max(0, end - self.capacity)] = 0.0
        self.written += count

    def read(self, target: np.ndarray, advance: int) -> None:
        """Copy the oldest samples to `target`, `[channels, samples]`, then forget the oldest `advance` of them.

        The caller has seen that `filled` samples are enough.
        """
        start = self.read_count % self.capacity
        end = start + target.shape[-1]
        if end <= self.capacity:
            target[...] = self._buffer[:, start:end]
        else:
            first = self.capacity - start
            target[:, :first] = self._buffer[:, start:]
            target[:, first:] = self._buffer[:, : end - self.capacity]
        self.read_count += advance

    def clear(self) -> None:
        """Forget everything."""
        self.written = self.read_count = 0

    def _full(self, count: int) -> ValueError:
        return ValueError(f"{count} samples do not fit a ring with {self.free} of {self.capacity} free")
