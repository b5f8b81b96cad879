"""A node in a step: what each streaming axis does to it, and what it is given."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from ...graph import Node, TensorType
from .span import Flow, Span
from .timeline import Moment, Timeline

if TYPE_CHECKING:
    from .step import StepCutter


@dataclass(frozen=True)
class Stretch:
    """What a step does along one axis: from one moment to a later one."""

    timeline: Timeline
    before: Moment
    after: Moment

    @property
    def is_first(self) -> bool:
        """Whether nothing is known from before."""
        return self.before.arrived == 0

    def total(self, name: str) -> int | None:
        """How long a value is in all, if the signal has ended."""
        return self.after.counts[name] if self.after.ended else None

    def full(self, name: str) -> Span:
        """Elements of a value that are known in the step."""
        return Span(self.before.oldest.get(name, 0), self.after.counts[name])

    def new(self, name: str) -> Span:
        """Elements of a value that the step makes."""
        return Span(self.before.counts.get(name, 0), self.after.counts[name])

    def kept(self, name: str) -> Span:
        """Elements of a value that later steps read."""
        return Span(self.after.oldest[name], self.after.counts[name])


class Part(Protocol):
    """Which part of every value a graph makes along one axis: a step's `Stretch`, or an `excerpt`."""

    @property
    def timeline(self) -> Timeline:
        """Of the axis."""
        ...

    @property
    def is_first(self) -> bool:
        """Whether nothing is known from before."""
        ...

    def full(self, name: str) -> Span:
        """Elements of a value that are known."""
        ...

    def new(self, name: str) -> Span:
        """Elements of a value that are made."""
        ...

    def kept(self, name: str) -> Span:
        """Elements of a value that are read later."""
        ...

    def total(self, name: str) -> int | None:
        """How long a value is in all, if that is known."""
        ...


@dataclass(frozen=True)
class Move:
    """What one step does to a node along one axis."""

    axis: int
    """The number of the streaming axis."""
    dim: int
    """Of the node's first streaming input."""
    output_dim: int
    flow: Flow
    made: Span
    read: Span
    """What the flow reads, its padding included."""
    given: Span
    """The part of it that there is; all of it if there is none, and padding is given instead."""
    blank: bool
    """Whether padding is given, because there is nothing else."""

    @property
    def before(self) -> int:
        """How many elements of padding come before what there is."""
        return max(0, self.given.start - self.read.start)

    @property
    def after(self) -> int:
        """How many elements of padding come behind what there is."""
        return max(0, self.read.stop - self.given.stop)


@dataclass(frozen=True)
class Carried:
    """A state of a node's own."""

    name: str
    tensor: TensorType
    axis: int
    """The streaming axis along which the node goes."""
    output: str
    """What the node makes of it."""
    value: str
    """The node's first output."""
    dim: int
    """Where the state has the other streaming axis of that, if there is one."""


@dataclass(frozen=True)
class Call:
    """A node in a step: what it is given, and how far that is from what it reads."""

    node: Node
    inputs: tuple[str, ...]
    """The names of what it is given, in the step's graph."""
    moves: tuple[Move, ...]
    """One for each axis along which it streams."""
    step: StepCutter

    def again(self, **attributes: Any) -> None:
        """Add the node as it is, on what it is given, with some attributes replaced."""
        self.step.add_node(replace(self.node, inputs=self.inputs, attributes={**self.node.attributes, **attributes}))

    def output_shape(self) -> tuple[int, ...]:
        """Shape of the first output in this step."""
        return self.step.shape_of(self.node.outputs[0])
