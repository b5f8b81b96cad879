"""Specialise: one pass over a network that binds shapes, folds constants and takes the live branches."""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from onnx import FunctionProto, NodeProto

from ..errors import LimitError, ModelError, UnsupportedError
from .attributes import constant_value, read_attributes
from .bind import bind_shapes, bind_values
from .captures import captured_names
from .contrib import CONTRIB_VERSION
from .fold import Folder
from .functions import body_opset, function_body, instantiate
from .infer import TypeInference, data_dependent
from .ir import Graph, Node, Ragged, TensorType
from .load import DEFAULT_DOMAINS
from .loops import UNROLLED, unroll
from .names import Names, names_of
from .network import Network, read_array
from .prune import drop_unread_outputs, prune, rename_value
from .ragged import RAGGED, bounds, unreadable
from .sequences import SEQUENCE_OPS, element_name, lower

SHAPE_OPS = frozenset({"Constant", "Shape", "Size"})

Scope = dict[str, str]
"""A name in the network -> the bound graph's name for that value."""


def specialise(
    network: Network,
    shapes: Mapping[str, Sequence[int]] | None = None,
    values: Mapping[str, ArrayLike] | None = None,
    *,
    operators: Container[str] | None = None,
) -> Graph:
    """Bind a network's input shapes and return its graph.

    `shapes`: input name -> shape; inputs whose dimensions are declared as numbers may be left out.
    `values`: input name -> value; such an input becomes a constant (a sample rate, a flag, a length).
    `operators`: those that the caller can run; one that is not among them, but that ONNX defines by others, is replaced
    by its definition. None: no operator is.

    Constants are folded, `If` on a constant is replaced by its live branch, `Loop` and `Scan` of known length by their
    steps, `Identity`, `Dropout` and `Constant`
    disappear, dead nodes and constants are dropped. Every type of the result is concrete.

    Raises ModelError (shapes that contradict the network or each other), LimitError (a value or constant too large),
    UnsupportedError (a shape or condition that depends on data); each names the node or input.
    """
    bound_values = bind_values(network, values or {})
    types = bind_shapes(network, shapes or {}, bound_values)
    work = _Specialiser(network, operators)
    scope: Scope = {}
    for name, value_type in types.items():
        scope[name] = name
        if name in bound_values:
            work.add_constant(name, bound_values[name])
        else:
            work.check_size(value_type, f"input '{name}'")
            work.types[name] = value_type
    for name, array in network.initializers.items():
        scope[name] = name
        work.add_constant(name, array)
    body = network.model.graph
    work.run(live_nodes(body.node, network.outputs), scope)
    inputs = {name: types[name] for name in network.inputs if name not in bound_values}
    return work.finish(inputs, {name: scope[name] for name in network.outputs})


def live_nodes(nodes: Iterable[NodeProto], wanted: Iterable[str]) -> list[NodeProto]:
    """Return the nodes that the wanted values need, in order."""
    needed = set(wanted)
    live = []
    for node in reversed(list(nodes)):
        if needed.intersection(node.output):
            live.append(node)
            needed.update(node.input)
            needed.update(captured_names([node]))
    live.reverse()
    return live


class _Specialiser:
    """The bound graph while it grows: nodes, constants and types, all by the graph's own names."""

    def __init__(self, network: Network, operators: Container[str] | None) -> None:
        self.network = network
        self.opset = network.opset
        """Of the nodes that are being bound: the body of a function may be written in an older one."""
        self._operators = operators
        self.nodes: list[Node] = []
        self.constants: dict[str, np.ndarray] = {}
        self.types: dict[str, TensorType] = {}
        self._inferences: dict[int, TypeInference] = {}
        self._folders: dict[int, Folder] = {}
        self._node_names = Names()
        self._sequences: dict[str, tuple[str, ...]] = {}
        self._ragged: dict[str, Ragged] = {}
        self._visited = 0
        self._computed_bytes = 0
        # Names that an inlined branch may not take: those of the network's main graph and of loop bodies.
        self._names = Names(names_of(network.model.graph) | set(network.inputs) | set(network.initializers))

    def run(self, nodes: Iterable[NodeProto], scope: Scope, *, inlined: bool = False) -> None:
        """Bind `nodes` in order; adds the values they make to `scope`."""
        for node in nodes:
            self.visit()
            try:
                self._take(node, scope, inlined)
            # A file can contradict itself in any way: axes that are not there, counts that do not agree.
            except (IndexError, KeyError, OverflowError, TypeError, ValueError, ZeroDivisionError) as error:
                raise ModelError(f"{node.op_type} '{node.name}' can not be understood: {error}") from error

    def visit(self) -> None:
        """Count one node, or one step of a loop. Raises LimitError when there have been too many."""
        self._visited += 1
        if self._visited > self.network.limits.nodes:
            raise LimitError(
                f"with its loops, sequences and definitions taken apart the network has more than "
                f"{self.network.limits.nodes} nodes; raise Limits(nodes=...)"
            )

    def _take(self, node: NodeProto, scope: Scope, inlined: bool) -> None:
        """Bind one node, or what stands for it."""
        inputs = [scope[name] if name else "" for name in node.input]
        if node.op_type == "If":
            self._take_branch(node, inputs, scope)
        elif node.op_type in ("Identity", "OptionalGetElement"):
            scope[node.output[0]] = inputs[0]
        elif node.op_type == "Dropout":
            self._drop_dropout(node, inputs, scope, inlined)
        elif node.op_type in SEQUENCE_OPS:
            self._take_apart(node, inputs, scope)
        elif node.op_type in UNROLLED:
            unroll(self, node, inputs, scope)
        elif (body := self._definition(node, inputs)) is not None:
            self._expand(node, body, inputs, scope)
        else:
            self._bind(node, inputs, scope, inlined)

    def add_constant(self, name: str, array: np.ndarray) -> None:
        """Define `name` as a read-only constant."""
        array = np.asarray(array).view()
        array.setflags(write=False)
        self.constants[name] = array
        self.types[name] = TensorType(array.shape, array.dtype)

    def _add_computed(self, node: NodeProto, name: str, array: np.ndarray) -> None:
        """Define a constant that a node gave. Raises LimitError when all of these take too much memory."""
        self._computed_bytes += array.nbytes
        limit = self.network.limits.initializer_bytes
        if self._computed_bytes > limit:
            raise LimitError(
                f"with the output of {node.op_type} '{node.name}' the constants that are worked out take "
                f"{self._computed_bytes} bytes, the limit is {limit}; raise Limits(initializer_bytes=...)"
            )
        self.add_constant(name, array)

    def add_initializer(self, name: str, array: np.ndarray, scope: Scope) -> None:
        """Define a constant of a branch or body under a name that is unique in the graph."""
        self.add_constant(self._define(name, scope, True), array)

    def check_size(self, value_type: TensorType, what: str) -> None:
        """Raise LimitError for a value over the tensor limit."""
        limit = self.network.limits.tensor_bytes
        if value_type.nbytes > limit:
            raise LimitError(
                f"{what} is {value_type}, {value_type.nbytes} bytes; the limit is {limit}; "
                "raise Limits(tensor_bytes=...)"
            )

    def _bind(self, node: NodeProto, inputs: list[str], scope: Scope, inlined: bool) -> None:
        """Infer the node's types, then fold it or append it."""
        for given, name in zip(node.input, inputs, strict=True):
            if name in self._ragged:
                raise unreadable(node, given)
        array = self._value_without_reading(node, inputs)
        if array is not None:
            self._add_computed(node, self._define(node.output[0], scope, inlined), array)
            return
        inferred = self._inference().outputs(node, scope, self.types, self.constants)
        for name, value_type in inferred.items():
            if value_type is not None:
                self.check_size(value_type, f"output '{name}' of {node.op_type} '{node.name}'")
        folder = self._folders.setdefault(self.opset, Folder(self.opset, self.network.limits.folded_elements))
        if folder.can_fold(node, inputs, self.constants, inferred):
            arrays = folder.fold(node, inputs, self.constants, inferred)
            if arrays is not None:
                for name, array in arrays.items():
                    self._add_computed(node, self._define(name, scope, inlined), array)
                return
        self._append(node, inputs, inferred, scope, inlined)

    def _inference(self) -> TypeInference:
        return self._inferences.setdefault(self.opset, TypeInference(self.opset))

    def _definition(self, node: NodeProto, inputs: list[str]) -> FunctionProto | None:
        """Return ONNX's definition of a node that the caller can not run and that has to run."""
        if self._operators is None or node.op_type in self._operators or node.op_type in SHAPE_OPS:
            return None
        if all(name in self.constants for name in inputs if name):
            return None
        return function_body(node, self.opset, [self._inference().type_of(name, self.types) for name in inputs])

    def _expand(self, node: NodeProto, body: FunctionProto, inputs: list[str], scope: Scope) -> None:
        """Put the definition of an operator in its place."""
        nodes = instantiate(body, node, self.opset)
        inner = dict.fromkeys(body.input, "")
        inner.update(zip(body.input, inputs, strict=False))
        around, self.opset = self.opset, body_opset(body, self.opset)
        wanted = [formal for formal, name in zip(body.output, node.output, strict=False) if name]
        try:
            self.run(live_nodes(nodes, wanted), inner, inlined=True)
        finally:
            self.opset = around
        scope.update((name, inner[formal]) for formal, name in zip(body.output, node.output, strict=False) if name)

    def _value_without_reading(self, node: NodeProto, inputs: list[str]) -> np.ndarray | None:
        """Return the value of a node that needs no input's data: Constant, OptionalHasElement, Shape, Size."""
        if node.op_type == "Constant":
            return constant_value(node)
        if node.op_type == "Shape":
            attributes = read_attributes(node, self.opset)
            dims = self.types[inputs[0]].shape
            # Python's slice clamps and counts from the end exactly as the specification of `start` and `end` says.
            return np.array(dims[attributes.get("start", 0) : attributes.get("end")], np.int64)
        if node.op_type == "OptionalHasElement":
            return np.array(any(inputs))
        if node.op_type == "Size":
            return np.array(self.types[inputs[0]].size, np.int64)
        if node.op_type == "Range" and all(name in self.constants for name in inputs):
            # Tensors of one element pass for numbers here: ONNX's own definition of AffineGrid gives some.
            bounds = [self.constants[name].reshape(-1) for name in inputs]
            if all(bound.size == 1 for bound in bounds):
                return self._range(node, *(bound[0] for bound in bounds))
        return None

    def _range(self, node: NodeProto, start: np.generic, limit: np.generic, delta: np.generic) -> np.ndarray:
        """Return start + i * delta, i below ceil((limit - start) / delta), of the bounds' type."""
        dtype = start.dtype
        wide = np.int64 if dtype.kind in "iu" else np.float64
        first, last, step = (np.asarray(bound).astype(wide) for bound in (start, limit, delta))
        if step == 0 or not np.isfinite([first, last, step]).all():
            raise ModelError(
                f"Range '{node.name}' from {first} to {last} by {step} has no end; a delta of 1 would work"
            )
        # Python's integers: the difference of two int64 may be none.
        span, stride = (last.item() - first.item(), step.item())
        count = max(int(-(-span // stride)) if wide is np.int64 else math.ceil(span / stride), 0)
        self.check_size(TensorType((count,), dtype), f"output of Range '{node.name}'")
        return (first + np.arange(count) * step).astype(dtype)

    def _append(
        self,
        node: NodeProto,
        inputs: list[str],
        inferred: Mapping[str, TensorType | None],
        scope: Scope,
        inlined: bool,
    ) -> None:
        """Add a node that has to run."""
        attributes = read_attributes(node, self.opset)
        outputs = []
        for name in node.output:
            if not name:
                outputs.append("")
                continue
            value_type = inferred[name]
            if value_type is None and node.op_type not in RAGGED:
                raise data_dependent(node, name)
            outputs.append(self._define(name, scope, inlined))
            if value_type is not None:
                self.types[outputs[-1]] = value_type
        if node.op_type in RAGGED:
            outputs = self._bound_outputs(node, inputs, outputs, attributes)
        while inputs and not inputs[-1]:
            inputs.pop()
        name = self._node_name(node.name or f"{node.op_type}_{len(self.nodes)}")
        domain, opset = ("", self.opset) if node.domain in DEFAULT_DOMAINS else (node.domain, CONTRIB_VERSION)
        bound = Node(node.op_type, name, tuple(inputs), tuple(outputs), attributes, opset, domain)
        check_counts(bound, self.types)
        self.nodes.append(bound)

    def _bound_outputs(
        self, node: NodeProto, inputs: list[str], outputs: list[str], attributes: Mapping[str, Any]
    ) -> list[str]:
        """Give the outputs of a node their largest types; return them filled up to all, with one that counts behind."""
        limits = bounds(node, inputs, self.types, self.constants, attributes)
        count = self._names.new(f"{next(filter(None, outputs))}.count")
        self.types[count] = TensorType((1,), np.dtype(np.int64))
        for name, bound in zip(outputs, limits, strict=False):
            if name:
                self.check_size(bound.largest, f"output '{name}' of {node.op_type} '{node.name}', at its largest,")
                self.types[name] = bound.largest
                if bound.axis is not None:
                    self._ragged[name] = Ragged(count, bound.axis)
        return [*outputs, *[""] * (len(limits) - len(outputs)), count]

    def _take_branch(self, node: NodeProto, inputs: list[str], scope: Scope) -> None:
        """Put the live branch of an If in its place."""
        condition = self.constants.get(inputs[0])
        if condition is None or condition.size != 1:
            raise UnsupportedError(
                f"If '{node.name}': its condition '{node.input[0]}' depends on the data; a condition that follows from "
                "input shapes or from bound values (values={...}) would work"
            )
        wanted = "then_branch" if condition.item() else "else_branch"
        branch = next(attribute.g for attribute in node.attribute if attribute.name == wanted)
        inner = dict(scope)
        for tensor in branch.initializer:
            self.add_initializer(tensor.name, read_array(tensor), inner)
        names = [value.name for value in branch.output]
        self.run(live_nodes(branch.node, names), inner, inlined=True)
        if len(names) < len(node.output):
            raise ModelError(f"If '{node.name}' has {len(node.output)} outputs, its {wanted} has {len(names)}")
        scope.update((output, inner[name]) for output, name in zip(node.output, names, strict=False) if output)

    def _take_apart(self, node: NodeProto, inputs: list[str], scope: Scope) -> None:
        """Put plain nodes in the place of a sequence operator."""
        room = self.network.limits.nodes - self._visited
        nodes, length = lower(node, inputs, self.types, self.constants, self._sequences, self.opset, room)
        inner = dict(scope)
        elements = self._sequences.get(inputs[0], ()) if inputs else ()
        inner.update((element_name(node.input[0], index), name) for index, name in enumerate(elements))
        self.run(nodes, inner, inlined=True)
        output = node.output[0]
        if length is None:
            scope[output] = inner[output]
        else:
            scope[output] = f"sequence:{len(self._sequences)}"
            self._sequences[scope[output]] = tuple(inner[element_name(output, index)] for index in range(length))

    def _drop_dropout(self, node: NodeProto, inputs: list[str], scope: Scope, inlined: bool) -> None:
        """Hand a Dropout's input on; its mask, if anybody reads it, keeps everything."""
        if len(inputs) > 2 and inputs[2]:
            training = self.constants.get(inputs[2])
            if training is None or training.any():
                raise UnsupportedError(f"Dropout '{node.name}' is in training mode; export the network for inference")
        scope[node.output[0]] = inputs[0]
        if len(node.output) > 1 and node.output[1]:
            dtype = np.dtype(bool) if self.network.opset >= 10 else self.types[inputs[0]].dtype
            mask = np.broadcast_to(np.ones((), dtype), self.types[inputs[0]].shape)
            self.add_constant(self._define(node.output[1], scope, inlined), mask)

    def _define(self, name: str, scope: Scope, inlined: bool) -> str:
        """Name a new value: as the network does, or made unique when it comes from a branch."""
        own = self._names.new(name) if inlined else name
        self._names.add(own)
        scope[name] = own
        return own

    def _node_name(self, wanted: str) -> str:
        return self._node_names.new(wanted)

    def finish(self, inputs: dict[str, TensorType], outputs: Mapping[str, str]) -> Graph:
        """Give the outputs the network's names and drop what nothing reads."""
        graph = Graph(
            self.network.name, inputs, list(outputs), self.nodes, self.constants, self.types, ragged=self._ragged
        )
        final = {name: name for name, bound in outputs.items() if bound == name}
        for name, bound in outputs.items():
            if name in final:
                continue
            if bound in self._sequences:
                raise UnsupportedError(f"output '{name}' is a sequence; tensors would work")
            if bound in self.constants:
                self.add_constant(name, self.constants[bound])
            elif bound in inputs or bound in final:
                # One value under two names that both must stay: the second is a copy.
                source = final.get(bound, bound)
                graph.nodes.append(Node("Identity", self._node_name(name), (source,), (name,), {}, self.network.opset))
                self.types[name] = self.types[source]
                if source in graph.ragged:
                    graph.ragged[name] = graph.ragged[source]
            else:
                rename_value(graph, bound, name)
                final[bound] = name
        graph = drop_unread_outputs(prune(graph))
        for name in (*graph.constants, *graph.outputs):
            if graph.types[name].dtype.hasobject:
                raise UnsupportedError(f"value '{name}' is text; only numbers can be processed")
        return graph


def check_counts(node: Node, types: Mapping[str, TensorType]) -> None:
    """Refuse a Reshape to another number of elements: ONNX's inference lets it pass."""
    if node.op == "Reshape":
        before, after = types[node.inputs[0]], types[node.outputs[0]]
        if before.size != after.size:
            raise ModelError(f"{node}: can not reshape '{node.inputs[0]}' {before} into {list(after.shape)}")
