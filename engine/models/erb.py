"""Bands of equal width on the scale of equivalent rectangular bandwidths (ERB): as finely as the ear resolves."""

from __future__ import annotations

import math

import numpy as np

from ..errors import CardError

EAR_Q = 9.265
LEAST_BANDWIDTH_HZ = 24.7
"""An auditory filter at f Hz is 24.7 + f / 9.265 Hz wide (Glasberg and Moore, Hearing Research 47, 1990)."""


def erb_band_widths(sample_rate_hz: int, frame_samples: int, bands: int, min_bins: int) -> np.ndarray:
    """Bins of each band, `[bands] int64`: adjacent, from 0 Hz to half the sample rate, every bin in one of them.

    A band ends at the bin nearest to its place on the ERB scale, but no earlier than `min_bins` after its beginning;
    the last one ends with the spectrum. As libDF has them (DeepFilterNet, Schroeter et al. 2022).

    Raises:
        CardError: the spectrum has too few bins for that.
    """
    bins = frame_samples // 2 + 1
    corner_hz = EAR_Q * LEAST_BANDWIDTH_HZ
    highest = math.log1p(sample_rate_hz / 2 / corner_hz)  # on the ERB scale, in units of EAR_Q
    ends = [0]
    for band in range(1, bands):
        edge_hz = corner_hz * math.expm1(highest * band / bands)
        nearest = math.floor(edge_hz * frame_samples / sample_rate_hz + 0.5)
        ends.append(max(nearest, ends[-1] + min_bins))
    if bins - ends[-1] < min_bins:
        raise CardError(
            f"{bands} ERB bands of at least {min_bins} bins need more bins than the {bins} of a frame's spectrum; "
            "fewer bands or a longer frame would work"
        )
    return np.diff([*ends, bins])
