"""The real models: each stream against its own loop on onnxruntime, over a minute of speech, and known figures."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import soundfile

import wavetile
from tests.models import reference_loops
from tests.models.networks import onnx_outputs
from tests.models.test_decoder import RECORDING, stretches
from wavetile.engine.session import Stream

TOLERANCE = 1e-4
"""Largest difference of any output sample, gain or probability; the loops compute outside the networks in float64."""

DENOISERS = {"gtcrn": reference_loops.gtcrn, "dtln": reference_loops.dtln, "nsnet2": reference_loops.nsnet2}

# dB on the VoiceBank clips p232_003 and p232_005, as measured by others with onnxruntime.
SI_SDR_DB = {"gtcrn": (9.8, 9.7), "dtln": (11.9, 15.9), "nsnet2": (16.2, 11.1)}

NETWORKS = [
    ("silero_vad/silero_vad_16k_op15.onnx", {"input": (1, 576), "state": (2, 1, 128)}),
    ("silero_vad/silero_vad_16k_op15.onnx", {"input": (3, 576), "state": (2, 3, 128)}),
    ("gtcrn/gtcrn_simple.onnx", {}),
    ("dtln/model_1.onnx", {}),
    ("dtln/model_2.onnx", {}),
    ("nsnet2/nsnet2-20ms-baseline.onnx", {"input": (1, 1, 161)}),
    ("nsnet2/nsnet2-20ms-baseline.onnx", {"input": (2, 9, 161)}),
    ("rnnoise_v0/rnnoise_v0_core.onnx", {}),
]


pytestmark = pytest.mark.usefixtures("models")


@cache
def load(name: str) -> wavetile.Model:
    return wavetile.load(name)


def read(path: Path) -> np.ndarray:
    """16 kHz mono as `[samples]` float32."""
    signal, rate_hz = soundfile.read(path, dtype="float32")
    assert rate_hz == reference_loops.RATE_HZ
    return signal


def speech(data: Path) -> np.ndarray:
    """A minute of speech with pauses."""
    return read(data / "vad" / "test.wav")


def enhanced(stream: Stream, signal: np.ndarray) -> np.ndarray:
    """What a stream makes of a signal, aligned with it."""
    blocks = [stream.process(signal).samples, stream.flush().samples]
    audio = np.concatenate(blocks)  # type: ignore[arg-type]
    assert len(audio) == len(signal) + stream.delay_samples
    return audio[stream.delay_samples :]


@pytest.mark.parametrize("name", DENOISERS)
def test_denoiser_equals_its_own_loop(name: str, models: Path, data: Path) -> None:
    signal = speech(data)
    with load(name).stream() as stream:
        audio = enhanced(stream, signal)
    assert np.abs(audio - DENOISERS[name](models, signal)).max() <= TOLERANCE


@pytest.mark.parametrize(("clip", "index"), [("p232_003", 0), ("p232_005", 1)])
@pytest.mark.parametrize("name", DENOISERS)
def test_denoiser_reaches_its_known_quality(name: str, clip: str, index: int, data: Path) -> None:
    folder = data / "speech_noisy_clean"
    with load(name).stream() as stream:
        audio = enhanced(stream, read(folder / f"{clip}_noisy.wav"))
    quality_db = reference_loops.si_sdr_db(audio.astype(np.float64), read(folder / f"{clip}_clean.wav"))
    assert quality_db == pytest.approx(SI_SDR_DB[name][index], abs=0.1)


@pytest.mark.parametrize("name", ["dtln", "nsnet2"])
def test_denoiser_with_rounded_weights_sounds_the_same(name: str, data: Path) -> None:
    folder = data / "speech_noisy_clean"
    model = wavetile.load(name, weights="float16")
    assert set(model.describe().weights.values()) == {"float16"}
    assert model.describe().weight_bytes < 0.55 * load(name).describe().weight_bytes
    with model.stream() as stream:
        audio = enhanced(stream, read(folder / "p232_003_noisy.wav"))
    quality_db = reference_loops.si_sdr_db(audio.astype(np.float64), read(folder / "p232_003_clean.wav"))
    assert quality_db == pytest.approx(SI_SDR_DB[name][0], abs=0.1)


def test_voice_activity_equals_its_own_loop(models: Path, data: Path) -> None:
    signal = speech(data)
    with load("silero_vad").stream() as stream:
        first, last = stream.process(signal), stream.flush()
    probabilities = np.concatenate([first.values["probability"], last.values["probability"]])
    expected = reference_loops.silero_vad(models, signal)
    assert probabilities.shape == expected.shape
    assert np.abs(probabilities - expected).max() <= TOLERANCE
    assert stretches([*first.events, *last.events]) == RECORDING


def test_rnnoise_core_equals_its_own_loop(models: Path, data: Path) -> None:
    features = reference_loops.rnnoise_features(speech(data))
    with load("rnnoise").stream() as stream:
        values = stream.process(features).values
    gains, probabilities = reference_loops.rnnoise(models, features)
    assert np.ptp(gains) > 0.9
    assert np.ptp(probabilities) > 0.9
    assert np.abs(values["gains"] - gains).max() <= TOLERANCE
    assert np.abs(values["probability"] - probabilities).max() <= TOLERANCE


@pytest.mark.parametrize("name", [*DENOISERS, "silero_vad"])
@pytest.mark.parametrize("seed", range(3))
def test_chunks_of_any_length_change_no_bit(name: str, seed: int, data: Path) -> None:
    signal = speech(data)[: 6 * reference_loops.RATE_HZ]
    rng = np.random.default_rng(seed)
    longest = [40, 2000, reference_loops.RATE_HZ][seed]
    model = load(name)
    with model.stream() as stream:
        whole = [stream.process(signal), stream.flush()]
    with model.stream() as stream:
        chunked, position = [], 0
        while position < len(signal):
            size = int(rng.integers(1, longest + 1))
            chunked.append(stream.process(signal[position : position + size]))
            position += size
        chunked.append(stream.flush())
    if whole[0].samples is not None:
        parts = [np.concatenate([o.samples for o in outputs]) for outputs in (whole, chunked)]  # type: ignore[misc]
        np.testing.assert_array_equal(parts[1], parts[0])
    for value in whole[0].values:
        parts = [np.concatenate([o.values[value] for o in outputs]) for outputs in (whole, chunked)]
        np.testing.assert_array_equal(parts[1], parts[0])
    events = [[event for output in outputs for event in output.events] for outputs in (whole, chunked)]
    assert events[1] == events[0]


@pytest.mark.parametrize(("file", "shapes"), NETWORKS)
def test_bare_network_equals_onnxruntime(file: str, shapes: dict[str, tuple[int, ...]], models: Path) -> None:
    model = wavetile.load(models / file)
    rng = np.random.default_rng(11)
    inputs = {}
    for name, declared in model.inputs.items():
        shape = shapes.get(name, declared.dims)
        assert shape is not None
        inputs[name] = rng.uniform(-0.5, 0.5, shape).astype(declared.dtype)  # type: ignore[arg-type]
    if "sr" in inputs:
        inputs["sr"] = np.array(16000, np.int64)
    outputs = model.run(inputs)
    for name, expected in zip(outputs, onnx_outputs(models / file, list(outputs), inputs), strict=True):
        assert outputs[name].shape == expected.shape
        np.testing.assert_allclose(outputs[name], expected, rtol=1e-4, atol=1e-5)


def test_nuclei_unet_equals_its_stored_output(models: Path) -> None:
    folder = models / "nuclei_unet"
    # Before and after the network as its bioimageio.yaml says: zero mean and unit variance, sigmoid.
    image = np.load(folder / "test_input.npy").astype(np.float64)
    image = ((image - image.mean()) / (image.std() + 1e-6)).astype(np.float32)
    logits = load("nuclei_unet").run({"input.1": image})["82"].astype(np.float64)
    assert np.abs(1 / (1 + np.exp(-logits)) - np.load(folder / "test_output.npy")).max() <= TOLERANCE
