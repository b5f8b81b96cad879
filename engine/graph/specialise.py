"""Specialise: one pass over a network that binds shapes, folds constants and takes the live branches."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from onnx import FunctionProto, NodeProto

from ..errors import LimitError, ModelError, UnsupportedError
from .bind import bind_shapes, bind_values
from .captures import captured_names
from .fold import Folder
from .functions import body_opset, function_body, instantiate
from .growing import GrowingGraph, Scope
from .infer import TypeInference
from .ir import Graph, Unrolled
from .kept import keep_whole
from .known import SHAPE_OPS, known_value
from .loops import UNROLLED, unroll
from .network import Network, read_array
from .ragged import unreadable
from .sequences import SEQUENCE_OPS, element_name, lower, unstacked


def specialise(
    network: Network,
    shapes: Mapping[str, Sequence[int]] | None = None,
    values: Mapping[str, ArrayLike] | None = None,
    *,
    operators: Container[str] | None = None,
    whole_scans: bool = False,
) -> Graph:
    """Bind a network's input shapes and return its graph.

    `shapes`: input name -> shape; inputs whose dimensions are declared as numbers may be left out.
    `values`: input name -> value; such an input becomes a constant (a sample rate, a flag, a length).
    `operators`: those that the caller can run; one that is not among them, but that ONNX defines by others, is replaced
    by its definition. None: no operator is.
    `whole_scans`: a Scan, or a Loop over the elements of a value, whose steps are alike stays one node, its body bound
    once; `fuse` unrolls it. What is unrolled all the same is in the graph's `unrolled`.

    Constants are folded, `If` on a constant is replaced by its live branch, `Loop` and `Scan` of known length by their
    steps, `Identity`, `Dropout` and `Constant` disappear, dead nodes and constants are dropped. Every type of the
    result is concrete.

    Raises ModelError (shapes that contradict the network or each other), LimitError (a value or constant too large),
    UnsupportedError (a shape or condition that depends on data); each names the node or input.
    """
    bound_values = bind_values(network, values or {})
    types = bind_shapes(network, shapes or {}, bound_values)
    work = _Specialiser(network, operators, whole_scans)
    scope: Scope = {}
    for name, value_type in types.items():
        scope[name] = name
        if name in bound_values:
            work.graph.add_constant(name, bound_values[name])
        else:
            work.graph.check_size(value_type, f"input '{name}'")
            work.types[name] = value_type
    for name, array in network.initializers.items():
        scope[name] = name
        work.graph.add_constant(name, array)
    body = network.model.graph
    work.run(live_nodes(body.node, network.outputs), scope)
    inputs = {name: types[name] for name in network.inputs if name not in bound_values}
    outputs = {name: scope[name] for name in network.outputs}
    for name, bound in outputs.items():
        if bound in work.sequences:
            raise UnsupportedError(f"output '{name}' is a sequence; tensors would work")
        declared, made = network.outputs[name].dtype, work.types[bound].dtype
        if made != declared:
            raise ModelError(
                f"output '{name}' is declared as {declared.name}, but the network makes {made.name}; declaring that "
                "would work"
            )
    return work.graph.finish(inputs, outputs)


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


@dataclass
class _Visits:
    """How many nodes have been taken, those of bodies included."""

    count: int = 0


class _Specialiser:
    """Takes the nodes of a network one by one into a graph that grows."""

    def __init__(
        self, network: Network, operators: Container[str] | None, whole_scans: bool, visits: _Visits | None = None
    ) -> None:
        self.network = network
        self.opset = network.opset
        """Of the nodes that are being bound: the body of a function may be written in an older one."""
        self.graph = GrowingGraph(network)
        self.types = self.graph.types
        self.constants = self.graph.constants
        self.sequences: dict[str, tuple[str, ...]] = {}
        """Name of a sequence -> those of its elements."""
        self.stacks: set[str] = set()
        """Sequences that a Loop which stays one node appends to: each a tensor, its elements along the first axis."""
        self._operators = operators
        self._whole_scans = whole_scans
        self._inferences: dict[int, TypeInference] = {}
        self._folders: dict[int, Folder] = {}
        self._visits = visits or _Visits()

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
        self._visits.count += 1
        if self._visits.count > self.network.limits.nodes:
            raise LimitError(
                f"with its loops, sequences and definitions taken apart the network has more than "
                f"{self.network.limits.nodes} nodes; raise Limits(nodes=...)"
            )

    def beneath(self) -> _Specialiser:
        """One for a graph of its own: the body of a Scan that stays whole."""
        below = _Specialiser(self.network, self._operators, self._whole_scans, self._visits)
        below.opset = self.opset
        return below

    def _take(self, node: NodeProto, scope: Scope, inlined: bool) -> None:
        """Bind one node, or what stands for it."""
        inputs = [scope[name] if name else "" for name in node.input]
        if node.op_type == "If":
            self._take_branch(node, inputs, scope)
        elif node.op_type in ("Identity", "OptionalGetElement"):
            scope[node.output[0]] = inputs[0]
        elif node.op_type == "Dropout":
            self._drop_dropout(node, inputs, scope, inlined)
        elif node.op_type == "ConcatFromSequence" and inputs[0] in self.stacks:
            self.run(unstacked(node, self.types[inputs[0]], self.opset), scope, inlined=True)
        elif node.op_type in SEQUENCE_OPS:
            self._take_apart(node, inputs, scope)
        elif node.op_type in UNROLLED:
            self._take_loop(node, inputs, scope, inlined)
        elif (body := self._definition(node, inputs)) is not None:
            self._expand(node, body, inputs, scope)
        else:
            self._bind(node, inputs, scope, inlined)

    def _take_loop(self, node: NodeProto, inputs: list[str], scope: Scope, inlined: bool) -> None:
        """Keep a loop as one node if it shall be, and can; unroll it otherwise."""
        if not self._whole_scans:
            unroll(self, node, inputs, scope)
            return
        try:
            keep_whole(self, node, inputs, scope, inlined=inlined)
        except ModelError as error:  # if it is the network's fault, unrolling says so
            steps = unroll(self, node, inputs, scope)
            loop = f"{node.op_type} '{node.name or ', '.join(filter(None, node.output))}'"
            self.graph.unrolled.append(Unrolled(loop, steps, str(error)))

    def add_initializer(self, name: str, array: np.ndarray, scope: Scope) -> None:
        """Define a constant of a branch or body under a name that is unique in the graph."""
        self.graph.add_constant(self.graph.define(name, scope, True), array)

    def _bind(self, node: NodeProto, inputs: list[str], scope: Scope, inlined: bool) -> None:
        """Infer the node's types, then fold it or append it."""
        for given, name in zip(node.input, inputs, strict=True):
            if name in self.graph.ragged:
                raise unreadable(node, given)
        array = known_value(node, inputs, self.graph, self.opset)
        if array is not None:
            self.graph.add_computed(node, self.graph.define(node.output[0], scope, inlined), array)
            return
        inferred = self._inference().outputs(node, scope, self.types, self.constants)
        for name, value_type in inferred.items():
            if value_type is not None:
                self.graph.check_size(value_type, f"output '{name}' of {node.op_type} '{node.name}'")
        folder = self._folders.setdefault(self.opset, Folder(self.opset, self.network.limits.folded_elements))
        if folder.can_fold(node, inputs, self.constants, inferred):
            arrays = folder.fold(node, inputs, self.constants, inferred)
            if arrays is not None:
                for name, array in arrays.items():
                    self.graph.add_computed(node, self.graph.define(name, scope, inlined), array)
                return
        self.graph.append(node, inputs, inferred, scope, self.opset, inlined)

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
        room = self.network.limits.nodes - self._visits.count
        nodes, length = lower(node, inputs, self.types, self.constants, self.sequences, self.opset, room)
        inner = dict(scope)
        elements = self.sequences.get(inputs[0], ()) if inputs else ()
        inner.update((element_name(node.input[0], index), name) for index, name in enumerate(elements))
        self.run(nodes, inner, inlined=True)
        output = node.output[0]
        if length is None:
            scope[output] = inner[output]
        else:
            scope[output] = f"sequence:{len(self.sequences)}"
            self.sequences[scope[output]] = tuple(inner[element_name(output, index)] for index in range(length))

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
            self.graph.add_constant(self.graph.define(node.output[1], scope, inlined), mask)
