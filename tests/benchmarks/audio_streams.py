"""Audio models, frame by frame: the whole stream is checked against its author's own loop, then timed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile

import wavetile
from tests.benchmarks.rows import Row
from tests.models import reference_loops
from wavetile.engine.commands.demo.clip import CLIP_PATH
from wavetile.engine.commands.duel import Duel
from wavetile.engine.commands.measure import take_turns
from wavetile.engine.commands.peer import Peer

NOTES = {"nsnet2": "onnxruntime without carried state, which its file hides"}
FEATURE_FRAMES = 300
FEATURE_SEED = 5


def measure(name: str, models: Path, seconds: float) -> Row:
    """One model against onnxruntime on the same files."""
    model = wavetile.load(name)
    duel = Duel(model, name)
    difference = max(duel.compare(), _stream_difference(model, models))
    timings = take_turns(duel.sides(), seconds=seconds)
    return Row(
        name, "frame", difference, timings["onnxruntime"], timings["run"], timings["stream"], NOTES.get(name, "")
    )


def measure_silero_without_branches(models: Path, seconds: float) -> Row:
    """Silero against onnxruntime's best case: the export without `If`, which is its faster file."""
    path = models / "silero_vad/silero_vad_openvino_16k.onnx"
    peer = Peer(path, states={"state": "stateN"})
    model = wavetile.load(path)
    rng = np.random.default_rng(FEATURE_SEED)
    windows = [(0.1 * rng.standard_normal((1, 576))).astype(np.float32) for _ in range(50)]
    state = {"state": np.zeros((2, 1, 128), np.float32)}

    def ours(step: int) -> np.ndarray:
        outputs = model.run({"input": windows[step % len(windows)], **state})
        state["state"] = outputs["stateN"]
        return outputs["output"]

    def theirs(step: int) -> np.ndarray:
        peer.feeds["input"] = windows[step % len(windows)]
        return peer.step()[0]

    difference = max(float(np.abs(ours(step) - theirs(step)).max()) for step in range(len(windows)))
    process = wavetile.load("silero_vad").stream().process
    hops = [window[0, 64:].copy() for window in windows]
    sides: dict[str, Callable[[int], object]] = {
        "stream": lambda step: process(hops[step % len(hops)]), "run": ours, "onnxruntime": theirs,
    }  # fmt: skip
    timings = take_turns(sides, seconds=seconds)
    return Row(
        "silero_vad", "frame", difference, timings["onnxruntime"], timings["run"], timings["stream"], "without If"
    )


def _stream_difference(model: wavetile.Model, models: Path) -> float:
    """Largest |difference| between a stream fed hop by hop and the author's loop, over the demo's clip."""
    if model.name == "rnnoise":
        features = np.random.default_rng(FEATURE_SEED).standard_normal((FEATURE_FRAMES, 42)).astype(np.float32)
        gains, probability = reference_loops.rnnoise(models, features)
        with model.stream() as stream:
            values = [stream.process(frame[None]).values for frame in features]
        ours = {name: np.concatenate([one[name] for one in values]) for name in values[0]}
        expected = {22: gains, 1: probability[:, None]}  # by how many numbers a frame has
        frames = [array.reshape(FEATURE_FRAMES, -1) for array in ours.values()]
        return max(float(np.abs(array - expected[array.shape[1]]).max()) for array in frames)
    samples, _ = soundfile.read(CLIP_PATH, dtype="float32")
    with model.stream() as stream:
        hop = stream.hop_samples
        outputs = [stream.process(samples[first : first + hop]) for first in range(0, len(samples), hop)]
        outputs.append(stream.flush())
        delay = stream.delay_samples
    expected = getattr(reference_loops, model.name)(models, samples)
    if model.describe().returns_audio:
        ours = np.concatenate([one.samples for one in outputs if one.samples is not None])[delay : delay + len(samples)]
    else:
        ours = np.concatenate([one.values["probability"] for one in outputs]).ravel()
    # Silero's last, padded window is the loop's and not necessarily a stream's.
    count = min(len(ours), len(expected))
    return float(np.abs(ours[:count] - expected[:count]).max())
