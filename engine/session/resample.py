"""Sample rates: which ones a stream may have, and a resampler whose output does not depend on how the signal is cut."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from ..errors import SignalError

LOWEST_RATE_HZ = 1_000
HIGHEST_RATE_HZ = 768_000

IN_FLIGHT_SAMPLES = 2048
"""More samples, counted at the lower of the two rates, than a resampler ever holds back while a signal goes on."""


def check_rate(sample_rate_hz: object) -> int:
    """Return a usable sample rate as an int.

    Raises:
        SignalError: it is no whole number, or outside LOWEST_RATE_HZ .. HIGHEST_RATE_HZ.
    """
    whole = isinstance(sample_rate_hz, (int, np.integer)) and not isinstance(sample_rate_hz, bool)
    if not whole or not LOWEST_RATE_HZ <= sample_rate_hz <= HIGHEST_RATE_HZ:  # type: ignore[operator]
        raise SignalError(
            f"a sample rate of {sample_rate_hz!r} Hz can not be used; "
            f"a whole number from {LOWEST_RATE_HZ} to {HIGHEST_RATE_HZ} would work"
        )
    return int(sample_rate_hz)  # type: ignore[call-overload]


class Resampler:
    """Converts a signal from one rate to another, chunk by chunk, with soxr at its high quality.

    Output sample t is the input at the same instant: the filter's delay is compensated. soxr works in blocks, so what
    it returns lags what it was given by about 1000 samples of the lower rate (48 to 16 kHz: 40 ms at most, 8 to 16 kHz:
    120 ms); `flush` returns the rest. The bits of the whole output do not depend on the chunks.
    """

    def __init__(self, from_hz: int, to_hz: int, channels: int) -> None:
        self.ratio = Fraction(to_hz, from_hz)
        self._arguments = (from_hz, to_hz, channels)
        self.reset()

    def reset(self) -> None:
        """Start a new signal."""
        import soxr  # which streams at the model's own rate do without

        self._stream = soxr.ResampleStream(*self._arguments, dtype="float32", quality="HQ")

    def process(self, block: np.ndarray) -> np.ndarray:
        """Take `[samples]` (one channel) or `[samples, channels]` float32; return what is ready, of the same rank."""
        return self._stream.resample_chunk(np.ascontiguousarray(block))

    def flush(self) -> np.ndarray:
        """Return the rest of the signal; `reset` before the next."""
        channels = self._arguments[2]
        nothing = np.zeros(0 if channels == 1 else (0, channels), np.float32)
        return self._stream.resample_chunk(nothing, last=True)
