"""The resampler: cutting the signal changes nothing, its length and its lag are what sessions count on."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wavetile.engine.errors import SignalError
from wavetile.engine.session.resample import (
    HIGHEST_RATE_HZ,
    IN_FLIGHT_SAMPLES,
    LOWEST_RATE_HZ,
    Resampler,
    check_rate,
)
from wavetile.engine.session.resample_resumable import ResumableResampler

RATES_HZ = [1000, 8000, 11025, 16000, 22050, 44100, 48000, 96000, 192000, 768000]
ODD_RATES_HZ = [1001, 16001, 44101, 767_999]
"""Which meet others on one sample a second."""


def resample_in_chunks(resampler: Resampler, signal: np.ndarray, sizes: list[int]) -> np.ndarray:
    """Resample `signal` in chunks of these sizes, over and over."""
    blocks, position, index = [], 0, 0
    while position < len(signal):
        size = sizes[index % len(sizes)]
        blocks.append(resampler.process(signal[position : position + size]))
        position, index = position + size, index + 1
    return np.concatenate([*blocks, resampler.flush()])


@settings(deadline=None, max_examples=30)
@given(
    from_hz=st.sampled_from(RATES_HZ[1:8]),
    to_hz=st.sampled_from(RATES_HZ[1:8]),
    channels=st.integers(1, 2),
    sizes=st.lists(st.integers(1, 5000), min_size=1, max_size=5),
)
def test_chunks_do_not_change_a_bit(from_hz: int, to_hz: int, channels: int, sizes: list[int]) -> None:
    shape = 4000 if channels == 1 else (4000, channels)
    signal = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    resampler = Resampler(from_hz, to_hz, channels)
    whole = np.concatenate([resampler.process(signal), resampler.flush()])
    resampler.reset()
    chunked = resample_in_chunks(resampler, signal, sizes)
    np.testing.assert_array_equal(chunked, whole)
    assert abs(len(whole) - len(signal) * to_hz / from_hz) <= 1


@pytest.mark.parametrize("kind", [Resampler, ResumableResampler])
@pytest.mark.parametrize("from_hz", [*RATES_HZ, *ODD_RATES_HZ])
@pytest.mark.parametrize("to_hz", [8000, 16000, 48000])
def test_lag_stays_within_the_bounds_that_rings_are_sized_for(
    kind: type[Resampler | ResumableResampler], from_hz: int, to_hz: int
) -> None:
    resampler = kind(from_hz, to_hz, 1)
    rng = np.random.default_rng(from_hz)
    slower = min(from_hz, to_hz)
    fed = got = 0
    for size in rng.integers(1, max(2, from_hz // 20), 120):
        got += len(resampler.process(np.zeros(size, np.float32)))
        fed += int(size)
        lag = fed * resampler.ratio - got
        assert lag >= 0, "more came out than there can be"
        assert lag * slower / to_hz < IN_FLIGHT_SAMPLES


def test_samples_keep_their_instant() -> None:
    pulse = np.zeros(48000, np.float32)
    pulse[24000] = 1
    resampler = Resampler(48000, 16000, 1)
    resampled = np.concatenate([resampler.process(pulse), resampler.flush()])
    assert np.argmax(resampled) == 8000


@pytest.mark.parametrize("rate", [0, -16000, 999, 768_001, 16000.0, True, "16000", float("nan")])
def test_unusable_rates_are_refused(rate: object) -> None:
    with pytest.raises(SignalError, match="sample rate"):
        check_rate(rate)


@pytest.mark.parametrize("rate", [LOWEST_RATE_HZ, 44100, np.int64(16000), HIGHEST_RATE_HZ])
def test_usable_rates_become_ints(rate: int) -> None:
    assert type(check_rate(rate)) is int
