"""The plan of a stream: which steps there are, and the program of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...graph import Graph, fuse
from ..compile import compile_graph
from ..program import Program
from ..recent import Recent
from ..target import CPU, Target
from ..weights import WeightMemory
from .bindings import Bindings
from .call import Stretch
from .step import StepCutter
from .step_graph import StepGraph
from .timeline import ORIGIN, Moment, Timeline

MAX_STEPS = 32
"""Compiled steps that a plan keeps; an image has 9. The one that was used longest ago goes first."""

_WEIGHT_ROOM = 2
"""Steps of other sizes may pack a few weights in another way."""


@dataclass(frozen=True)
class StepKind:
    """A step along one axis, as far as its graph depends on it."""

    before: int
    """Elements of the inputs that had arrived before it; of a steady step, those of the first steady one."""
    after: int
    ended: bool


@dataclass(frozen=True)
class Step:
    """The compiled step of a plan."""

    program: Program | None
    """None: nothing is computed, and nothing kept."""
    graph: StepGraph


class Axis:
    """One axis of a plan: how what arrives is cut into steps."""

    def __init__(self, timeline: Timeline, step: int | None) -> None:
        """`step`: how many elements of the inputs make a step; rounded up to the grain, which is the default."""
        self.timeline = timeline
        grain = timeline.grain
        self.step = grain * max(1, -(-(step or grain) // grain))
        """Elements of the inputs that a steady step takes."""
        self.first = max(self.step, timeline.ramp)
        """Elements that the first step takes."""

    def kind(self, before: int, after: int, *, ended: bool) -> StepKind:
        """The step between two moments; all steady ones are the same."""
        if before >= self.first:
            base = self.first + (before - self.first) % self.timeline.grain
            return StepKind(base, base + after - before, ended)
        return StepKind(before, after, ended)

    def stretch(self, kind: StepKind) -> Stretch:
        """What a step of this kind does along the axis."""
        return Stretch(self.timeline, self.moment(kind.before), self.moment(kind.after, ended=kind.ended))

    def moment(self, arrived: int, *, ended: bool = False) -> Moment:
        """See `Timeline.moment`; before the first element nothing is there."""
        return self.timeline.moment(arrived, ended=ended) if arrived else ORIGIN


class StreamPlan:
    """A network's stream along one or two axes. Steps are compiled when they are first asked for. Thread-safe."""

    def __init__(
        self,
        bindings: Bindings,
        steps: Sequence[int | None] | None = None,
        *,
        name: str = "",
        timelines: Sequence[Timeline] | None = None,
        target: Target = CPU,
        weights: WeightMemory | None = None,
    ) -> None:
        """Plan a stream.

        Args:
            bindings: of the network.
            steps: for each axis, how many elements of the inputs make a step; as few as possible if None.
            name: what the programs are called in messages.
            timelines: of the axes, if another plan of these bindings has them.
            target: what the programs are compiled for.
            weights: where the packed weights of its steps lie; of its own if None.

        Raises:
            UnsupportedError: a node can not stream; the message names it and says what would work.
        """
        self.bindings = bindings
        self.name = name or bindings.graph.name
        self.target = target
        given = steps or [None] * len(bindings.axes)
        timelines = timelines or [Timeline(bindings, axis) for axis in range(len(bindings.axes))]
        self.axes = tuple(Axis(timeline, step) for timeline, step in zip(timelines, given, strict=True))
        self._weights = weights or WeightMemory(_WEIGHT_ROOM)
        self._steps: Recent[tuple[StepKind, ...], Step] = Recent(MAX_STEPS)

    def in_steps(self, steps: Sequence[int | None] | None = None, *, target: Target | None = None) -> StreamPlan:
        """Another plan of the same stream, in steps of these sizes; axes and packed weights are shared."""
        return StreamPlan(
            self.bindings,
            steps,
            name=self.name,
            timelines=self.timelines,
            target=target or self.target,
            weights=self._weights,
        )

    @property
    def timelines(self) -> list[Timeline]:
        """Of the axes."""
        return [axis.timeline for axis in self.axes]

    def step_graph(self, kinds: tuple[StepKind, ...]) -> StepGraph:
        """The graph of a step."""
        stretches = [axis.stretch(kind) for axis, kind in zip(self.axes, kinds, strict=True)]
        return StepCutter(self.bindings, stretches).cut()

    def step(self, kinds: tuple[StepKind, ...]) -> Step:
        """The step of these kinds, compiled."""
        return self._steps.get(kinds, lambda: self._compiled(kinds))

    def _compiled(self, kinds: tuple[StepKind, ...]) -> Step:
        cut = self.step_graph(kinds)
        return Step(self.compile(cut.graph) if cut.graph.outputs else None, cut)

    def compile(self, graph: Graph) -> Program:
        """The program of a part of the network."""
        return compile_graph(fuse(graph), name=self.name, target=self.target, weights=self._weights)

    def lengths(self, arrived: Sequence[int]) -> dict[str, tuple[int, ...]]:
        """Shape of each output for a whole signal of these lengths.

        Raises:
            ModelError: the network does not take such lengths.
        """
        moments = [axis.moment(length, ended=True) for axis, length in zip(self.axes, arrived, strict=True)]
        return {
            name: self.bindings.shape(name, [moment.counts.get(name, 0) for moment in moments])
            for name in self.bindings.graph.outputs
        }
