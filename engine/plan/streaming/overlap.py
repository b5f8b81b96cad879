"""What windows that overlap have in common: the part of a network that is computed once, as a stream.

A value's elements that neither end of the window has a part in are, in the next window, the same elements further in
front: they are made once, by a stream of the network's front, and kept. The end of each window is made of what that
stream keeps, as if its signal ended there; the beginning anew, from the window's first elements. The rest of the
network, from what needs the window as a whole, takes these values a window at a time.

Where the front ends best follows from how many multiply-adds a hop then costs.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from ...errors import UnsupportedError
from ...graph import Graph, Node, fuse, lengthened, relative
from ...graph.prune import prune
from ..compile import compile_graph
from ..program import Program
from ..target import CPU, Target
from .bindings import WORKS, Bindings, StreamingAxis, growing_dims
from .excerpt import Excerpts, excerpt
from .plan import StreamPlan
from .registry import Site, rule_of
from .span import Flow, Span
from .timeline import FAR, Moment, Timeline

MOST_STRIDE = 1 << 16
"""Hops up to so many elements of a node's input are tried to name one that would work."""


@dataclass(frozen=True)
class Steady:
    """How a value of one window goes on in the next one."""

    start: int
    """Its first element that the beginning of the window has no part in."""
    shift: int
    """Elements by which it moves on."""


@dataclass(frozen=True)
class Cut:
    """Where the front of a network ends."""

    values: tuple[str, ...]
    """What the front gives: outputs of the network, and what the rest of it reads."""
    multiply_adds: float
    """Of a hop, as far as they can be told from those of the whole."""


class Overlap:
    """How a network computes windows that overlap. Immutable but for the programs, which are compiled when needed."""

    def __init__(self, graph: Graph, axis: StreamingAxis, hop: int, *, name: str = "", target: Target = CPU) -> None:
        """Find what a window shares with the next one.

        Args:
            graph: of the network, bound to a window and `prepared`; every input arrives along the axis.
            axis: along which windows lie.
            hop: elements from one window to the next.
            name: what the programs are called in messages.
            target: what the programs are compiled for.

        Raises:
            UnsupportedError: nothing can be shared; the message says why.
        """
        self.graph, self.hop = graph, hop
        (self.window,) = {tensor.shape[axis.inputs[key]] for key, tensor in graph.inputs.items()}
        self.name = name or graph.name
        if hop >= self.window:
            raise UnsupportedError(f"windows of {self.window} do not overlap with a hop of {hop}")
        self.whole = compile_graph(fuse(graph), name=self.name, target=target)
        """Of one window, as if there were no other."""
        front = _Front(graph, axis, self.window, hop)
        self.limit = front.limit
        """Why the first node that is not shared can not be; empty if all can. Sharing may end before, to cost less."""
        self.cut = front.cheapest(self.whole.multiply_adds_by_node())
        part = prune(replace(front.part, outputs=list(self.cut.values)))
        self.plan = StreamPlan(_bindings(part, axis, self.window), [hop], name=self.name, target=target)
        (steps,) = self.plan.axes
        if steps.step != hop:
            raise UnsupportedError(
                f"steps along {axis.name!r} are multiples of {steps.timeline.grain}, which a hop of {hop} is not"
            )
        going = steps.moment(self.window).counts
        self.inside = {value: Span(front.steady[value].start, going[value]) for value in self.cut.values}
        """Value of the cut -> its elements that neither end of the window has a part in."""
        self.beginning = self._beginning()
        self.rest = self._rest()

    @property
    def multiply_adds(self) -> int:
        """Of one window after the first ones."""
        (steps,) = self.plan.axes
        before = self.window + self.hop * -(-max(0, steps.first - self.window) // self.hop)
        after = before + self.hop
        kinds = steps.kind(before, after, ended=False), steps.kind(after, after, ended=True)
        programs = [
            self.rest,
            self.beginning and self.beginning[1],
            *(self.plan.step((kind,)).program for kind in kinds),
        ]
        return sum(program.multiply_adds for program in programs if program is not None)

    def _beginning(self) -> tuple[Span, Program] | None:
        """What is made anew at the beginning of a window: the elements that it is made of, and the program."""
        excerpts = Excerpts(self.plan, [self.window])
        outputs = {value: Span(0, span.start) for value, span in self.inside.items() if span.start}
        if not outputs:
            return None
        part = excerpts.along(0, outputs)
        return part.arrived(), excerpts.program([part])

    def _rest(self) -> Program | None:
        """What takes the values of the cut a window at a time; None if the network ends there."""
        made = set(self.plan.bindings.graph.types)
        outputs = [name for name in self.graph.outputs if name not in made and name not in self.graph.constants]
        if not outputs:
            return None
        nodes = [node for node in self.graph.nodes if not made.issuperset(filter(None, node.outputs))]
        inputs = {name: self.graph.types[name] for name in (*self.graph.inputs, *self.cut.values)}
        graph = prune(replace(self.graph, inputs=inputs, outputs=outputs, nodes=nodes))
        read = {name for node in graph.nodes for name in node.reads}
        graph = replace(graph, inputs={name: tensor for name, tensor in inputs.items() if name in read})
        return self.plan.compile(graph)


class _Front:
    """The nodes of a network whose values go on from one window to the next."""

    def __init__(self, graph: Graph, axis: StreamingAxis, window: int, hop: int) -> None:
        self._graph = graph
        part, self._limits = relative(graph, axis.inputs)
        bindings = _bindings(part, axis, window)
        self.steady = {name: Steady(0, hop) for name in graph.inputs}
        nodes = []
        for node in part.nodes:
            if all(name in self.steady or name in part.constants for name in node.reads):
                try:
                    steady = _followed(node, bindings, self.steady, hop)
                except UnsupportedError as error:
                    self._limits[node.name] = str(error).removesuffix(f"; {WORKS}")
                else:
                    nodes.append(node)
                    self.steady.update({name: steady for name in node.outputs if name})
        if not nodes:
            raise UnsupportedError(f"no node's values go on from one window to the next: {self.limit}")
        read = {name for node in nodes for name in node.reads}
        leaves = [name for node in nodes for name in node.outputs if name and name not in read]
        self.part = prune(replace(part, nodes=nodes, outputs=leaves))
        self._timeline = Timeline(_bindings(self.part, axis, window), 0)
        self._window = window

    @property
    def limit(self) -> str:
        """Why the first node that is not in the front is not; empty if all are."""
        return next((self._limits[node.name] for node in self._graph.nodes if node.name in self._limits), "")

    def cheapest(self, costs: Counter[str]) -> Cut:
        """Where to end.

        Args:
            costs: node of the network -> its multiply-adds in a window.

        Raises:
            UnsupportedError: nowhere is it worth it.
        """
        whole = sum(costs.values())
        best = Cut((), whole)
        for cut in self._cuts(costs):
            if cut.multiply_adds < best.multiply_adds or (best.values and cut.multiply_adds == best.multiply_adds):
                best = cut
        if not best.values:
            raise UnsupportedError(
                f"what windows have in common costs as much to put together as it saves; it ends with {self.limit}"
            )
        return best

    def _cuts(self, costs: Mapping[str, int]) -> Iterator[Cut]:
        """Every place to end, from the front to the back."""
        ended, going = (self._timeline.moment(self._window, ended=ended) for ended in (True, False))
        made: set[str] = set()
        for count, node in enumerate(self.part.nodes, 1):
            made.update(filter(None, node.outputs))
            rest = [one for one in self._graph.nodes if not made.issuperset(filter(None, one.outputs))]
            read = {*self._graph.outputs, *(name for one in rest for name in one.reads)}
            values = tuple(name for one in self.part.nodes[:count] for name in one.outputs if name in read)
            if values and all(self.steady[name].start < going.counts[name] for name in values):
                nodes = self._needed(values, self.part.nodes[:count])
                again = sum(costs[one.name] for one in rest)
                yield Cut(values, again + sum(self._shares(values, nodes, costs, ended, going)))

    def _needed(self, values: Sequence[str], nodes: Sequence[Node]) -> list[Node]:
        """Of these nodes those that make what is needed for some values."""
        return prune(replace(self.part, nodes=list(nodes), outputs=list(values))).nodes

    def _shares(
        self, values: Sequence[str], nodes: Sequence[Node], costs: Mapping[str, int], ended: Moment, going: Moment
    ) -> Iterator[float]:
        """What each node of a front costs: its part of a step, of the end of a window, and of its beginning."""
        starts = {name: Span(0, self.steady[name].start) for name in values if self.steady[name].start}
        beginning = excerpt(self._timeline, self._window, starts)
        for node in nodes:
            name = next(name for name in node.outputs if name)
            total = ended.counts[name]
            elements = self.steady[name].shift + total - going.counts[name] + beginning.new(name).size
            yield costs[node.name] * elements / total


def _bindings(part: Graph, axis: StreamingAxis, window: int) -> Bindings:
    """A part of a network that takes any length, bound to the window's."""

    def bind(lengths: Sequence[int]) -> Graph:
        return lengthened(part, axis.inputs, lengths[0])

    grown = bind([2 * window])
    return Bindings((axis,), part, (grown,), growing_dims([axis], part, [grown]), bind, frozenset())


def _followed(node: Node, bindings: Bindings, steady: Mapping[str, Steady], hop: int) -> Steady:
    """How a node's outputs go on if its inputs do.

    Raises:
        UnsupportedError: they do not.
    """
    site = Site(node, bindings, 0)
    rule = rule_of(site)
    if rule.carries:
        raise UnsupportedError(f"{node}: its state begins anew in every window")
    flow = rule.flow(site)
    read = [name for name in node.reads if name in steady]
    shift, *others = {steady[name].shift for name in read}
    if others:
        raise UnsupportedError(f"{node}: its inputs move on by {shift} and {others[0]} elements with a hop of {hop}")
    moved = _shift(flow, shift)
    if moved is None:
        fits = next((given for given in range(1, MOST_STRIDE) if _shift(flow, given)), None)
        works = f"; multiples of {Fraction(hop * fits, shift).numerator} would work" if fits else ""
        raise UnsupportedError(f"{node}: with a hop of {hop} its output moves on by no whole number of elements{works}")
    total = next(length for name in node.outputs if name and (length := bindings.length(name, 0)) is not None)
    start = max(steady[name].start for name in read)
    times = FAR // shift

    def first_read(place: int) -> int:
        """In a window far behind the first one."""
        return flow.reads(Span(times * moved + place, times * moved + place + 1), None).start - times * shift

    return Steady(bisect_left(range(total), start, key=first_read), moved)


def _shift(flow: Flow, given: int) -> int | None:
    """By how many elements a flow's output moves on when its input does by `given`; None if by no whole number."""
    moved = flow.count(FAR + given, ended=False) - flow.count(FAR, ended=False)
    place = flow.count(FAR, ended=False)
    for made in (Span(place, place + 1), Span(place + 1, place + 2)):
        before = flow.reads(made, None)
        after = flow.reads(Span(made.start + moved, made.stop + moved), None)
        if after != (before.start + given, before.stop + given):
            return None
    return moved or None
