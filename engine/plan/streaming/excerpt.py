"""Parts of a signal by themselves: what a part of the outputs needs is computed from nothing that was kept.

For parts that come in any order. What neighbours share is computed again for each; how much that is, `Excerpts` says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ...errors import UnsupportedError
from ..program import Program
from .plan import StreamPlan
from .span import Span
from .step import StepCutter
from .timeline import Moment, Timeline

_NOTHING = Span(0, 0)


@dataclass(frozen=True)
class Excerpt:
    """Along one axis, the part of every value that a part of the outputs needs."""

    timeline: Timeline
    end: Moment
    """Of the whole signal."""
    outputs: Mapping[str, Span]
    """The part of each output that it is of."""
    needed: Mapping[str, Span]
    """Of every value; more of an output, where other outputs are made of that."""

    @property
    def is_first(self) -> bool:
        """Nothing is known from before."""
        return True

    def full(self, name: str) -> Span:
        """Elements of a value that are known: those that are made."""
        return self.new(name)

    def new(self, name: str) -> Span:
        """Elements of a value that are made."""
        return self.needed.get(name, _NOTHING)

    def share(self, name: str) -> Span:
        """Where the part of an output that it is of lies in what is made of it."""
        start = self.new(name).start
        return Span(self.outputs[name].start - start, self.outputs[name].stop - start)

    def kept(self, name: str) -> Span:
        """Nothing is kept."""
        del name
        return _NOTHING

    def total(self, name: str) -> int | None:
        """How long a value is in all."""
        return self.end.counts[name]

    def arrived(self) -> Span:
        """Elements of the inputs that are needed."""
        (span,) = {self.needed[name] for name in self.timeline.inputs if name in self.needed} or {_NOTHING}
        return span


def excerpt(timeline: Timeline, length: int, outputs: Mapping[str, Span]) -> Excerpt:
    """Work out what parts of the outputs need of every value, from the outputs back to the inputs.

    Args:
        timeline: of the axis.
        length: of the whole signal.
        outputs: the part of each output, within it.
    """
    end = timeline.moment(length, ended=True)
    needed = dict(outputs)
    nodes = timeline.bindings.graph.nodes
    for position, flow in reversed(timeline.flows.items()):
        node = nodes[position]
        made = [needed[name] for name in node.outputs if needed.get(name, _NOTHING).size]
        if not made:
            continue
        whole = flow.whole(Span(min(span.start for span in made), max(span.stop for span in made)))
        for name in node.outputs:
            if name in end.counts:
                needed[name] = whole
        for name in timeline.read_by(node):
            total = end.counts[name]
            part = flow.reads(whole, total).within(Span(0, total))
            before = needed.get(name)
            needed[name] = part if before is None else Span(min(before.start, part.start), max(before.stop, part.stop))
    inputs = [needed[name] for name in timeline.inputs if name in needed]
    if inputs:  # the same part of every input
        union = Span(min(span.start for span in inputs), max(span.stop for span in inputs))
        needed |= dict.fromkeys(timeline.inputs, union)
    return Excerpt(timeline, end, outputs, needed)


class Excerpts:
    """Programs of a plan's excerpts; those that lie alike share one."""

    def __init__(self, plan: StreamPlan, lengths: Sequence[int]) -> None:
        self.plan = plan
        self.lengths = tuple(lengths)
        self._programs: dict[tuple, Program] = {}

    def along(self, axis: int, outputs: Mapping[str, Span]) -> Excerpt:
        """See `excerpt`."""
        return excerpt(self.plan.axes[axis].timeline, self.lengths[axis], outputs)

    def program(self, excerpts: Sequence[Excerpt]) -> Program:
        """The program that computes an excerpt.

        Raises:
            UnsupportedError: a layer of the network starts from the beginning of the signal.
        """
        key = tuple(_shape(each) for each in excerpts)
        if key not in self._programs:
            cut = StepCutter(self.plan.bindings, excerpts).cut()
            for state in (*cut.carried, *cut.strips):
                raise UnsupportedError(
                    f"{self.plan.name}: {state} is carried from the beginning of the signal, so its "
                    "parts can not be computed in any order; raster order would work"
                )
            self._programs[key] = self.plan.compile(cut.graph)
        return self._programs[key]


def _shape(part: Excerpt) -> tuple[tuple[int, int], ...]:
    """What an excerpt's graph depends on: where every value's part lies, counted from the grain in which it begins.

    What nodes read beyond the ends of the signal follows: it is what they would read, less what is there.
    """
    grains = part.arrived().start // part.timeline.grain
    return tuple((span.start - grains * part.timeline.rates[name], span.size) for name, span in part.needed.items())
