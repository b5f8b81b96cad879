"""A graph that was bound to one window, at other lengths of what arrives: which of its nodes take them.

A network that was exported for one window has the window's length in its reshapes, its slices and its tables of frames.
`relative` writes these so that they follow from what arrives; what needs the window's own length is left out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from onnx import NodeProto
from onnx.helper import make_node

from ..errors import ModelError, UnsupportedError
from .attributes import schema_of, to_attribute
from .growing import check_reshape
from .infer import TypeInference
from .ir import Graph, Node, TensorType

MOST_PIECES = 64
"""A table of frames becomes so many slices at most."""

_END = np.iinfo(np.int64).max
_OPSET = 17


class Lengthened:
    """The types of a graph's values when its inputs have another length."""

    def __init__(self, graph: Graph, dims: Mapping[str, int], length: int) -> None:
        """Begin with the inputs and constants.

        Args:
            graph: whose constants are read.
            dims: each input -> the dimension that has the other length.
            length: of that dimension.
        """
        self._constants = graph.constants
        self._inferences: dict[int, TypeInference] = {}
        self.types = {name: TensorType(array.shape, array.dtype) for name, array in graph.constants.items()}
        for name, tensor in graph.inputs.items():
            shape = list(tensor.shape)
            shape[dims[name]] = length
            self.types[name] = TensorType(tuple(shape), tensor.dtype)

    def add(self, node: Node) -> None:
        """Find the types of a node's outputs.

        Raises:
            ModelError: it does not take its inputs at these lengths.
        """
        inference = self._inferences.setdefault(node.opset, TypeInference(node.opset))
        scope = {name: name for name in node.reads}
        for name, tensor in inference.outputs(_proto(node), scope, self.types, self._constants).items():
            if tensor is None:
                raise UnsupportedError(f"{node}: the size of {name!r} depends on the data")
            self.types[name] = tensor
        check_reshape(node, self.types)


def lengthened(graph: Graph, dims: Mapping[str, int], length: int) -> Graph:
    """Return what `relative` made with its inputs `length` long along `dims`.

    Raises:
        ModelError: a node does not take that length.
    """
    other = Lengthened(graph, dims, length)
    for node in graph.nodes:
        other.add(node)
    inputs = {name: other.types[name] for name in graph.inputs}
    return Graph(graph.name, inputs, list(graph.outputs), list(graph.nodes), graph.constants, other.types)


def relative(graph: Graph, dims: Mapping[str, int]) -> tuple[Graph, dict[str, str]]:
    """Return the part of a graph that inputs of any length suit, without outputs.

    Every value of it keeps its name, its type and its numbers, and has one dimension that grows with the inputs.

    Args:
        graph: bound to one length; every input arrives along a dimension.
        dims: each input -> that dimension.

    Returns:
        The part; and for the nodes at which it stops, the reason by the node's name.
    """
    return _Relative(graph, dims).taken()


class _Relative:
    """Takes a graph's nodes one by one, written so that they suit any length, as far as that goes."""

    def __init__(self, graph: Graph, dims: Mapping[str, int]) -> None:
        (length,) = {tensor.shape[dims[name]] for name, tensor in graph.inputs.items()}
        self._graph = graph
        self._part = Graph(graph.name, dict(graph.inputs), [], [], dict(graph.constants), {})
        self._here, self._longer = (Lengthened(self._part, dims, length * factor) for factor in (1, 2))

    def taken(self) -> tuple[Graph, dict[str, str]]:
        """See `relative`."""
        reasons: dict[str, str] = {}
        rewritten = {"Reshape": self._reshape, "Slice": self._slice, "Gather": self._frames}
        for node in self._graph.nodes:
            if not all(name in self._longer.types for name in node.reads):
                continue
            rewrite = rewritten.get(node.op)
            pieces = (rewrite and rewrite(node)) or [node]
            try:
                for piece in pieces:
                    self._take(piece)
            except ModelError as error:
                reasons[node.name] = str(error)
                for name in (name for piece in pieces for name in piece.outputs):
                    self._here.types.pop(name, None)
                    self._longer.types.pop(name, None)
            else:
                self._part.nodes += pieces
        self._part.types.update(self._here.types)
        return self._part, reasons

    def _take(self, node: Node) -> None:
        """Find the types of a node's outputs; raise ModelError if one of them does not grow."""
        for length in (self._here, self._longer):
            length.add(node)
        for name in filter(None, node.outputs):
            types = self._here.types[name], self._longer.types[name]
            if self._dim(name) is None:
                raise UnsupportedError(f"{node}: its output {name!r} is {types[0]}, and {types[1]} of twice the length")

    def _dim(self, name: str) -> int | None:
        """The one dimension of a value that grows."""
        shapes = self._here.types[name].shape, self._longer.types[name].shape
        if len(shapes[0]) != len(shapes[1]):
            return None
        dims = [dim for dim, sizes in enumerate(zip(*shapes, strict=True)) if sizes[0] != sizes[1]]
        return dims[0] if len(dims) == 1 else None

    def _constant(self, name: str, values: list[int]) -> str:
        array = self._part.constants[name] = np.array(values, np.int64)
        for length in (self._here, self._longer):
            length.types[name] = TensorType(array.shape, array.dtype)
        return name

    def _reshape(self, node: Node) -> list[Node] | None:
        """The dimension that has as many elements in front of it takes what there is."""
        dim = self._dim(node.inputs[0])
        if dim is None:
            return None
        before, after = (list(self._graph.types[name].shape) for name in (node.inputs[0], node.outputs[0]))
        places = [place for place in range(len(after)) if math.prod(after[:place]) == math.prod(before[:dim])]
        if not places:
            return None
        after[places[-1]] = -1
        shape = self._constant(f"{node.outputs[0]}/relative", after)
        return [Node("Reshape", node.name, (node.inputs[0], shape), node.outputs, {"allowzero": 0}, _OPSET)]

    def _slice(self, node: Node) -> list[Node] | None:
        """Its start counts from the beginning, and its end from the end."""
        given = [self._graph.constants.get(name) for name in node.inputs[1:]]
        dim = self._dim(node.inputs[0])
        if dim is None or len(given) < 2 or given[0] is None or given[1] is None:
            return None
        shape = self._graph.types[node.inputs[0]].shape
        starts, ends = given[0].reshape(-1).tolist(), given[1].reshape(-1).tolist()
        axes, steps = list(range(len(starts))), [1] * len(starts)
        if len(given) > 2 and given[2] is not None:
            axes = [int(axis) % len(shape) for axis in given[2].reshape(-1)]
        if len(given) > 3 and given[3] is not None:
            steps = given[3].reshape(-1).tolist()
        for place, axis in enumerate(axes):
            if axis == dim and steps[place] > 0:
                start, stop, _ = slice(starts[place], ends[place], steps[place]).indices(shape[dim])
                starts[place], ends[place] = start, _from_the_end(stop, shape[dim])
        return [self._sliced(node.inputs[0], node.name, node.outputs[0], (starts, ends, axes, steps))]

    def _frames(self, node: Node) -> list[Node] | None:
        """Frames that a table lists, each as far behind the one before: a slice for each place in a frame."""
        source, table = node.inputs[0], self._graph.constants.get(node.inputs[1])
        dim = self._dim(source)
        shape = self._graph.types[source].shape
        if table is None or dim is None or node.attributes.get("axis", 0) % len(shape) != dim:
            return None
        hops = np.unique(np.diff(table, axis=0)) if table.ndim == 2 else np.array([])
        if hops.size != 1 or hops[0] < 1 or table.min() < 0 or table.shape[1] > MOST_PIECES:
            return None
        output = node.outputs[0]
        axes = self._constant(f"{output}/relative/axes", [dim + 1])
        pieces, columns = [], []
        for place, (first, last) in enumerate(zip(table[0].tolist(), table[-1].tolist(), strict=True)):
            label = f"{output}/relative/{place}"
            bounds = [first], [_from_the_end(last + 1, shape[dim])], [dim], [int(hops[0])]
            pieces.append(self._sliced(source, f"{node.name}/{place}", f"{label}/slice", bounds))
            column = f"{node.name}/{place}/column"
            pieces.append(Node("Unsqueeze", column, (f"{label}/slice", axes), (label,), {}, _OPSET))
            columns.append(label)
        return [*pieces, Node("Concat", node.name, tuple(columns), node.outputs, {"axis": dim + 1}, _OPSET)]

    def _sliced(
        self, source: str, name: str, output: str, bounds: tuple[list[int], list[int], list[int], list[int]]
    ) -> Node:
        """A Slice; bounds: starts, ends, axes, steps."""
        names = [
            self._constant(f"{output}/relative/{what}", values)
            for what, values in zip(("starts", "ends", "axes", "steps"), bounds, strict=True)
        ]
        return Node("Slice", name, (source, *names), (output,), {}, _OPSET)


def _from_the_end(stop: int, length: int) -> int:
    return stop - length if stop < length else _END


def _proto(node: Node) -> NodeProto:
    """A node as ONNX's own shape inference takes it."""
    known = schema_of(node.op, node.opset, node.domain).attributes
    proto = make_node(node.op, node.inputs, node.outputs, name=node.name, domain=node.domain)
    attributes = {key: value for key, value in node.attributes.items() if key in known and value is not None}
    proto.attribute.extend(to_attribute(key, value) for key, value in attributes.items())
    return proto
