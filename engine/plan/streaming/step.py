"""Cuts one step out of a network: a graph that makes of the newest elements all that can be made of them.

Every value is known, in a step, from its first element that is still read to its last: what was kept of it, then what
this step makes. A node reads the part of that which it needs, whatever the delays of its inputs; so branches that lag
each other are aligned here, and nowhere else.

On two axes a step makes a rectangle. What it needs of the rectangles above comes in as `above`, of the same columns;
what it needs of those to the left, with their part of the strip above, is carried from step to step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np

from ...errors import UnsupportedError
from ...graph import Graph, Node, TensorType
from .bindings import Bindings
from .registry import STREAM_RULES, Move
from .span import Span
from .timeline import Moment, Timeline

OPSET = 17
_KEPT, _KEEP, _ABOVE, _BELOW = "kept", "keep", "above", "below"


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


@dataclass
class StepGraph:
    """A step of a network as a graph of its own, and what has to be handed from step to step."""

    graph: Graph
    carried: dict[str, str] = field(default_factory=dict)
    """Input of the next step along the innermost axis -> the output of this one that holds its value."""
    strips: dict[str, tuple[str | None, str | None]] = field(default_factory=dict)
    """Value -> input for its elements above, and output of those for the steps below."""
    initial: dict[str, np.ndarray] = field(default_factory=dict)
    """What inputs of `carried` hold before the first step, where that is not zero."""


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


class StepCutter:
    """Builds one step's graph."""

    def __init__(self, bindings: Bindings, stretches: Sequence[Part]) -> None:
        self.bindings = bindings
        self.reference = bindings.graph
        self._stretches = tuple(stretches)
        self._inner = len(self._stretches) - 1
        source = bindings.graph
        self.graph = Graph(source.name, {}, [], [], dict(source.constants), {})
        self.graph.types.update({name: source.types[name] for name in source.constants})
        self.step = StepGraph(self.graph)
        self._parts: dict[tuple[str, tuple[Span, ...]], str] = {}
        self._full: dict[str, str] = {}
        self.is_first = self._stretches[self._inner].is_first

    def cut(self) -> StepGraph:
        """Build the graph.

        Raises:
            UnsupportedError: a node can not be cut like this.
        """
        source = self.reference
        for name, tensor in source.inputs.items():
            if self.bindings.streams(name):
                if self._is_made(name):
                    self.graph.inputs[name] = self.type_of(name)
                    self.graph.types[name] = self.graph.inputs[name]
                self._hand_on(name)
            else:
                self.graph.inputs[name] = self.graph.types[name] = tensor
        for position, node in enumerate(source.nodes):
            self._take(position, node)
        self.graph.outputs = [name for name in source.outputs if self._is_made(name)] + self.graph.outputs
        return self.step

    def shape_of(self, name: str) -> tuple[int, ...]:
        """Shape of what the step makes of a value."""
        return self._shape(
            name,
            [
                stretch.new(name) if self._dim(name, axis) is not None else None
                for axis, stretch in enumerate(self._stretches)
            ],
        )

    def type_of(self, name: str) -> TensorType:
        """Type of what the step makes of a value."""
        return TensorType(self.shape_of(name), self.reference.types[name].dtype)

    def add_node(self, node: Node) -> None:
        """Add a node whose outputs are what the step makes of these values, or have a type already."""
        for name in node.outputs:
            if name and name not in self.graph.types:
                self.graph.types[name] = (
                    self.type_of(name) if self.bindings.streams(name) else self.reference.types[name]
                )
        self.graph.nodes.append(node)

    def add(
        self, op: str, name: str, inputs: Sequence[str], shape: Sequence[int], dtype: np.dtype, **attributes: Any
    ) -> str:
        """Add a node of ONNX's with one output of any shape, called `name`."""
        self.graph.types[name] = TensorType(tuple(shape), dtype)
        self.graph.nodes.append(Node(op, name, tuple(inputs), (name,), attributes, OPSET))
        return name

    def constant(self, name: str, array: np.ndarray) -> str:
        """Add a constant."""
        self.graph.constants[name] = array
        self.graph.types[name] = TensorType(array.shape, array.dtype)
        return name

    def slice(self, source: str, name: str, dim: int, part: Span, *, always: bool = False) -> str:
        """Elements of a tensor along one dimension, counted from its own first: it itself, unless `always`, if all."""
        tensor = self.graph.types[source]
        if part == (0, tensor.shape[dim]) and not always:
            return source
        shape = (*tensor.shape[:dim], part.size, *tensor.shape[dim + 1 :])
        bounds = [
            self.constant(f"{name}/{what}", np.array([value], np.int64))
            for what, value in (("start", part.start), ("stop", part.stop), ("axis", dim))
        ]
        return self.add("Slice", name, (source, *bounds), shape, tensor.dtype)

    def carry(self, node: Node, what: str, shape: tuple[int, ...], initial: str, output: str) -> str:
        """A state of a node's own: the name of the input to read; `output` is made by the node.

        initial: what is read at the first step.
        """
        before = f"{node.name}/{what}/{_KEPT}"
        if output not in self.graph.outputs:
            self.graph.outputs.append(output)
        tensor = TensorType(shape, np.dtype(np.float32))
        self.graph.types[output] = tensor
        self.step.carried[before] = output
        if self.is_first:
            return initial
        self.graph.inputs[before] = self.graph.types[before] = tensor
        if initial:
            self.step.initial[before] = self.graph.constants[initial]
        return before

    def _dim(self, name: str, axis: int) -> int | None:
        return self.bindings.dims[name][axis]

    def _is_made(self, name: str) -> bool:
        return all(
            self._dim(name, axis) is None or stretch.new(name).size > 0 for axis, stretch in enumerate(self._stretches)
        )

    def _shape(self, name: str, spans: Sequence[Span | None]) -> tuple[int, ...]:
        shape = list(self.reference.types[name].shape)
        for axis, span in enumerate(spans):
            dim = self._dim(name, axis)
            if dim is not None and span is not None:
                shape[dim] = span.size
        return tuple(shape)

    def _take(self, position: int, node: Node) -> None:
        if not any(position in stretch.timeline.flows for stretch in self._stretches):
            self.graph.nodes.append(node)
            for name in filter(None, node.outputs):
                self.graph.types[name] = self.reference.types[name]
            return
        streaming = [name for name in node.outputs if name and self.bindings.streams(name)]
        if self._is_made(streaming[0]):
            call = self._call(position, node)
            rule = STREAM_RULES[node.domain, node.op]
            if rule.cut is None:
                call.again()
            else:
                rule.cut(call)
        for name in streaming:
            self._hand_on(name)

    def _call(self, position: int, node: Node) -> Call:
        moves = []
        for axis, stretch in enumerate(self._stretches):
            flow = stretch.timeline.flows.get(position)
            if flow is None:
                continue
            first = next(
                name
                for name in node.reads
                if self._dim(name, axis) is not None and name not in stretch.timeline.uniform
            )
            output = next(name for name in node.outputs if name and self._dim(name, axis) is not None)
            dim, output_dim = self._dim(first, axis), self._dim(output, axis)
            assert dim is not None
            assert output_dim is not None
            made = stretch.new(output)
            read = flow.reads(made, stretch.total(first))
            moves.append((axis, Move(dim, output_dim, flow, made, read, read.within(stretch.full(first)))))
        inputs = tuple(self._given(name, dict(moves)) if name else "" for name in node.inputs)
        return Call(node, inputs, tuple(move for _, move in moves), self)

    def _given(self, name: str, moves: Mapping[int, Move]) -> str:
        """The part of a value that a node is given."""
        if not self.bindings.streams(name):
            return name
        spans = []
        source = self.reference.constants.get(name)
        for axis, stretch in enumerate(self._stretches):
            dim = self._dim(name, axis)
            if dim is None:
                continue
            given = moves[axis].given
            if name in stretch.timeline.uniform:
                assert source is not None
                source = np.repeat(source.take([0], dim), given.size, dim)
            else:
                full = stretch.full(name)
                if given.stop > full.stop or given.start < full.start:
                    raise UnsupportedError(f"value {name!r}: {given} is read, and {full} is there")  # a rule is wrong
            if not given.size:
                return ""
            spans.append(given)
        key = name, tuple(spans)
        if key not in self._parts:
            label = f"{name}/{'x'.join(f'{span.start}:{span.stop}' for span in spans)}"
            if source is not None:
                self._parts[key] = self.constant(label, np.ascontiguousarray(source))
            else:
                self._parts[key] = self._cut_out(name, label, spans)
        return self._parts[key]

    def _cut_out(self, name: str, label: str, spans: Sequence[Span]) -> str:
        result = self._full[name]
        for axis, span in enumerate(spans):
            start = self._stretches[axis].full(name).start
            dim = self._dim(name, axis)
            assert dim is not None
            result = self.slice(result, f"{label}/{axis}", dim, Span(span.start - start, span.stop - start))
        return result

    def _hand_on(self, name: str) -> None:
        """Join what was kept of a value with what is new, and keep what will be read."""
        parts = name if self._is_made(name) else None
        if self._inner:
            parts = self._join_strip(name, parts)
        stretch, dim = self._stretches[self._inner], self._dim(name, self._inner)
        if dim is None:
            raise UnsupportedError(f"value {name!r} streams along one axis and not along the other")
        full, new = stretch.full(name), stretch.new(name)
        old = Span(full.start, new.start)
        if old.size:
            shape = self._rows(name, old)
            kept = f"{name}/{_KEPT}"
            self.graph.inputs[kept] = self.graph.types[kept] = TensorType(shape, self._dtype(name))
            parts = kept if parts is None else self._concat(f"{name}/full", [kept, parts], dim)
        if parts is None:
            return
        self._full[name] = parts
        later = stretch.kept(name)
        if later.size:
            keep = self._keep(parts, f"{name}/{_KEEP}", dim, later, full.start, self._inner, name)
            self.graph.outputs.append(keep)
            self.step.carried[f"{name}/{_KEPT}"] = keep
            fill = stretch.timeline.fill(name)
            if fill:
                self.step.initial[f"{name}/{_KEPT}"] = np.full(self._rows(name, later), fill, self._dtype(name))

    def _join_strip(self, name: str, new: str | None) -> str | None:
        """Put what is above in front of what is new, in the same columns, and hand on what steps below will read."""
        stretch, dim = self._stretches[0], self._dim(name, 0)
        if dim is None:
            raise UnsupportedError(f"value {name!r} streams along one axis and not along the other")
        columns = self._stretches[1].new(name)
        if not columns.size:
            return None
        full = stretch.full(name)
        old = Span(full.start, stretch.new(name).start)
        above = None
        if old.size:
            above = f"{name}/{_ABOVE}"
            self.graph.inputs[above] = self.graph.types[above] = TensorType(
                self._shape(name, (old, columns)), self._dtype(name)
            )
            new = above if new is None else self._concat(f"{name}/columns", [above, new], dim)
        later = stretch.kept(name)
        below = None
        if later.size and new is not None:
            below = self._keep(new, f"{name}/{_BELOW}", dim, later, full.start, 0, name)
            self.graph.outputs.append(below)
        if above or below:
            self.step.strips[name] = above, below
        return new

    def _keep(self, source: str, name: str, dim: int, later: Span, start: int, axis: int, value: str) -> str:
        """The last elements of a tensor under a name of its own; before the first element, what readers pad with."""
        tensor = self.graph.types[source]
        if later.start < start:
            fill = self._stretches[axis].timeline.fill(value)
            assert fill is not None
            padded = (*tensor.shape[:dim], start - later.start, *tensor.shape[dim + 1 :])
            front = self.constant(f"{name}/front", np.full(padded, fill, tensor.dtype))
            return self._concat(name, [front, source], dim)
        part = self.slice(source, name, dim, Span(later.start - start, later.stop - start))
        return part if part == name else self.add("Identity", name, (part,), tensor.shape, tensor.dtype)

    def _rows(self, name: str, columns: Span) -> tuple[int, ...]:
        if not self._inner:
            return self._shape(name, (columns,))
        return self._shape(name, (self._stretches[0].full(name), columns))

    def _concat(self, name: str, parts: Sequence[str], dim: int) -> str:
        tensors = [self.graph.types[part] for part in parts]
        shape = list(tensors[0].shape)
        shape[dim] = sum(tensor.shape[dim] for tensor in tensors)
        return self.add("Concat", name, parts, shape, tensors[0].dtype, axis=dim)

    def _dtype(self, name: str) -> np.dtype:
        return self.reference.types[name].dtype
