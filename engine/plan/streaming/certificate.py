"""The proof that a stream gives the numbers of the whole: both are run on the same random signal.

Memory that nothing has written yet is NaN on both sides, so that nothing is right by chance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np

from ...errors import ModelError
from ...graph import Graph, fuse
from ..compile import compile_graph
from ..program import Program
from ..workspace import Workspace
from .bindings import WORKS
from .plan import Axis, StreamPlan
from .raster import Band, Bands, Raster
from .span import Span
from .steps import Steps
from .trials import trial_signals

TOLERANCE = 1e-4
"""Largest difference allowed, relative to the largest value of the output (or to 1, if that is smaller)."""

STEADY_STEPS = 2
"""Steady steps of a signal that is compared; each is like the others."""

TELLING = 100 * TOLERANCE
"""An output that varies so much, relative to its scale, would show what came from a wrong place."""


@dataclass(frozen=True)
class AxisFacts:
    """How a network streams along one axis."""

    name: str
    step: int
    """Elements of the inputs that a step takes."""
    first: int
    """Elements that the first step takes."""
    delay: Mapping[str, float]
    """Output -> how many elements of the inputs it lags, once it is steady."""


@dataclass(frozen=True)
class Certificate:
    """What was compared, and how near the two came."""

    axes: tuple[AxisFacts, ...]
    lengths: tuple[int, ...]
    """Of the first signal that was compared."""
    max_difference: float
    """Absolute, over all outputs and signals."""
    carried_bytes: int
    """What goes from step to step along the innermost axis."""
    strip_bytes: int
    """What is kept for the rectangles below, at this width."""
    multiply_adds: tuple[int, int]
    """Of all steps over this signal, and of the whole."""
    variation: float
    """How much the outputs vary along the axes, at least, relative to their scale: below TOLERANCE nothing is shown."""


def certify(plan: StreamPlan, *, backend: str = "cpu", seed: int = 0) -> Certificate:
    """Run random signals through the network at once and in steps, and compare every output.

    Raises:
        ModelError: an output differs; the network can not be cut into steps like this.
    """
    rng = np.random.default_rng(seed)
    first, *others = (_compare(plan, lengths, graph, backend, rng) for lengths, graph in _bound(plan))
    return replace(
        first,
        max_difference=max(each.max_difference for each in (first, *others)),
        variation=min(each.variation for each in (first, *others)),
    )


def _bound(plan: StreamPlan) -> list[tuple[list[int], Graph]]:
    """The network bound to a few steps and a remainder: one of whole grains, and one that is none, if it takes that."""
    even = [axis.first + STEADY_STEPS * axis.step + axis.timeline.grain for axis in plan.axes]
    if not _takes(plan, even):
        even = [length + axis.timeline.rest for axis, length in zip(plan.axes, even, strict=True)]
    uneven = [length + axis.timeline.grain - 1 for axis, length in zip(plan.axes, even, strict=True)]
    bound = []
    if uneven != even:
        with suppress(ModelError):
            if _takes(plan, uneven):
                bound.append((uneven, plan.bindings.bind(uneven)))
    # Images take long: one is compared, that of no whole grains if the network takes it.
    return bound if bound and len(plan.axes) > 1 else [(even, plan.bindings.bind(even)), *bound]


def _takes(plan: StreamPlan, lengths: Sequence[int]) -> bool:
    """Whether the network takes a signal of these lengths, as far as the rules of its nodes say."""
    try:
        plan.lengths(lengths)
    except ModelError:
        return False
    return True


def _compare(
    plan: StreamPlan, lengths: Sequence[int], graph: Graph, backend: str, rng: np.random.Generator
) -> Certificate:
    program = compile_graph(fuse(graph), name=f"{plan.name} at once", target=plan.target.exact)
    signals, expected, variation = _at_once(plan, program, backend, rng)
    steps = Steps(plan, backend, poisoned=True)
    # Integers have no NaN; float64 tells for every type that nothing came, and holds differences of all of them.
    streamed = {name: np.full(array.shape, np.nan, np.float64) for name, array in expected.items()}
    strip_bytes = 0
    if len(plan.axes) == 1:
        flushed = {name: array.copy() for name, array in streamed.items()}
        _run_axis(steps, _flushed(plan.axes[0], lengths[0]), signals, flushed)
        worst = greatest_difference(plan.name, flushed, expected)
        steps.restart()
        cost = _run_axis(steps, Bands(plan.axes[0], lengths[0]), signals, streamed)
        worst = max(worst, greatest_difference(plan.name, streamed, expected))
    else:
        strip_bytes, cost = _run_raster(steps, lengths, signals, streamed)
        worst = greatest_difference(plan.name, streamed, expected)
    return Certificate(
        tuple(facts(plan, axis) for axis in range(len(plan.axes))),
        tuple(lengths),
        worst,
        steps.carried_bytes,
        strip_bytes,
        (cost, program.multiply_adds),
        variation,
    )


def _at_once(
    plan: StreamPlan, program: Program, backend: str, rng: np.random.Generator
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], float]:
    """A random signal, what the whole network makes of it, and how much that varies (see `Certificate.variation`).

    Of a normal distribution; if the network has no numbers for that (logarithms, roots), or outputs that are nearly
    the same everywhere, of a positive one, or fainter. If all outputs are, that with the greatest variation.
    """
    whole = Workspace(program, backend)
    best: tuple[dict[str, np.ndarray], dict[str, np.ndarray], float] | None = None
    for signals in trial_signals({name: port.shape for name, port in program.inputs.items()}, rng):
        whole.poison()
        for name, signal in signals.items():
            whole.input(name)[0] = signal
        whole.run(1)
        expected = {name: whole.output(name)[0].copy() for name in program.outputs}
        if all(np.isfinite(array).all() for array in expected.values()):
            variation = min(
                relative_range(array, plan.bindings.dim(name, axis))
                for name, array in expected.items()
                for axis in range(len(plan.axes))
            )
            if best is None or variation > best[-1]:
                best = signals, expected, variation
            if variation >= TELLING:
                break
    if best is None:
        raise ModelError(
            f"{plan.name}: its outputs are not finite on random signals, neither normal nor positive ones, so that "
            f"nothing proves its stream; {WORKS}"
        )
    return best


def _flushed(axis: Axis, length: int) -> list[Band]:
    """The steps of a stream of which nobody knew that it would end: the last one takes what makes no step, or nothing.

    The first one is as long as it has to be for the others to end with the signal, but for what makes no grain.
    """
    rest = length % axis.timeline.grain
    first = axis.first + (length - rest - axis.first) % axis.step
    *before, last = Bands(axis, length + (not rest), first)
    return [*before, Band(Span(last.arrived.start, length), axis.kind(last.arrived.start, length, ended=True))]


def greatest_difference(name: str, streamed: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]) -> float:
    """Over all outputs of a network called `name`; raises ModelError if it is more than TOLERANCE."""
    worst = 0.0
    for output, array in expected.items():
        difference = float(np.abs(streamed[output] - array).max(initial=0.0))
        if not difference <= TOLERANCE * max(1.0, float(np.abs(array).max(initial=0.0))):
            raise ModelError(
                f"{name}: streamed output {output!r} differs from the whole by {difference:.3g}; this network reads "
                f"along the streaming axis in a way that no rule knows: {WORKS}"
            )
        worst = max(worst, difference)
    return worst


def relative_range(array: np.ndarray, dim: int) -> float:
    """How far numbers along a dimension lie apart, at most, relative to the largest (or to 1, if that is smaller)."""
    return float(np.ptp(array, dim).max()) / max(1.0, float(np.abs(array).max())) if array.size else 0.0


def facts(plan: StreamPlan, axis: int) -> AxisFacts:
    """How a plan streams along one of its axes."""
    one = plan.axes[axis]
    steady = one.moment(one.first)
    later = one.moment(one.first + one.timeline.grain)
    delays = {}
    for name in plan.bindings.graph.outputs:
        rate = (later.counts[name] - steady.counts[name]) / one.timeline.grain
        delays[name] = one.first - steady.counts[name] / rate
    return AxisFacts(one.timeline.name, one.step, one.first, delays)


def _run_axis(
    steps: Steps, taken: Sequence[Band], signals: Mapping[str, np.ndarray], streamed: dict[str, np.ndarray]
) -> int:
    """Stream, and return the multiply-adds of all steps."""
    plan = steps.plan
    places = dict.fromkeys(streamed, 0)
    cost = 0
    for band in taken:
        given = {name: signal[plan.bindings.part(name, [band.arrived])] for name, signal in signals.items()}
        made = steps.run((band.kind,), given)
        cost += steps.multiply_adds((band.kind,))
        for name in streamed.keys() & made.keys():
            dim = plan.bindings.dim(name, 0)
            place = Span(places[name], places[name] + made[name].shape[dim])
            _put(plan, streamed, name, [place], made[name])
            places[name] = place.stop
    return cost


def _put(
    plan: StreamPlan, streamed: Mapping[str, np.ndarray], name: str, spans: Sequence[Span], values: np.ndarray
) -> None:
    """Put a part of an output in its place; raises ModelError if it is not as long as that."""
    place = streamed[name][plan.bindings.part(name, spans)]
    if place.shape != values.shape:
        raise ModelError(
            f"{plan.name}: a part of streamed output {name!r} has shape {list(values.shape)} where there is room for "
            f"{list(place.shape)}: a rule is wrong"
        )
    place[...] = values


def _run_raster(
    steps: Steps, lengths: Sequence[int], signals: Mapping[str, np.ndarray], streamed: dict[str, np.ndarray]
) -> tuple[int, int]:
    plan = steps.plan
    raster = Raster(steps, lengths[0], lengths[1], [axis.first for axis in plan.axes])
    cost = 0
    for row, down in enumerate(raster.rows):
        for column, across in enumerate(raster.columns):
            spans = down.arrived, across.arrived
            given = {name: signal[plan.bindings.part(name, spans)] for name, signal in signals.items()}
            for name, (rows, columns, values) in raster.run(row, column, given).items():
                _put(plan, streamed, name, [rows, columns], values)
            cost += steps.multiply_adds((down.kind, across.kind))
    return raster.strip_bytes, cost
