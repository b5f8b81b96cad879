"""Silero VAD and GTCRN as they are served with onnxruntime: the network, its front end in NumPy, its state."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

RATE_HZ = 16000
State = Any


class Network(Protocol):
    """One onnxruntime session for all streams; their states are whoever calls it's."""

    name: str
    hop_samples: int
    first_frame_samples: int
    """Of a stream, before the first result."""
    batches: bool
    """Whether the network file takes several streams at once."""

    def begin(self) -> State:
        """The state of a new stream."""
        ...

    def step(self, states: list[State], hops: Sequence[np.ndarray]) -> list[np.ndarray | None]:
        """One hop of each of these streams: their results, None before the first; the states are replaced."""
        ...


def open_session(path: Path) -> Any:
    """An onnxruntime session of one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


class Silero:
    """A probability of speech every 32 ms."""

    name = "silero_vad"
    hop_samples = 512
    first_frame_samples = 512
    batches = True
    context_samples = 64

    def __init__(self, models: Path) -> None:
        self._session = open_session(models / "silero_vad" / "silero_vad_16k_op15.onnx")
        self._rate = np.array(RATE_HZ, np.int64)

    def begin(self) -> State:
        """Silence, and the LSTM's zeros."""
        return np.zeros(self.context_samples, np.float32), np.zeros((2, 1, 128), np.float32)

    def step(self, states: list[State], hops: Sequence[np.ndarray]) -> list[np.ndarray | None]:
        """See `Network.step`."""
        frames = np.stack([np.concatenate([state[0], hop]) for state, hop in zip(states, hops, strict=True)])
        hidden = np.concatenate([state[1] for state in states], axis=1)
        probability, hidden = self._session.run(None, {"input": frames, "state": hidden, "sr": self._rate})
        for index, hop in enumerate(hops):
            states[index] = hop[-self.context_samples :], hidden[:, index : index + 1]
        return list(probability)


class Gtcrn:
    """A denoised hop of 16 ms; the network file takes one stream at a time."""

    name = "gtcrn"
    hop_samples = 256
    first_frame_samples = 512
    batches = False

    def __init__(self, models: Path) -> None:
        self._session = open_session(models / "gtcrn" / "gtcrn_simple.onnx")
        self._window = np.sqrt(np.hanning(513)[:-1]).astype(np.float32)

    def begin(self) -> State:
        """No samples, the network's zeros, and nothing to add to the next hop."""
        caches = {
            "conv_cache": np.zeros((2, 1, 16, 16, 33), np.float32),
            "tra_cache": np.zeros((2, 3, 1, 1, 16), np.float32),
            "inter_cache": np.zeros((2, 1, 33, 16), np.float32),
        }
        return None, caches, np.zeros(self.hop_samples, np.float32)

    def step(self, states: list[State], hops: Sequence[np.ndarray]) -> list[np.ndarray | None]:
        """See `Network.step`."""
        results: list[np.ndarray | None] = []
        for index, hop in enumerate(hops):
            before, caches, tail = states[index]
            if before is None:
                states[index] = hop, caches, tail
                results.append(None)
                continue
            spectrum = np.fft.rfft(np.concatenate([before, hop]) * self._window).astype(np.complex64)
            mix = np.stack([spectrum.real, spectrum.imag], axis=-1)[None, :, None, :]
            enhanced, *kept = self._session.run(None, {"mix": mix, **caches})
            half = enhanced[0, :, 0, 0] + 1j * enhanced[0, :, 0, 1]
            frame = np.fft.irfft(half, 512).astype(np.float32) * self._window
            states[index] = hop, dict(zip(caches, kept, strict=True)), frame[self.hop_samples :]
            results.append(frame[: self.hop_samples] + tail)
        return results


def load(name: str) -> Network:
    """The network of that model; its weights are found through WAVETILE_MODELS."""
    models = Path(os.environ["WAVETILE_MODELS"])
    return {"silero_vad": Silero, "gtcrn": Gtcrn}[name](models)


def whole(network: Network, signal: np.ndarray) -> np.ndarray:
    """What a whole signal gives, hop after hop: the results, one after the other."""
    states = [network.begin()]
    results = []
    for start in range(0, len(signal) - network.hop_samples + 1, network.hop_samples):
        (result,) = network.step(states, [signal[start : start + network.hop_samples]])
        if result is not None:
            results.append(result)
    return np.concatenate(results)
