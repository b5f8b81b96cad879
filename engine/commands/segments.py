"""Segments of speech, from the events that start and end them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Segment:
    """Speech from a sample up to, not including, another."""

    start_sample: int
    end_sample: int
    start_seconds: float
    end_seconds: float


def segments_of(events: Iterable[tuple[str, int]], samples: int, sample_rate_hz: int) -> tuple[Segment, ...]:
    """Pair the starts and ends in `events`, (kind, sample) each; speech that has not ended ends with the signal."""
    segments, start = [], None
    for kind, sample in events:
        if kind == "speech_start":
            start = sample
        elif kind == "speech_end" and start is not None:
            segments.append((start, sample))
            start = None
    if start is not None:
        segments.append((start, samples))
    return tuple(Segment(a, b, a / sample_rate_hz, b / sample_rate_hz) for a, b in segments)
