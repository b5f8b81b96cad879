"""WaveNets built offline from amplifier models: streamed, they give the whole signal's numbers, sample by sample."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

import wavetile
from tests.models.nam import offline_network, read_nam, read_streamed, receptive_field
from tests.plan.networks import run_onnxruntime

TOLERANCE = 1e-4
"""Relative to the largest sample."""
SAMPLES = 12_000
BLOCK = 64


def guitar(samples: int = SAMPLES) -> np.ndarray:
    """`[1, 1, samples]`: decaying notes with overtones, and a little noise."""
    rng = np.random.default_rng(4)
    time = np.arange(samples) / 48_000
    sound = 0.01 * rng.standard_normal(samples)
    for start, pitch_hz in ((0.0, 110.0), (0.05, 146.8), (0.15, 196.0)):
        since = np.maximum(time - start, 0)
        for overtone in range(1, 6):
            sound += 0.4 / overtone * np.sin(2 * np.pi * pitch_hz * overtone * since) * np.exp(-8 * since)
    return sound.astype(np.float32).reshape(1, 1, samples)


def blocks_by_onnxruntime(path: Path, signal: np.ndarray) -> np.ndarray:
    """The streamed export, block by block, with its 20 states handed on."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_outputs()]
    states = {value.name: np.zeros(value.shape, np.float32) for value in session.get_inputs()[1:]}
    blocks = []
    for start in range(0, signal.shape[2], BLOCK):
        made = session.run(names, {"x": signal[..., start : start + BLOCK], **states})
        states = {name.removesuffix("_out"): made[names.index(name)] for name in names[1:]}
        blocks.append(made[0])
    return np.concatenate(blocks, 2)


def streamed(path: Path, signal: np.ndarray, chunks: list[int], step: int | None = None) -> np.ndarray:
    stream = wavetile.load(path).stream(axis="T", step=step)
    parts, start = [], 0
    while start < signal.shape[2]:
        stop = start + chunks[len(parts) % len(chunks)]
        parts.append(stream.process({"x": signal[..., start:stop]})["y"])
        start = stop
    return np.concatenate([*parts, stream.flush()["y"]], 2)


def saved(model: onnx.ModelProto, folder: Path) -> Path:
    onnx.checker.check_model(model, full_check=True)
    path = folder / "wavenet.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def assert_near(got: np.ndarray, expected: np.ndarray) -> None:
    assert got.shape == expected.shape
    assert np.abs(got - expected).max() <= TOLERANCE * np.abs(expected).max()


@pytest.mark.parametrize("padded", [True, False], ids=["padded", "cropped"])
@pytest.mark.parametrize("kind", ["nam", "standard"])
def test_a_wavenet_streams_from_its_offline_network(models: Path, tmp_path: Path, kind: str, padded: bool) -> None:
    folder = models / "nam"
    config, weights = (
        read_nam(folder / "wavenet.nam") if kind == "nam" else read_streamed(folder / "nam_wavenet_stream.onnx")
    )
    model, signal = offline_network(config, weights, padded=padded), guitar()
    (whole,) = run_onnxruntime(model, {"x": signal})
    assert whole.shape[2] == SAMPLES - (0 if padded else receptive_field(config) - 1)
    assert np.abs(whole).max() > 1e-3, "silence proves nothing"
    path = saved(model, tmp_path)
    assert_near(streamed(path, signal, [BLOCK], BLOCK), whole)
    assert_near(streamed(path, signal, [480, 1, 63, 200], 32), whole)


def test_single_samples_come_out_as_they_go_in(models: Path, tmp_path: Path) -> None:
    """Nothing to come is seen, so that no sample waits."""
    config, weights = read_nam(models / "nam" / "wavenet.nam")
    model, signal = offline_network(config, weights), guitar(60)
    (whole,) = run_onnxruntime(model, {"x": signal})
    stream = wavetile.load(saved(model, tmp_path)).stream(axis="T")
    for place in range(60):
        made = stream.process({"x": signal[..., place : place + 1]})["y"]
        assert_near(made, whole[..., place : place + 1])


def test_the_offline_network_is_the_one_that_was_cut_by_hand(models: Path) -> None:
    path = models / "nam" / "nam_wavenet_stream.onnx"
    signal = guitar()
    (whole,) = run_onnxruntime(offline_network(*read_streamed(path)), {"x": signal})
    assert_near(blocks_by_onnxruntime(path, signal), whole)
