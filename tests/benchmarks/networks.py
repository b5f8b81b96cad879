"""Networks as a whole: numbers compared at every size, then `Model.run` timed beside its peers at the first."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import wavetile
from tests.benchmarks import peers
from tests.benchmarks.rows import OURS, PEER, Row
from tests.benchmarks.targets import targets
from tests.models.real_networks import RealNetwork
from wavetile.engine.commands.floor import measure_floor
from wavetile.engine.commands.measure import MIN_STEPS, WARM_STEPS, Timing, take_turns
from wavetile.engine.commands.peer import Peer
from wavetile.engine.errors import ModelError
from wavetile.engine.graph import load_network
from wavetile.engine.models.card import WeightStorage

HALF_TOLERANCE = 5e-3
"""With weights of 11 bits."""

LONG_CALL_SECONDS = 0.05
"""A call that takes longer is repeated less often."""


@dataclass(frozen=True)
class Effort:
    """How long to measure."""

    seconds: float
    quick: bool = False

    def take_turns(
        self,
        ours: Callable[[int], object],
        theirs: Callable[[int], object],
        others: Mapping[str, Callable[[int], object]] | None = None,
        *,
        call_seconds: float = 0.0,
    ) -> dict[str, Timing]:
        """Times of us, onnxruntime and other peers, all taking turns.

        Args:
            call_seconds: what a call takes: the longer, the fewer.
        """
        steps, warm = MIN_STEPS, WARM_STEPS
        if call_seconds > LONG_CALL_SECONDS:
            steps, warm = (2, 1) if self.quick else (MIN_STEPS // 2, 2)
        sides = {OURS: ours, PEER: theirs, **(others or {})}
        return take_turns(sides, seconds=self.seconds, min_steps=steps, warm_steps=warm)


def measure_network(real: RealNetwork, models: Path, effort: Effort, *, weights: WeightStorage = "float32") -> Row:
    """One file beside onnxruntime, and OpenVINO where it is installed."""
    path = models / real.path
    network = load_network(path)
    inputs = [real.inputs(network, sizes, models.parent / "data") for sizes in real.sizes]
    call = ", ".join(f"{name} = {size}" for name, size in real.sizes[0].items())
    group = "networks" if weights == "float32" else "half"
    return measure_file(
        group,
        real.path,
        path,
        inputs,
        effort,
        call=call,
        weights=weights,
        tolerance=real.tolerance if weights == "float32" else HALF_TOLERANCE,
    )


def measure_file(
    group: str, name: str, path: Path, inputs: Sequence[Mapping[str, np.ndarray]], effort: Effort, *, call: str = "",
    goals: Mapping[str, float] | None = None, weights: WeightStorage = "float32", tolerance: float = 1e-4,
    rivals: Mapping[str, Callable[[], object]] | None = None,
) -> Row:  # fmt: skip
    """One file with its inputs at several sizes, the first of which are timed.

    Args:
        rivals: peers that compute the same beside onnxruntime and OpenVINO, one call each.
    """
    peer = Peer(path)
    names = peer.outputs
    difference = call_seconds = 0.0
    expected: dict[str, np.ndarray] = {}
    try:
        model = wavetile.load(path, weights=weights)
        for feeds in reversed(inputs):  # the first last: its outputs and program are needed on
            began = time.perf_counter()
            expected = dict(zip(names, peer.session.run(names, feeds), strict=True))
            call_seconds = time.perf_counter() - began
            difference = float(np.maximum(difference, relative_difference(model.run(feeds), expected)))
    except ModelError as error:
        return Row(group, name, call, refusal=str(error))
    if not difference <= tolerance:
        return Row(group, name, call, refusal=f"its numbers differ by {difference:.0e} of their scale: not timed")
    feeds = inputs[0]
    others = {name: _each_step(call) for name, call in (rivals or {}).items()}
    if not effort.quick and peers.is_here("openvino"):
        openvino = peers.openvino_call(path, feeds, expected)
        if openvino is not None:
            others["openvino"] = _each_step(openvino)
    timings = effort.take_turns(
        lambda step: model.run(feeds), lambda step: peer.session.run(names, feeds), others, call_seconds=call_seconds
    )
    (evaluator,) = model._evaluators.values()
    latest = evaluator._latest
    assert latest is not None
    assert latest.program is not None
    floor = measure_floor(latest.program)
    return Row(
        group, name, call, difference, timings, targets(name) if goals is None else goals,
        floor.floor_us, floor.bound, latest.program.instruction_count,
    )  # fmt: skip


def _each_step(call: Callable[[], object]) -> Callable[[int], object]:
    return lambda step: call()


def relative_difference(ours: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]) -> float:
    """The largest |difference| of any output, relative to its largest |number|."""
    differences = [0.0]
    for name, array in expected.items():
        if array.size:
            scale = max(float(np.abs(array).max()), float(np.finfo(np.float32).tiny))
            differences.append(float(np.abs(ours[name].astype(np.float64) - array).max()) / scale)
    return float(np.max(differences))  # NaN if any is


def measure_deepfilternet(models: Path, effort: Effort) -> Row:
    """DeepFilterNet3's three networks, one frame, beside onnxruntime and its own runtime's whole frame."""
    name, call = "deepfilternet3, three networks", "S = 1"
    folder = models / "deepfilternet3"
    files = {key: folder / f"{key}.onnx" for key in ("enc", "erb_dec", "df_dec")}
    rng = np.random.default_rng(4)
    features = {
        "feat_erb": rng.standard_normal((1, 1, 1, 32)).astype(np.float32),
        "feat_spec": rng.standard_normal((1, 2, 1, 96)).astype(np.float32),
    }
    sessions = {key: Peer(path).session for key, path in files.items()}

    def theirs(step: int) -> dict[str, np.ndarray]:
        made = dict(features)
        for session in sessions.values():
            wanted = [one.name for one in session.get_outputs()]
            feeds = {one.name: made[one.name] for one in session.get_inputs()}
            made.update(zip(wanted, session.run(wanted, feeds), strict=True))
        return made

    try:
        loaded = {key: wavetile.load(path) for key, path in files.items()}
        inputs = {key: list(model.inputs) for key, model in loaded.items()}

        def ours(step: int) -> dict[str, np.ndarray]:
            made = dict(features)
            for key, model in loaded.items():
                made.update(model.run({one: made[one] for one in inputs[key]}))
            return made

        difference = relative_difference(ours(0), theirs(0))
    except ModelError as error:
        return Row("networks", name, call, refusal=str(error))
    others: dict[str, Callable[[int], object]] = {}
    if not effort.quick and peers.is_here("libdf"):
        others["libdf"] = _each_step(peers.libdf_call())
    return Row("networks", name, call, difference, effort.take_turns(ours, theirs, others), targets(name))
