"""Cuts one step out of a network: a graph that makes of the newest elements all that can be made of them.

Every value is known, in a step, from its first element that is still read to its last: what was kept of it, then what
this step makes. A node reads the part of that which it needs, whatever the delays of its inputs; so branches that lag
each other are aligned here, and nowhere else.

On two axes a step makes a rectangle. What it needs of the rectangles above comes in as `above`, of the same columns;
what it needs of those to the left, with their part of the strip above, is carried from step to step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...errors import UnsupportedError
from ...graph import Graph, Node, TensorType
from .bindings import Bindings
from .call import Call, Carried, Move, Part
from .registry import STREAM_RULES
from .span import Span
from .step_graph import StepGraph, Strip

OPSET = 17
_KEPT, _KEEP, _ABOVE, _BELOW = "kept", "keep", "above", "below"


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
        self._parts: dict[tuple[str, tuple[Span | None, ...]], str] = {}
        self._full: dict[str, str] = {}

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
        streaming = zip(self.bindings.dims[name], self._stretches, strict=True)
        return self._shape(name, [None if dim is None else stretch.new(name) for dim, stretch in streaming])

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

    def carry(self, state: Carried, initial: str) -> str:
        """Hand a node's own state from step to step; returns the name of what the node reads it from.

        initial: what is read at the first step.
        """
        before = f"{state.name}/{_KEPT}"
        if state.output not in self.graph.outputs:
            self.graph.outputs.append(state.output)
        self.graph.types[state.output] = state.tensor
        is_first = self._stretches[state.axis].is_first
        if state.axis == self._inner:
            self.step.carried[before] = state.output
        else:
            self.step.strips[state.name] = Strip(state.value, state.dim, None if is_first else before, state.output)
        if is_first:
            return initial
        self.graph.inputs[before] = self.graph.types[before] = state.tensor
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
        return self.bindings.shape(name, [None if span is None else span.size for span in spans])

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
        moves: list[Move] = []
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
            given = read.within(stretch.full(first))
            blank = not given.size and flow.fill is not None
            moves.append(Move(axis, dim, output_dim, flow, made, read, read if blank else given, blank))
        by_axis = {move.axis: move for move in moves}
        inputs = tuple(self._given(name, by_axis) if name else "" for name in node.inputs)
        return Call(node, inputs, tuple(moves), self)

    def _given(self, name: str, moves: Mapping[int, Move]) -> str:
        """The part of a value that a node is given."""
        if not self.bindings.streams(name):
            return name
        spans: list[Span | None] = [None] * len(self._stretches)
        fill: float | None = None
        source = self.reference.constants.get(name)
        for axis, stretch in enumerate(self._stretches):
            dim = self._dim(name, axis)
            if dim is None:
                continue
            spans[axis] = given = moves[axis].given
            if name in stretch.timeline.uniform:
                assert source is not None
                source = np.repeat(source.take([0], dim), given.size, dim)
            elif moves[axis].blank:
                fill = moves[axis].flow.fill
            elif not given.size or given.within(stretch.full(name)) != given:
                raise UnsupportedError(f"value {name!r}: {given} is read, and {stretch.full(name)} is there")
        key = name, tuple(spans)
        if key not in self._parts:
            label = f"{name}/{'x'.join(f'{span.start}:{span.stop}' for span in spans if span)}"
            if fill is not None:
                source = np.full(self._shape(name, spans), fill, self._dtype(name))
            if source is not None:
                self._parts[key] = self.constant(label, np.ascontiguousarray(source))
            else:
                self._parts[key] = self._cut_out(name, label, spans)
        return self._parts[key]

    def _cut_out(self, name: str, label: str, spans: Sequence[Span | None]) -> str:
        result = self._full[name]
        for axis, span in enumerate(spans):
            dim = self._dim(name, axis)
            if dim is None or span is None:
                continue
            start = self._stretches[axis].full(name).start
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
            across = self._dim(name, self._inner)
            assert across is not None
            self.step.strips[name] = Strip(name, across, above, below)
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
