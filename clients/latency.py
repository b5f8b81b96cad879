"""Latency of each frame: from the sending of the chunk that completed it to the arrival of its result."""

from __future__ import annotations

from collections import deque


class LatencyTracker:
    """Matches results to the chunks that they needed. Times are seconds on any one clock.

    Frame k is complete when (k + 1) * `frame_samples` samples have been sent; `frame_samples` counts at the stream's
    rate and need not be whole. Frames that only the flush completed have no chunk and are left out.
    """

    def __init__(self, frame_samples: float) -> None:
        self.frame_samples = frame_samples
        self._sent = 0
        self._chunks: deque[tuple[int, float]] = deque()  # (samples sent up to its end, when it was sent)

    def sent(self, sample_count: int, now_s: float) -> None:
        """A chunk of `sample_count` samples is being sent."""
        self._sent += sample_count
        self._chunks.append((self._sent, now_s))

    def received(self, first_frame_index: int, frame_count: int, now_s: float) -> list[float]:
        """The latencies in seconds of these frames, whose result has arrived; frames must come in order."""
        latencies = []
        for frame in range(first_frame_index, first_frame_index + frame_count):
            needed = (frame + 1) * self.frame_samples
            while self._chunks and self._chunks[0][0] < needed:
                self._chunks.popleft()
            if not self._chunks:
                break
            latencies.append(now_s - self._chunks[0][1])
        return latencies
