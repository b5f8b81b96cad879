"""Computes windows that overlap one after the other, and proves that each is what it would be by itself."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ...errors import ModelError
from ..carriers import from_carrier
from ..program import Program
from ..workspace import SharedArena
from .bindings import WORKS
from .certificate import TELLING, greatest_difference, relative_range
from .overlap import Overlap
from .steps import Steps
from .trials import trial_signals

PROOF_HOPS = 2
"""Hops behind the first window that are compared, after those that are unlike later ones."""


class SharedWindows:
    """The windows of one signal. Used by one thread at a time."""

    def __init__(self, overlap: Overlap, backend: str = "cpu", *, poisoned: bool = False) -> None:
        """`poisoned`: memory that nothing has written is NaN (see `Workspace.poison`)."""
        self._overlap = overlap
        self._poisoned = poisoned
        (self._axis,) = overlap.plan.axes
        self._steps = Steps(overlap.plan, backend, poisoned=poisoned)
        self._arena = SharedArena(backend)
        self._arrived = 0
        self._kept: dict[str, np.ndarray] = {}
        """Of each value of the cut, what neither end of the latest window has a part in."""

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Compute the next window.

        Args:
            inputs: all of the window, which begins a hop behind the one before.

        Returns:
            What the network makes of this window alone, in fresh arrays.
        """
        values = {**self._front(inputs), **inputs}
        graph, rest = self._overlap.graph, self._overlap.rest
        if rest is not None:
            values |= self._computed(rest, values)
        values |= {name: graph.constants[name] for name in graph.outputs if name in graph.constants}
        return {name: from_carrier(values[name], graph.types[name].dtype) for name in graph.outputs}

    def _front(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The values of the cut over this window."""
        overlap, bindings = self._overlap, self._overlap.plan.bindings
        parts: dict[str, list[np.ndarray]] = {name: [] for name in overlap.cut.values}
        if overlap.beginning is not None:
            part, program = overlap.beginning
            given = {name: array[bindings.part(name, [part])] for name, array in inputs.items()}
            for name, made in self._computed(program, given).items():  # some are made for others, and longer
                parts[name].append(made[bindings.part(name, [(0, overlap.inside[name].start)])])
        before, after = self._arrived, self._arrived + overlap.hop if self._arrived else overlap.window
        new = overlap.window - (after - before), overlap.window
        given = {name: array[bindings.part(name, [new])] for name, array in inputs.items()}
        self._keep(self._steps.run((self._axis.kind(before, after, ended=False),), given))
        self._arrived = after
        end = self._steps.end((self._axis.kind(after, after, ended=True),))
        for name, joined in parts.items():
            joined.append(self._kept[name])
            if name in end:
                joined.append(end[name])
        return {name: np.concatenate(joined, bindings.dim(name, 0)) for name, joined in parts.items()}

    def _keep(self, made: Mapping[str, np.ndarray]) -> None:
        """Go on by what a step has made."""
        for name, inside in self._overlap.inside.items():
            dim = self._overlap.plan.bindings.dim(name, 0)
            known = np.concatenate([self._kept[name], made[name]], dim) if name in self._kept else made[name]
            last = slice(known.shape[dim] - inside.size, None)
            self._kept[name] = known[(*(slice(None),) * dim, last)].copy()

    def _computed(self, program: Program, given: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        workspace = self._arena.bind(program)
        if self._poisoned:
            workspace.poison()
        for name in program.inputs:
            workspace.input(name)[0] = given[name]
        workspace.run(1)
        return {name: workspace.output(name)[0].copy() for name in program.outputs}


def certify_windows(overlap: Overlap, *, backend: str = "cpu", seed: int = 0) -> float:
    """Compute windows of a random signal both ways, and return the largest difference.

    Memory that nothing has written yet is NaN on both sides, so that nothing is right by chance.

    Raises:
        ModelError: a window is not what it would be by itself.
    """
    rng = np.random.default_rng(seed)
    (axis,) = overlap.plan.axes
    hops = PROOF_HOPS + -(-max(0, axis.first - overlap.window) // overlap.hop)
    shapes = {name: list(tensor.shape) for name, tensor in overlap.graph.inputs.items()}
    for name, shape in shapes.items():
        shape[overlap.plan.bindings.dim(name, 0)] += hops * overlap.hop
    worst, most = 0.0, -1.0
    for signals in trial_signals(shapes, rng):
        compared = _compared(overlap, backend, signals, hops)
        if compared is not None:
            difference, variation = compared
            worst, most = max(worst, difference), max(most, variation)
            if variation >= TELLING:
                break
    if most < 0:
        raise ModelError(
            f"{overlap.name}: its outputs are not finite on random windows, neither normal nor positive ones, so that "
            f"nothing proves what they share; {WORKS}"
        )
    return worst


def _compared(
    overlap: Overlap, backend: str, signals: Mapping[str, np.ndarray], hops: int
) -> tuple[float, float] | None:
    """The largest difference over some windows, and how much the outputs vary among them, relative to their scale.

    None if what they make is not finite.
    """
    shared, arena = SharedWindows(overlap, backend, poisoned=True), SharedArena(backend)
    worst = 0.0
    made: dict[str, list[np.ndarray]] = {name: [] for name in overlap.whole.outputs}
    for hop in range(hops + 1):
        span = hop * overlap.hop, hop * overlap.hop + overlap.window
        given = {name: signal[overlap.plan.bindings.part(name, [span])] for name, signal in signals.items()}
        workspace = arena.bind(overlap.whole)
        workspace.poison()
        for name in overlap.whole.inputs:
            workspace.input(name)[0] = given[name]
        workspace.run(1)
        expected = {name: workspace.output(name)[0] for name in overlap.whole.outputs}
        if not all(np.isfinite(array).all() for array in expected.values()):
            return None
        worst = max(worst, greatest_difference(overlap.name, shared.run(given), expected))
        for name, array in expected.items():
            made[name].append(array.copy())
    return worst, min(relative_range(np.stack(arrays), 0) for arrays in made.values())
