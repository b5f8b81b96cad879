"""What the demo measured: the content of its report, as plain data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class StreamRecord:
    """One stream's part."""

    model: str
    frame_ms: float
    """Length of a frame: its result is due before the next one is complete."""
    latencies_ms: np.ndarray
    """[frames] float64: from the sending of the chunk that completed a frame to the arrival of its result."""
    real_time_factor: float
    """Time computed for a second of signal, in seconds; 0 if unknown."""
    delay_ms: float
    """How much the output lags the input by its making (framing), at zero computing time."""

    def percentile_ms(self, percent: float) -> float:
        """A percentile of the latencies; NaN without frames."""
        return float(np.percentile(self.latencies_ms, percent)) if len(self.latencies_ms) else float("nan")


Rectangle = tuple[int, int, int, int]
"""First row, first column, rows, columns."""


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """An image that was streamed tile by tile."""

    model: str
    image: np.ndarray
    """[height, width] float32, as the network saw it."""
    probability: np.ndarray
    """[height, width] float32: the mosaic."""
    tile_pixels: int
    """Height and width of a tile."""
    tile_ms: np.ndarray
    """[tiles] float64: computing time of each."""
    finished: tuple[tuple[Rectangle, ...], ...]
    """For each tile what it finished."""
    at_once_ms: float
    """Computing time of the network on the whole image."""
    kept_bytes: int
    """The most that was kept from one tile to the next."""
    max_difference: float
    """Absolute, of the mosaic from the network on the whole image."""

    @property
    def first_pixel_ms(self) -> float:
        """Computing time until the first pixel was finished."""
        first = next(index for index, rectangles in enumerate(self.finished) if rectangles)
        return float(self.tile_ms[: first + 1].sum())


@dataclass(frozen=True, slots=True)
class DemoRecord:
    """Both streams over the clip, and the image."""

    sample_rate_hz: int
    noisy: np.ndarray
    """[samples] float32."""
    enhanced: np.ndarray
    """[samples] float32, aligned with `noisy`."""
    probability: np.ndarray
    """[frames] float32: of speech, a number each `probability_step_seconds`."""
    probability_step_seconds: float
    threshold: float
    segments: tuple[tuple[float, float], ...]
    """(start, end) in seconds of what the voice detector took for speech."""
    spoken: tuple[tuple[float, float], ...]
    """(start, end) in seconds of what was spoken; empty if unknown."""
    detector: StreamRecord
    denoiser: StreamRecord
    image: ImageRecord
    machine: str
    """Processor and versions, one line."""

    @property
    def seconds(self) -> float:
        """Length of the clip."""
        return len(self.noisy) / self.sample_rate_hz
