"""Makes the demo's noisy clip from nothing but eSpeak NG's voices and seeded noise.

    python -m wavetile.engine.commands.demo.make_clip FOLDER

writes noisy.flac (the clip that ships), clean.flac (its speech alone) and prints when each sentence is spoken: those
times are `SPOKEN_SECONDS` in clip.py. It needs the program espeak-ng (1.51 made the shipped clip). No recording of
anybody is in it, so that the clip may be passed on under the project's licence.
"""

from __future__ import annotations

import io
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr

SAMPLE_RATE_HZ = 16000
CLIP_SECONDS = 7.0
SNR_DB = 5.0
SPEECH_LEVEL_DBFS = -31.0
"""RMS of the speech while it is spoken; low enough that the noise costs few bits a sample in FLAC."""
HUM_HZ = 50.0
HUM_BELOW_NOISE_DB = 9.0
BABBLE_VOICES = 6
SEED = 20


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence by one of eSpeak NG's voices, and when it starts in the clip."""

    start_seconds: float
    voice: str
    words_per_minute: int
    pitch: int
    text: str


SENTENCES = (
    Sentence(0.6, "en-us", 165, 42, "The signal is still arriving, and the answer is here."),
    Sentence(4.6, "en-gb-x-rp+f3", 170, 58, "Nobody in this noisy room has to wait."),
)


def speak(sentence: Sentence) -> np.ndarray:
    """The sentence as `[samples]` float64 at 16 kHz, without the silence around it."""
    command = ["espeak-ng", "-v", sentence.voice, "-s", str(sentence.words_per_minute), "-p", str(sentence.pitch)]
    spoken = subprocess.run([*command, "--stdout", sentence.text], capture_output=True, check=True).stdout
    samples, rate_hz = soundfile.read(io.BytesIO(spoken), dtype="float64")
    samples = soxr.resample(samples, rate_hz, SAMPLE_RATE_HZ, quality="VHQ")
    loud = np.flatnonzero(np.abs(samples) > 0.01 * np.abs(samples).max())
    return samples[loud[0] : loud[-1] + 1]


def coloured_noise(rng: np.random.Generator, samples: int, magnitude: np.ndarray) -> np.ndarray:
    """Gaussian noise of a given spectral magnitude `[samples // 2 + 1]`, with an RMS of 1."""
    spectrum = np.fft.rfft(rng.standard_normal(samples)) * magnitude
    noise = np.fft.irfft(spectrum, samples)
    return noise / rms(noise)


def room(rng: np.random.Generator, samples: int) -> np.ndarray:
    """A room full of people, RMS 1: murmur that swells at the rate of syllables, air, and the hum of the mains."""
    frequency_hz = np.fft.rfftfreq(samples, 1 / SAMPLE_RATE_HZ)
    time_s = np.arange(samples) / SAMPLE_RATE_HZ
    # The long-term spectrum of speech: level to 500 Hz, then about 9 dB an octave down; nothing below the voice.
    murmur_shape = (frequency_hz / (frequency_hz + 80.0)) / (1.0 + (frequency_hz / 500.0) ** 1.5)
    murmur = np.zeros(samples)
    for _ in range(BABBLE_VOICES):
        syllables_hz, phase = rng.uniform(2.5, 6.0), rng.uniform(0, 2 * np.pi)
        swell = 0.35 + 0.65 * np.sin(np.pi * syllables_hz * time_s + phase) ** 2
        murmur += swell * coloured_noise(rng, samples, murmur_shape)
    air = coloured_noise(rng, samples, 1.0 / np.sqrt(np.maximum(frequency_hz, 40.0)))
    hum = np.zeros(samples)
    for harmonic in (1, 2, 3, 5, 7):
        hum += np.sin(2 * np.pi * HUM_HZ * harmonic * time_s + harmonic) / harmonic
    noise = murmur / rms(murmur) + 0.5 * air
    noise /= rms(noise)
    noise += hum / rms(hum) * 10 ** (-HUM_BELOW_NOISE_DB / 20)
    return noise / rms(noise)


def rms(samples: np.ndarray) -> float:
    """Root of the mean square."""
    return float(np.sqrt(np.mean(samples**2)))


def make() -> tuple[np.ndarray, np.ndarray, list[tuple[float, float]]]:
    """The noisy clip and its speech, both `[samples]` float64, and (start, end) of each sentence in seconds."""
    total = round(CLIP_SECONDS * SAMPLE_RATE_HZ)
    speech, spoken, voiced = np.zeros(total), [], np.zeros(total, bool)
    for sentence in SENTENCES:
        samples = speak(sentence)
        first = round(sentence.start_seconds * SAMPLE_RATE_HZ)
        if first + len(samples) > total:
            raise SystemExit(f"{sentence.text!r} ends after the clip's {CLIP_SECONDS} s")
        speech[first : first + len(samples)] += samples / rms(samples)
        voiced[first : first + len(samples)] = True
        spoken.append((first / SAMPLE_RATE_HZ, (first + len(samples)) / SAMPLE_RATE_HZ))
    speech *= 10 ** (SPEECH_LEVEL_DBFS / 20)
    noise = room(np.random.default_rng(SEED), total) * rms(speech[voiced]) * 10 ** (-SNR_DB / 20)
    return speech + noise, speech, spoken


def main(folder: Path) -> None:
    """Write noisy.flac and clean.flac below `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    noisy, clean, spoken = make()
    for name, samples in (("noisy", noisy), ("clean", clean)):
        path = folder / f"{name}.flac"
        soundfile.write(path, samples, SAMPLE_RATE_HZ, subtype="PCM_16", compression_level=1.0)
        sys.stdout.write(f"{path}: {path.stat().st_size} bytes, peak {np.abs(samples).max():.3f}\n")
    times = ", ".join(f"({start:.2f}, {end:.2f})" for start, end in spoken)
    sys.stdout.write(f"SPOKEN_SECONDS = ({times})\n")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("usage: python -m wavetile.engine.commands.demo.make_clip FOLDER")
    main(Path(sys.argv[1]))
