"""Trained models: a stream that goes on from snapshots gives the bits of one that was never interrupted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from wavetile.engine.models.model import Model
from wavetile.engine.session import Output, Stream

SECONDS = 4
MODELS = {
    # name -> (rate, channels): the model's own, others, and more channels than one
    "silero_vad": (None, 1),
    "gtcrn": (48000, 1),
    "dtln": (None, 2),
    "rnnoise": (None, 1),
    "deepfilternet3": (44100, 1),
}


@pytest.fixture(params=list(MODELS))
def streamed(request: pytest.FixtureRequest, trained: Callable[[str], Model]) -> tuple[Model, int | None, int]:
    return trained(request.param), *MODELS[request.param]


def speech(data: Path, rate_hz: int, channels: int) -> np.ndarray:
    """Seconds of noisy speech, whatever rate it was recorded at: pitch matters to nobody here."""
    path = sorted(data.rglob("*.wav"))[0]
    samples = soundfile.read(path, dtype="float32", always_2d=True)[0][:, 0]
    samples = np.resize(samples, (SECONDS * rate_hz,))
    return samples if channels == 1 else np.stack([np.roll(samples, 999 * index) for index in range(channels)], axis=1)


def joined(outputs: list[Output]) -> tuple[np.ndarray | None, dict[str, np.ndarray], tuple]:
    samples = [output.samples for output in outputs if output.samples is not None]
    values = {name: np.concatenate([one.values[name] for one in outputs]) for name in outputs[0].values}
    return np.concatenate(samples) if samples else None, values, sum((one.events for one in outputs), ())


def test_random_cuts_keep_every_bit(streamed: tuple[Model, int | None, int], data: Path) -> None:
    model, rate_hz, channels = streamed
    rng = np.random.default_rng(1)

    def stream() -> Stream:
        return model.stream(rate_hz, channels, resumable=True)

    with stream() as whole:
        count = model.describe().feature_count
        signal = (
            np.random.default_rng(2).normal(size=(400, count)).astype(np.float32)
            if count
            else speech(data, whole.sample_rate_hz, channels)
        )
        expected = joined([whole.process(signal), whole.flush()])
    live, outputs, position = stream(), [], 0
    cuts = 0
    while position < len(signal):
        size = int(rng.integers(1, len(signal) // 20))
        outputs.append(live.process(signal[position : position + size]))
        position += size
        if rng.random() < 0.15:
            snapshot = live.snapshot()
            live.close()
            live = model.resume(snapshot)
            cuts += 1
    outputs.append(live.flush())
    live.close()
    samples, values, events = joined(outputs)
    assert cuts > 3
    if expected[0] is not None:
        np.testing.assert_array_equal(samples, expected[0])
    for name, value in expected[1].items():
        np.testing.assert_array_equal(values[name], value)
    assert events == expected[2]
