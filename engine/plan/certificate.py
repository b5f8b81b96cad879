"""The proof, at load, that a stream gives the numbers of the whole: both are run on the same random signal."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import ModelError
from .program import Port, Program
from .workspace import Workspace

TOLERANCE = 1e-4
"""Largest difference allowed, relative to the largest value of the output (or to 1, if that is smaller)."""


@dataclass(frozen=True)
class Certificate:
    """What was compared, and how near the two came."""

    steps: int
    max_difference: float
    """Absolute, over all outputs."""
    state_bytes: int


def certify(step: Program, whole: Program, *, backend: str = "cpu", seed: int = 0) -> Certificate:
    """Run a random signal through `whole` at once and through `step` chunk by chunk, and compare every output.

    The streaming axis of each input and output is the one on which the two programs' sizes differ.

    Raises:
        ModelError: an output differs; the network can not be cut into steps like this.
    """
    rng = np.random.default_rng(seed)
    full, chunked = Workspace(whole, backend), Workspace(step, backend)
    signals = {name: rng.standard_normal(port.shape, np.float32) for name, port in whole.inputs.items()}
    for name, signal in signals.items():
        full.input(name)[0] = signal
    full.run(1)
    axes = {name: _streaming_axis(port, whole.inputs[name]) for name, port in step.inputs.items()}
    steps = {whole.inputs[name].shape[axis] // step.inputs[name].shape[axis] for name, axis in axes.items()}
    if len(steps) != 1:
        raise ModelError(f"{step.name}: its inputs would need {sorted(steps)} steps each; they must agree")
    (count,) = steps
    pieces: dict[str, list[np.ndarray]] = {name: [] for name in step.outputs}
    for index in range(count):
        for name, axis in axes.items():
            chunked.input(name)[0] = np.split(signals[name], count, axis)[index]
        chunked.run(1)
        for name, parts in pieces.items():
            parts.append(chunked.output(name)[0].copy())
    worst = 0.0
    for name, parts in pieces.items():
        expected = full.output(name)[0]
        streamed = np.concatenate(parts, _streaming_axis(step.outputs[name], whole.outputs[name]))
        difference = float(np.abs(streamed - expected).max())
        if not difference <= TOLERANCE * max(1.0, float(np.abs(expected).max())):
            raise ModelError(
                f"{step.name}: streamed output {name!r} differs from the whole by {difference:.3g}; this network reads "
                "along the streaming axis in a way that its recurrent state does not carry: run it whole with Model.run"
            )
        worst = max(worst, difference)
    return Certificate(count, worst, step.state_bytes)


def _streaming_axis(step: Port, whole: Port) -> int:
    axes = [axis for axis, (a, b) in enumerate(zip(step.shape, whole.shape, strict=True)) if a != b]
    if len(axes) != 1:
        raise ModelError(f"{step.name!r} has shape {step.shape} a step and {whole.shape} whole; one axis must differ")
    return axes[0]
