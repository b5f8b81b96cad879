"""Latency of each frame: from the sending of the chunk that completed it to the arrival of its result."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator
from typing import Self

import numpy as np

from .results import StreamInfo


class LatencyTracker:
    """Matches results to the chunks that they needed. Times are seconds on any one clock.

    Frame k is complete when `first_frame_samples` + k * `hop_samples` samples have been sent; both count at the
    stream's rate, and a hop of another rate need not be whole. Frames that only the flush completed have no chunk and
    are left out.
    """

    def __init__(self, first_frame_samples: int, hop_samples: float) -> None:
        self.first_frame_samples = first_frame_samples
        self.hop_samples = hop_samples
        self._sent = 0
        self._chunks: deque[tuple[int, float]] = deque()  # (samples sent up to its end, when it was sent)

    @classmethod
    def of_stream(cls, info: StreamInfo) -> Self:
        """A tracker of an audio stream's frames."""
        return cls(info.first_frame_samples, info.hop_samples * info.sample_rate_hz / info.model_sample_rate_hz)

    def sent(self, sample_count: int, now_s: float) -> None:
        """A chunk of `sample_count` samples is being sent."""
        self._sent += sample_count
        self._chunks.append((self._sent, now_s))

    async def watch(self, chunks: AsyncIterable[np.ndarray]) -> AsyncIterator[np.ndarray]:
        """Pass `chunks`, `[samples]` or `[samples, channels]`, on, each noted as `sent` on `time.monotonic`."""
        async for chunk in chunks:
            self.sent(len(chunk), time.monotonic())
            yield chunk

    def received(self, first_frame_index: int, frame_count: int, now_s: float) -> list[float]:
        """The latencies in seconds of these frames, whose result has arrived; frames must come in order."""
        latencies = []
        for frame in range(first_frame_index, first_frame_index + frame_count):
            # The first frame's count was rounded up to a whole sample, so the sum is rounded down: the chunk is never
            # a later one than the frame needed, which would flatter the latency.
            needed = int(self.first_frame_samples + frame * self.hop_samples)
            while self._chunks and self._chunks[0][0] < needed:
                self._chunks.popleft()
            if not self._chunks:
                break
            latencies.append(now_s - self._chunks[0][1])
        return latencies
