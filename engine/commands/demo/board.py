"""What the demo shows while it runs: latencies of both streams, and speech as it is detected."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ....clients import StreamResult
from ...models.card import AudioSignal
from ..segments import segments_of

BLOCKS = " ▁▂▃▄▅▆▇█"
STRIP_CELLS = 70
REFRESH_SECONDS = 0.25


@dataclass(slots=True)
class Tally:
    """One stream's numbers so far."""

    model: str
    signal: AudioSignal
    latencies_s: list[float] = field(default_factory=list)
    frames: int = 0
    compute_s: float = 0.0

    def add(self, result: StreamResult, latencies_s: list[float]) -> None:
        """Count one result."""
        self.latencies_s += latencies_s
        self.frames += result.frame_count
        self.compute_s += result.compute_time_ns / 1e9

    @property
    def frame_seconds(self) -> float:
        """Length of a frame."""
        return self.signal.hop_samples / self.signal.sample_rate_hz

    @property
    def real_time_factor(self) -> float:
        """Seconds computed for a second of signal."""
        return self.compute_s / (self.frames * self.frame_seconds) if self.frames else 0.0


class Board:
    """A live table on a terminal; elsewhere it is printed once, at the end.

    It draws when the denoiser's results have arrived, before the next chunk is due, and never from a thread of its own:
    drawing must not delay what is being measured.
    """

    def __init__(self, console: Console, detector: Tally, denoiser: Tally, clip_samples: int) -> None:
        self.detector, self.denoiser = detector, denoiser
        self._sample_rate_hz = detector.signal.sample_rate_hz
        self._seconds = clip_samples / self._sample_rate_hz
        self._probability: list[float] = []
        self._events: list[tuple[str, int]] = []
        self._drawn_s = 0.0
        self._live = Live(console=console, auto_refresh=False)

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._draw()
        self._live.__exit__(None, None, None)

    def detected(self, result: StreamResult, latencies_s: list[float]) -> None:
        """Take one of the voice detector's results."""
        self.detector.add(result, latencies_s)
        self._probability += result.values["probability"].ravel().tolist()
        self._events += [(event.kind, event.sample_index) for event in result.events]

    def denoised(self, result: StreamResult, latencies_s: list[float]) -> None:
        """Take one of the denoiser's results, and draw if it is time."""
        self.denoiser.add(result, latencies_s)
        if time.monotonic() - self._drawn_s >= REFRESH_SECONDS:
            self._draw()

    def _draw(self) -> None:
        self._live.update(self._table(), refresh=True)
        self._drawn_s = time.monotonic()

    def _table(self) -> Group:
        table = Table(header_style="bold", box=None, pad_edge=False)
        table.add_column("stream", no_wrap=True)
        for heading in ("frames", "p50", "p99", "worst", "due in", "real-time factor"):
            table.add_column(heading, justify="right", no_wrap=True)
        for tally in (self.denoiser, self.detector):
            factor = f"{tally.real_time_factor:.4f}"
            table.add_row(tally.model, str(tally.frames), *_latencies(tally), factor)
        elapsed = min(self._seconds, self.denoiser.frames * self.denoiser.frame_seconds)
        return Group(table, Text(), self._strip(), self._spoken(elapsed))

    def _strip(self) -> Text:
        """The probability of speech as blocks: the clip's whole length, filled as far as it has come."""
        frames = round(self._seconds / self.detector.frame_seconds)
        edges = np.linspace(0, frames, STRIP_CELLS + 1).round().astype(int)
        strip = Text("speech  ", style="bold")
        for first, last in itertools.pairwise(edges):
            part = self._probability[first:last]
            level = max(part) if part else 0.0
            strip.append(BLOCKS[round(level * (len(BLOCKS) - 1))], "cyan" if level >= 0.5 else "bright_black")
        return strip

    def _spoken(self, elapsed: float) -> Text:
        segments = segments_of(self._events, round(elapsed * self._sample_rate_hz), self._sample_rate_hz)
        spans = ", ".join(f"{one.start_seconds:.2f} to {one.end_seconds:.2f} s" for one in segments)
        return Text(f"{elapsed:4.1f} s of {self._seconds:.1f} s   detected: {spans or 'nothing yet'}")


def _latencies(tally: Tally) -> tuple[str, ...]:
    """Median, p99, worst and the frame's own length, with units."""
    if not tally.latencies_s:
        return ("", "", "", f"{1e3 * tally.frame_seconds:g} ms")
    points = np.percentile(tally.latencies_s, (50, 99, 100))
    return (*(f"{1e3 * seconds:.2f} ms" for seconds in points), f"{1e3 * tally.frame_seconds:g} ms")
