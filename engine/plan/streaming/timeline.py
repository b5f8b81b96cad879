"""How far every value of a network has come along one axis when so many elements of its inputs have arrived."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from ...errors import ModelError, UnsupportedError
from ...graph import Node
from .bindings import WORKS, Bindings
from .far import check_far
from .registry import Site, rule_of
from .span import Flow, Scaled

FAR = 1 << 24
"""A moment that is steady in every network that anybody streams."""

ROUND = 2**12 * 3**3 * 5**2 * 7
"""Divided by the strides of nearly all networks."""
MOMENTS = 512
"""Moments that a timeline remembers: those along one side of an image of as many rectangles."""


@dataclass(frozen=True)
class Moment:
    """A point between two steps."""

    arrived: int
    """Elements of the network's inputs."""
    ended: bool
    counts: Mapping[str, int]
    """Of each streaming value, how many elements have been made."""
    oldest: Mapping[str, int]
    """Of each, the first element that is still to be read; below 0 where padding stands for elements."""


ORIGIN = Moment(0, False, {}, {})
"""Before the first step."""


class Timeline:
    """One axis of a network."""

    def __init__(self, bindings: Bindings, axis: int) -> None:
        """Find the flow of every node.

        Raises:
            UnsupportedError: a node can not stream along the axis, or how long its outputs are does not follow.
        """
        self.bindings, self.axis = bindings, axis
        self.moment = lru_cache(MOMENTS)(self._moment)
        """See `_moment`; those of an image come back with every row of rectangles."""
        self.name = bindings.axes[axis].name
        graph = bindings.graph
        self.flows: dict[int, Flow] = {}
        """Position of a node -> its flow, for nodes that stream along the axis."""
        self.uniform = {name for name in graph.constants if bindings.dims[name][axis] is not None}
        """Constants that are as long as the signal, and everywhere the same along it."""
        self.inputs = {name for name in graph.inputs if bindings.dims[name][axis] is not None}
        self._check_constants()
        for position, node in enumerate(graph.nodes):
            if self.read_by(node) or any(name and bindings.dims[name][axis] is not None for name in node.outputs):
                self.flows[position] = self._flow_of(node)
        for name in graph.outputs:
            if bindings.dims[name][axis] is None:
                raise UnsupportedError(
                    f"output {name!r} does not grow with {self.name!r}: it needs the whole signal; {WORKS}"
                )
        self._fills = self._find_fills()
        self.grain, self.rates = self._find_grain()
        """Steps have to be multiples of so many elements of the inputs, so that all are alike; and by how many elements
        each value moves on with them."""
        self._check_lengths()
        self.ramp = self._find_ramp()
        """Elements of the inputs that the first step has to wait for; from then on all steps are alike."""
        check_far(self)
        self._check_groups()

    def _moment(self, arrived: int, *, ended: bool = False) -> Moment:
        """Where every value is once so many elements of the inputs have arrived.

        Raises:
            ModelError: at the end two inputs of a node differ in length, or one can not be divided: the network does
                not take such a length.
        """
        counts = dict.fromkeys(self.inputs, arrived)
        oldest = dict(counts)
        fills = self._fills
        nodes = self.bindings.graph.nodes
        for position, flow in self.flows.items():
            node = nodes[position]
            read = self.read_by(node)
            lengths = [counts[name] for name in read]
            least = min(lengths)
            if ended and max(lengths) != least:
                raise ModelError(
                    f"{node}: {arrived} elements along {self.name!r} make inputs of lengths {sorted(set(lengths))}, "
                    f"which do not fit; {self.fitting} would work"
                )
            if ended and not flow.ends(least):
                raise ModelError(
                    f"{node}: {arrived} elements along {self.name!r} make an input of {least}, which it can not divide "
                    f"or mirror; {self.fitting} would work, if they are long enough"
                )
            made = flow.count(least, ended)
            for name in node.outputs:
                if name and self.bindings.dims[name][self.axis] is not None:
                    counts[name] = oldest[name] = made
            needed = flow.oldest(made, least)
            for name in read:
                oldest[name] = min(oldest[name], needed if fills.get(name) is not None else max(0, needed))
        if ended:
            oldest = dict(counts)
        return Moment(arrived, ended, counts, oldest)

    @property
    def rest(self) -> int:
        """What is left when the length that the network was bound to is divided by the grain."""
        return self.bindings.bound_length(self.axis) % self.grain

    @property
    def fitting(self) -> str:
        """Lengths that the network takes, in words."""
        return f"multiples of {self.grain}" + (f" plus {self.rest}" if self.rest else "")

    def fill(self, name: str) -> float | None:
        """What stands for a value's elements before the first; None if nothing has to, or nothing can."""
        return self._fills.get(name)

    def read_by(self, node: Node) -> list[str]:
        """Inputs of a node that stream along the axis."""
        dims = self.bindings.dims
        return [name for name in node.reads if dims[name][self.axis] is not None and name not in self.uniform]

    def _flow_of(self, node: Node) -> Flow:
        site = Site(node, self.bindings, self.axis)
        rule = rule_of(site)
        if not self.read_by(node):
            raise site.refuse("it makes a tensor of the length of")
        return rule.flow(site)

    def _check_constants(self) -> None:
        for name in self.uniform:
            dim = self.bindings.dims[name][self.axis]
            array = self.bindings.grown[self.axis].constants.get(name)
            if array is None or (array != array.take([0], dim)).any():
                raise UnsupportedError(
                    f"constant {name!r} is as long as {self.name!r} and differs along it: every length of the signal "
                    f"would need another one; {WORKS}"
                )

    def _find_fills(self) -> dict[str, float | None]:
        """What every reader of a value that pads it agrees on; None where they do not."""
        fills: dict[str, float | None] = {}
        for position, flow in self.flows.items():
            if flow.pads:
                for name in self.read_by(self.bindings.graph.nodes[position]):
                    agreed = flow.fill if fills.get(name, flow.fill) == flow.fill else None
                    fills[name] = agreed
        return fills

    def _check_lengths(self) -> None:
        """Compare the rules' counts with the shapes that inference found."""
        for grown in (False, True):
            length = self.bindings.bound_length(self.axis, grown=grown)
            for name, count in self.moment(length, ended=True).counts.items():
                known = self.bindings.length(name, self.axis, grown=grown)
                if count != known:
                    raise UnsupportedError(
                        f"value {name!r} is {known} long when {self.name!r} is {length}, where its rule gives {count}: "
                        "this network does not stream"
                    )

    def _check_groups(self) -> None:
        """Raise UnsupportedError if a Reshape makes one group of all that the network was written for.

        Its -1, or what inference makes of it, stands for the batch then: signals that are longer would be cut into
        batches, and what comes before it would still run across the cuts.
        """
        declared = self.bindings.axes[self.axis].declared
        if declared is None:
            return
        try:
            counts = self.moment(declared, ended=True).counts
        except ModelError:
            return  # it is not bound to this length either
        for position, flow in self.flows.items():
            node = self.bindings.graph.nodes[position]
            if isinstance(flow, Scaled) and flow.denominator > 1 and counts[node.outputs[0]] == flow.numerator:
                raise Site(node, self.bindings, self.axis).refuse(
                    f"of the {declared} elements that the network is written for it makes a single group along"
                )

    def _find_grain(self) -> tuple[int, dict[str, int]]:
        """The shortest step after which every value has moved on by a whole number of elements, and always the same."""
        far = self.moment(FAR)
        grain = self._likely_grain(far)
        while True:
            next_to_far = self.moment(FAR + grain)
            rates = {name: next_to_far.counts[name] - count for name, count in far.counts.items()}
            # A few steps between two frames can be alike by chance; in so many each of them would show.
            if all(_moved(far, self.moment(FAR + grain * steps), rates, steps) for steps in (1, 2, 3, FAR)):
                return grain, rates
            grain = self._larger(grain)

    def _likely_grain(self, far: Moment) -> int:
        """The shortest step that moves every value on by a whole number of elements; 1 if it does not divide ROUND."""
        later = self.moment(FAR + ROUND)
        grain = math.lcm(
            *(Fraction(later.counts[name] - count, ROUND).denominator for name, count in far.counts.items())
        )
        return grain if grain < FAR >> 8 else 1

    def _larger(self, grain: int) -> int:
        if grain >= FAR >> 8:
            raise UnsupportedError(f"no step along {self.name!r} is like the next one; this network does not stream")
        return grain + 1

    def _find_ramp(self) -> int:
        """The fewest elements, a multiple of the grain, from which on all values move evenly: found by bisection.

        Every value has begun by then, so that each later step finds what it keeps; if they move evenly from the very
        first element on, this is 0.
        """
        far = self.moment(FAR // self.grain * self.grain)

        def is_steady(steps: int) -> bool:
            moment = self.moment(steps * self.grain)
            begun = not steps or all(moment.counts.values())
            return begun and _moved(moment, far, self.rates, far.arrived // self.grain - steps)

        low, high = -1, 1
        while not is_steady(high):
            low, high = high, 2 * high
            if high * self.grain > FAR // 2:
                raise UnsupportedError(f"the network never becomes steady along {self.name!r}")
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if is_steady(middle) else (middle, high)
        return high * self.grain


def _moved(before: Moment, after: Moment, rates: Mapping[str, int], steps: int) -> bool:
    """Whether every value has moved on by its rate, and so has what is kept of it."""
    return all(
        after.counts[name] - before.counts[name] == rates[name] * steps
        and after.oldest[name] - before.oldest[name] == rates[name] * steps
        for name in rates
    )
