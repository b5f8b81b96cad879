"""A ring of samples between one producer and one consumer."""

from __future__ import annotations

import numpy as np


class Ring:
    """The newest samples of a few channels, float32, allocated once.

    Blocks are `[samples]` of one channel, `[samples, channels]` of several. One thread may write while another reads.
    Each side moves only its own counter, and moves it after the samples: what the other side sees as there, is there.
    `clear` is for when neither is at work.
    """

    __slots__ = ("_samples", "capacity", "read_count", "written")

    def __init__(self, channels: int, capacity: int) -> None:
        self.capacity = capacity
        buffer = np.zeros((channels, capacity), np.float32)  # a channel's samples side by side, as programs read them
        self._samples = buffer[0] if channels == 1 else buffer.T
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
        """Append a block.

        Raises:
            ValueError: there is no room; nothing was written.
        """
        count, written, capacity = len(block), self.written, self.capacity
        if count > capacity - written + self.read_count:
            raise self._full(count)
        start = written % capacity
        end = start + count
        if end <= capacity:
            self._samples[start:end] = block
        else:
            first = capacity - start
            self._samples[start:] = block[:first]
            self._samples[: end - capacity] = block[first:]
        self.written = written + count

    def write_silence(self, count: int) -> None:
        """Append `count` zeros to every channel; as `write`."""
        if count > self.free:
            raise self._full(count)
        start = self.written % self.capacity
        end = start + count
        self._samples[start:end] = 0.0
        self._samples[: max(0, end - self.capacity)] = 0.0
        self.written += count

    def read(self, target: np.ndarray, advance: int) -> None:
        """Copy the oldest samples to `target`, a block, then forget the oldest `advance` of them.

        The caller has seen that `filled` samples are enough.
        """
        read_count, capacity = self.read_count, self.capacity
        start = read_count % capacity
        end = start + len(target)
        if end <= capacity:
            target[...] = self._samples[start:end]
        else:
            first = capacity - start
            target[:first] = self._samples[start:]
            target[first:] = self._samples[: end - capacity]
        self.read_count = read_count + advance

    def clear(self) -> None:
        """Forget everything."""
        self.written = self.read_count = 0

    def _full(self, count: int) -> ValueError:
        return ValueError(f"{count} samples do not fit a ring with {self.free} of {self.capacity} free")
