"""A plan node by node: how far every value lags the input, and what is kept of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

from .call import Stretch
from .plan import Axis, StreamPlan


@dataclass(frozen=True)
class AxisFact:
    """How a value streams along one axis, once it is steady."""

    rate: Fraction
    """Elements of the value for each element of the inputs."""
    delay: Fraction
    """Elements of the inputs by which it lags them."""
    kept: int
    """Its elements that are kept from step to step."""


@dataclass(frozen=True)
class NodeFact:
    """A value that streams, and the node that makes it."""

    operator: str
    """"input" for what arrives."""
    node: str
    value: str
    reads: tuple[str, ...]
    """Values that stream and that the node reads."""
    axes: tuple[AxisFact, ...]
    """One for each axis of the plan."""
    kept_bytes: int
    """Carried from step to step along the innermost axis; on two axes, for steps of this plan."""


def outline(plan: StreamPlan) -> list[NodeFact]:
    """Facts of every streaming value of a network, in the order in which they are made."""
    stretches = [_steady(axis) for axis in plan.axes]
    bindings = plan.bindings
    made: list[tuple[str, str, str, tuple[str, ...]]] = [("input", "", name, ()) for name in bindings.graph.inputs]
    for node in bindings.graph:
        reads = tuple(name for name in node.reads if bindings.streams(name) and name not in bindings.graph.constants)
        made += [(node.op, node.name, name, reads) for name in node.outputs if name]
    facts = []
    for operator, name, value, reads in made:
        if not bindings.streams(value):
            continue
        axes = tuple(_fact(stretch, value) for stretch in stretches)
        facts.append(NodeFact(operator, name, value, reads, axes, _kept_bytes(plan, stretches, value)))
    return facts


def kept_bytes(plan: StreamPlan, *lengths: int) -> int:
    """What is kept from step to step along the outermost axis, when the signal has `lengths` along the others."""
    outer = _steady(plan.axes[0])
    ends = [axis.moment(length, ended=True) for axis, length in zip(plan.axes[1:], lengths, strict=True)]
    bindings = plan.bindings
    total = 0
    for value in outer.before.counts:
        kept = outer.kept(value).size
        if kept:
            sizes = [kept, *(end.counts.get(value) for end in ends)]
            total += math.prod(bindings.shape(value, sizes)) * bindings.graph.types[value].dtype.itemsize
    return total


def _steady(axis: Axis) -> Stretch:
    """A steady step."""
    return Stretch(axis.timeline, axis.moment(axis.first), axis.moment(axis.first + axis.step))


def _fact(stretch: Stretch, value: str) -> AxisFact:
    before, after = stretch.before, stretch.after
    rate = Fraction(after.counts[value] - before.counts[value], after.arrived - before.arrived)
    delay = before.arrived - before.counts[value] / rate if rate else Fraction(0)
    return AxisFact(rate, delay, stretch.kept(value).size)


def _kept_bytes(plan: StreamPlan, stretches: list[Stretch], value: str) -> int:
    spans = [
        stretch.kept(value) if axis == len(stretches) - 1 else stretch.full(value)
        for axis, stretch in enumerate(stretches)
    ]
    elements = math.prod(plan.bindings.shape(value, [span.size for span in spans]))
    return elements * plan.bindings.graph.types[value].dtype.itemsize
