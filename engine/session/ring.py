"""A ring of samples between one producer and one consumer."""

from __future__ import annotations

import numpy as np


def stuck() -> RuntimeError:
    """For who would wait for ever: no step can be made, and nothing more be fed."""
    return RuntimeError("the session's ring is full and holds no complete window: it is too small for its stream")


class Ring:
    """The newest samples of a few channels, float32, allocated once.

    Blocks are `[samples]` of one channel, `[samples, channels]` of several. One thread may write while another reads.
    Each side moves only its own counter, and moves it after the samples: what the other side sees as there, is there.
    `clear`, `save` and `restore` are for when neither is at work.
    """

    __slots__ = ("_behind", "_samples", "_size", "capacity", "read_count", "written")

    def __init__(self, channels: int, capacity: int, behind: int = 0) -> None:
        """Hold `capacity` samples that wait, and of those that were read the newest `behind`."""
        self.capacity = capacity
        self._behind = behind
        self._size = capacity + behind
        buffer = np.zeros((channels, self._size), np.float32)  # a channel's samples side by side, as programs read them
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
        count, written, size = len(block), self.written, self._size
        if count > self.capacity - written + self.read_count:
            raise self._full(count)
        start = written % size
        end = start + count
        if end <= size:
            self._samples[start:end] = block
        else:
            first = size - start
            self._samples[start:] = block[:first]
            self._samples[: end - size] = block[first:]
        self.written = written + count

    def write_silence(self, count: int) -> None:
        """Append `count` zeros to every channel; as `write`."""
        if count > self.free:
            raise self._full(count)
        start = self.written % self._size
        end = start + count
        self._samples[start:end] = 0.0
        self._samples[: max(0, end - self._size)] = 0.0
        self.written += count

    def read(self, target: np.ndarray, advance: int, start: int = 0) -> None:
        """Copy samples to `target`, a block, then forget the oldest `advance` of those that wait.

        `start` is counted from the oldest that waits, and at least -`behind`; before the first of all lies silence. The
        caller has seen that `filled` samples are enough.
        """
        size, read_count = self._size, self.read_count
        first = (read_count + start) % size
        end = first + len(target)
        if end <= size:
            target[...] = self._samples[first:end]
        else:
            head = size - first
            target[:head] = self._samples[first:]
            target[head:] = self._samples[: end - size]
        self.read_count = read_count + advance

    def skip(self, advance: int) -> None:
        """Forget the oldest `advance` samples that wait."""
        self.read_count += advance

    def clear(self) -> None:
        """Forget everything."""
        self.written = self.read_count = 0
        if self._behind:
            self._samples[:] = 0.0  # what lies before the first sample

    @property
    def nbytes(self) -> int:
        """The most that `save` gives."""
        return self._samples.nbytes

    def save(self) -> np.ndarray:
        """A copy of what waits, a block; what is kept of before comes first."""
        samples = np.empty((self._behind + self.filled, *self._samples.shape[1:]), np.float32)
        self.read(samples, 0, -self._behind)
        return samples

    def restore(self, samples: np.ndarray, read_count: int) -> None:
        """Hold what a ring of the same size saved when it had read so many samples. Raises ValueError."""
        self.written = self.read_count = read_count - self._behind
        self.write(samples[: self._behind])
        self.read_count = read_count
        self.write(samples[self._behind :])

    def _full(self, count: int) -> ValueError:
        return ValueError(f"{count} samples do not fit a ring with {self.free} of {self.capacity} free")
