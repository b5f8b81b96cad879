"""A resampler whose state can be saved: each stretch of the signal is resampled from a beginning of its own."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from ..errors import SnapshotError
from .record import Record, Value

SEGMENT_SECONDS = 1.0
"""How long a segment is, at least: what a saved state holds of the signal, and what restoring it computes again."""

MARGIN_SAMPLES = 1024
"""What a run hears before the first and after the last sample that it gives out, counted at the lower rate.

soxr's filter for high quality is shorter than 256 samples to either side: with those, a seam differs from one run over
the whole signal by rounding alone.
"""


class ResumableResampler:
    """Converts a signal from one rate to another as `Resampler` does, with a state that can be saved and restored.

    soxr does not give out its state. So the signal is cut into segments at places that follow from the rates alone,
    each resampled by a run of soxr of its own that begins a margin before the segment and ends a margin after it; only
    the segment itself is given out. Runs begin where a sample of the input and one of the output fall together, for
    soxr begins nowhere else; that may be once a second only. A margin later, at any rate, a segment begins.

    What comes out next is decided by the input since the newest run's beginning, and that is what is saved. The bits of
    the output depend on where the signal is cut and on nothing else, and so are the same before and after. They differ
    from `Resampler`'s by rounding.
    """

    def __init__(self, from_hz: int, to_hz: int, channels: int) -> None:
        self.ratio = Fraction(to_hz, from_hz)
        self._arguments = (from_hz, to_hz, channels)
        self._margin = math.ceil(MARGIN_SAMPLES * max(1, 1 / self.ratio))
        least = max(math.ceil(SEGMENT_SECONDS * from_hz), 2 * self._margin)  # no more than two runs at a time
        grid = self.ratio.denominator  # samples of the input that are a whole number of samples of the output
        self._segment = grid * math.ceil(least / grid)
        shape = (self._segment + 2 * self._margin,)
        self._history_shape = shape if channels == 1 else (*shape, channels)
        self.reset()

    def reset(self) -> None:
        """Start a new signal."""
        self._begin(0)

    def _begin(self, index: int) -> None:
        """Be where segment `index` has begun to be heard."""
        self._index = index
        start = index * self._segment
        self._history = np.empty(self._history_shape, np.float32)
        """The input since `_start`. What is in it stays as it is: who was given a part of it need not copy it."""
        self._start = self._fed = start
        self._given = self._boundary(index)  # output samples in all
        self._current = _Run(self._arguments, self.ratio * start)
        self._next: _Run | None = None
        self._waiting: list[np.ndarray] = []
        """What the next segment has given so far; the end of this one comes before it."""
        self._early = self._history[:0]
        """What a restored one has ready before the saved one had."""
        self._to_drop = 0
        """What the saved one had given out before a restored one has it ready."""

    def process(self, block: np.ndarray) -> np.ndarray:
        """Take `[samples]` (one channel) or `[samples, channels]` float32; return what is ready, of the same rank."""
        ready = []
        while len(block):
            following = (self._index + 1) * self._segment
            limit = following if self._next is None else following + 2 * self._margin
            part, block = block[: limit - self._fed], block[limit - self._fed :]
            self._hear(part, ready)
            if self._fed < limit:
                break
            if self._next is None:
                self._next = _Run(self._arguments, self.ratio * limit)
            else:
                self._move_on(ready)
        return self._handed(ready)

    def flush(self) -> np.ndarray:
        """Return the rest of the signal; `reset` before the next."""
        seam = self._boundary(self._index + 1)
        ready = [self._current.end(self._boundary(self._index), seam), *self._waiting]
        if self._next is not None:
            ready.append(self._next.end(seam, None))
        return self._handed(ready)

    @property
    def nbytes(self) -> int:
        """The most that `save` gives of the signal."""
        return self._history.nbytes

    def save(self) -> dict[str, Value]:
        """The state, for `restore` of a resampler of the same rates and channels; nothing of it changes later."""
        return {
            "fed": self._fed,
            "given": self._given,
            "history": self._history[: self._fed - self._start],
        }

    def restore(self, saved: Record) -> None:
        """Go on where another one was saved. Raises SnapshotError."""
        fed, history = saved.number("fed"), saved.array("history")
        self._begin(max(0, (fed - 2 * self._margin) // self._segment))
        if history.shape != (fed - self._start, *self._history.shape[1:]):
            raise SnapshotError(f"a resampler's history of shape {list(history.shape)} does not fit {fed} samples")
        again = self.process(history)
        # How much soxr has ready may depend on the blocks that it was given; which samples these are does not.
        ahead = self._given - saved.number("given")
        self._early = again[len(again) - max(0, ahead) :]
        self._to_drop = max(0, -ahead)
        self._given -= ahead

    def _boundary(self, index: int) -> int:
        """The output sample that segment `index` begins with."""
        return int((index * self._segment + self._margin) * self.ratio) if index else 0

    def _hear(self, part: np.ndarray, ready: list[np.ndarray]) -> None:
        """Give both runs a part that ends before either begins or ends."""
        at = self._fed - self._start
        self._history[at : at + len(part)] = part
        self._fed += len(part)
        seam = self._boundary(self._index + 1)
        ready.append(self._current.take(part, self._boundary(self._index), seam))
        if self._next is not None:
            self._waiting.append(self._next.take(part, seam, None))

    def _move_on(self, ready: list[np.ndarray]) -> None:
        """End this segment: the next one is heard by itself from here on."""
        assert self._next is not None
        first, seam = self._boundary(self._index), self._boundary(self._index + 1)
        ready += [self._current.end(first, seam), *self._waiting]
        self._index += 1
        start = self._index * self._segment
        kept = self._history[start - self._start : self._fed - self._start]
        self._history = np.empty(self._history_shape, np.float32)
        self._history[: len(kept)] = kept
        self._start = start
        self._current, self._next, self._waiting = self._next, None, []

    def _handed(self, ready: list[np.ndarray]) -> np.ndarray:
        output = np.concatenate([self._early, *ready])
        self._early = output[:0]
        dropped = min(self._to_drop, len(output))
        self._to_drop -= dropped
        output = output[dropped:]
        self._given += len(output)
        return output


class _Run:
    """One run of soxr, which knows the number of each sample that it gives."""

    def __init__(self, arguments: tuple[int, int, int], first: Fraction) -> None:
        import soxr

        self._stream = soxr.ResampleStream(*arguments, dtype="float32", quality="HQ")
        self._channels = arguments[2]
        self._position = int(first)

    def take(self, block: np.ndarray, first: int, end: int | None) -> np.ndarray:
        """Hear a block; what is ready of the output samples `first` to `end`."""
        return self._cut(self._stream.resample_chunk(np.ascontiguousarray(block)), first, end)

    def end(self, first: int, end: int | None) -> np.ndarray:
        """The same of the rest."""
        nothing = np.zeros(0 if self._channels == 1 else (0, self._channels), np.float32)
        return self._cut(self._stream.resample_chunk(nothing, last=True), first, end)

    def _cut(self, output: np.ndarray, first: int, end: int | None) -> np.ndarray:
        begin = self._position
        self._position += len(output)
        low = max(0, first - begin)
        return output[low:] if end is None else output[low : max(low, end - begin)]
