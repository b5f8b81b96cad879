"""A signal as columns of a spectrogram: how loud each band of frequencies is, for eyes and not for measurements."""

from __future__ import annotations

import numpy as np

COLUMNS_PER_SECOND = 50
BANDS = 96
LOWEST_HZ = 40.0
FLOOR_DB, CEILING_DB = -100.0, -20.0
"""Shown as 0 and 255; a sine at full scale has 0 dB."""


class Spectrum:
    """Cuts one channel into frames of two columns' length and gives each frame's bands, low to high."""

    def __init__(self, sample_rate_hz: int) -> None:
        self._step = max(1, round(sample_rate_hz / COLUMNS_PER_SECOND))
        self._window = np.hanning(2 * self._step).astype(np.float32)
        self._gain = 2.0 / self._window.sum()
        self._size = 1 << (4 * self._step - 1).bit_length()
        self._bands = _band_weights(sample_rate_hz, self._size)
        self._rest = np.zeros(0, np.float32)

    def columns(self, blocks: list[np.ndarray]) -> np.ndarray:
        """The columns that `blocks`, `[samples]` float32 each, complete: `[columns, BANDS]` uint8."""
        signal = np.concatenate([self._rest, *blocks])
        count = max(0, len(signal) // self._step - 1)
        self._rest = signal[count * self._step :]
        if count == 0:
            return np.zeros((0, BANDS), np.uint8)
        frames = np.lib.stride_tricks.sliding_window_view(signal, 2 * self._step)[: count * self._step : self._step]
        magnitudes = np.abs(np.fft.rfft(frames * self._window, self._size)) * self._gain
        decibels = 10.0 * np.log10((magnitudes**2) @ self._bands.T + 1e-12)
        shown = (decibels - FLOOR_DB) * (255.0 / (CEILING_DB - FLOOR_DB))
        return np.clip(np.rint(shown), 0, 255).astype(np.uint8)


def band_edges_hz(sample_rate_hz: int) -> np.ndarray:
    """Centres of the bands and the edges beyond the first and the last, even on the mel scale: `[BANDS + 2]`."""
    lowest, highest = 2595.0 * np.log10(1.0 + np.array([LOWEST_HZ, sample_rate_hz / 2]) / 700.0)
    return 700.0 * (10.0 ** (np.linspace(lowest, highest, BANDS + 2) / 2595.0) - 1.0)


def _band_weights(sample_rate_hz: int, size: int) -> np.ndarray:
    """Triangles around the bands' centres, at least a bin wide, each of sum 1: `[BANDS, bins]`."""
    bin_hz = sample_rate_hz / size
    edges = band_edges_hz(sample_rate_hz)
    frequencies = np.arange(size // 2 + 1) * bin_hz
    centres = edges[1:-1, None]
    below = np.maximum(centres - edges[:-2, None], bin_hz)
    above = np.maximum(edges[2:, None] - centres, bin_hz)
    distance = frequencies - centres
    weights = np.clip(1.0 - np.where(distance < 0, -distance / below, distance / above), 0.0, None)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
