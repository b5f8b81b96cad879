"""Cards, hop by hop: the whole stream is checked against its author's own loop, then `Stream.process` is timed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
import soxr

import wavetile
from tests.benchmarks import peers
from tests.benchmarks.networks import Effort, relative_difference
from tests.benchmarks.rows import Row
from tests.benchmarks.targets import targets
from tests.models import deepfilternet_loop, reference_loops
from wavetile.engine.commands.demo.clip import CLIP_PATH
from wavetile.engine.commands.duel import Duel
from wavetile.engine.commands.floor import measure_floor
from wavetile.engine.models.card import WeightStorage

HIDDEN = "onnxruntime without carried state, which its file hides"
NOTES = {"nsnet2": HIDDEN, "deepfilternet3": HIDDEN}
PEERS: dict[str, tuple[str, str, Callable[[], Callable[[], object]]]] = {
    "rnnoise": ("rnnoise", "rnnoise in C", peers.rnnoise_call),
    "deepfilternet3": ("libdf", "libdf", peers.libdf_call),
}
"""Card -> a peer that does the whole of a frame's work: its name, what its column is called, and its call."""
FEATURE_FRAMES = 300
FEATURE_SEED = 5


def measure_stream(name: str, models: Path, effort: Effort, *, weights: WeightStorage = "float32") -> Row:
    """One card against onnxruntime on its networks alone."""
    model = wavetile.load(name, weights=weights)
    duel = Duel(model, name)
    difference = _stream_difference(model, models)
    duel.compare()
    both = duel.sides()
    others: dict[str, Callable[[int], object]] = {}
    if not effort.quick and name in PEERS and peers.is_here(PEERS[name][0]):
        _, column, opened = PEERS[name]
        frame = opened()
        others[column] = lambda step: frame()
    program = model.stream_spec.program
    timings = effort.take_turns(both["stream"], both["onnxruntime"], others)
    floor = measure_floor(program)
    rate_hz = model.stream_spec.sample_rate_hz
    call = f"frame of {1000 * model.stream_spec.hop_samples / rate_hz:g} ms" if rate_hz else "frame of features"
    return Row(
        "streams" if weights == "float32" else "half", name, call, difference, timings, targets(name),
        floor.floor_us, floor.bound, program.instruction_count, NOTES.get(name, ""),
    )  # fmt: skip


def _stream_difference(model: wavetile.Model, models: Path) -> float:
    """Largest relative |difference| between a stream fed hop by hop and the author's loop, over the demo's clip."""
    if model.name == "rnnoise":
        features = np.random.default_rng(FEATURE_SEED).standard_normal((FEATURE_FRAMES, 42)).astype(np.float32)
        gains, probability = reference_loops.rnnoise(models, features)
        with model.stream() as stream:
            values = [stream.process(frame[None]).values for frame in features]
        frames = {name: np.concatenate([one[name] for one in values]).reshape(FEATURE_FRAMES, -1) for name in values[0]}
        expected = {22: gains, 1: probability[:, None]}  # by how many numbers a frame has
        return relative_difference(frames, {name: expected[array.shape[1]] for name, array in frames.items()})
    samples, rate_hz = soundfile.read(CLIP_PATH, dtype="float32")
    if model.name == "deepfilternet3":
        samples = soxr.resample(samples, rate_hz, deepfilternet_loop.RATE_HZ)
        samples = samples[: len(samples) // deepfilternet_loop.HOP * deepfilternet_loop.HOP]
    with model.stream() as stream:
        hop = stream.hop_samples
        outputs = [stream.process(samples[first : first + hop]) for first in range(0, len(samples), hop)]
        outputs.append(stream.flush())
        delay = stream.delay_samples
    if model.name == "deepfilternet3":
        made = deepfilternet_loop.deepfilternet3(models, samples)[0][delay:]
    else:
        made = getattr(reference_loops, model.name)(models, samples)
    if model.describe().returns_audio:
        ours = np.concatenate([one.samples for one in outputs if one.samples is not None])[delay : delay + len(samples)]
    else:
        ours = np.concatenate([one.values["probability"] for one in outputs]).ravel()
    # Silero's last, padded window is the loop's and not necessarily a stream's.
    count = min(len(ours), len(made))
    return relative_difference({"signal": ours[:count]}, {"signal": made[:count]})
