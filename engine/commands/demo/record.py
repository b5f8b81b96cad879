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


@dataclass(frozen=True, slots=True)
class DemoRecord:
    """Both streams over the clip."""

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
    machine: str
    """Processor and versions, one line."""

    @property
    def seconds(self) -> float:
        """Length of the clip."""
        return len(self.noisy) / self.sample_rate_hz
