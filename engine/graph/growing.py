"""The bound graph while it grows: nodes, constants and types by names of its own, within the network's limits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from onnx import NodeProto

from ..errors import LimitError, ModelError, UnsupportedError
from .attributes import read_attributes
from .contrib import CONTRIB_VERSION
from .infer import data_dependent
from .ir import Graph, Node, Ragged, TensorType, Unrolled
from .load import DEFAULT_DOMAINS
from .names import Names, names_of
from .network import Network
from .prune import drop_unread_outputs, prune, rename_value
from .ragged import RAGGED, bounds

Scope = dict[str, str]
"""A name in the network -> the bound graph's name for that value."""


class GrowingGraph:
    """What a specialisation has bound so far."""

    def __init__(self, network: Network) -> None:
        self.nodes: list[Node] = []
        self.constants: dict[str, np.ndarray] = {}
        self.types: dict[str, TensorType] = {}
        self.ragged: dict[str, Ragged] = {}
        self.unrolled: list[Unrolled] = []
        self._network = network
        self._computed_bytes = 0
        self._node_names = Names()
        # Names that an inlined branch may not take: those of the network's main graph and of loop bodies.
        self._names = Names(names_of(network.model.graph) | set(network.inputs) | set(network.initializers))

    def define(self, name: str, scope: Scope, inlined: bool) -> str:
        """Name a new value: as the network does, or made unique when it comes from a branch."""
        own = self._names.new(name) if inlined else name
        self._names.add(own)
        scope[name] = own
        return own

    def add_constant(self, name: str, array: np.ndarray) -> None:
        """Define `name` as a read-only constant."""
        array = np.asarray(array).view()
        array.setflags(write=False)
        self.constants[name] = array
        self.types[name] = TensorType(array.shape, array.dtype)

    def add_computed(self, node: NodeProto, name: str, array: np.ndarray) -> None:
        """Define a constant that a node gave. Raises LimitError when all of these take too much memory."""
        self._computed_bytes += array.nbytes
        limit = self._network.limits.initializer_bytes
        if self._computed_bytes > limit:
            raise LimitError(
                f"with the output of {node.op_type} '{node.name}' the constants that are worked out take "
                f"{self._computed_bytes} bytes, the limit is {limit}; raise Limits(initializer_bytes=...)"
            )
        self.add_constant(name, array)

    def check_size(self, value_type: TensorType, what: str) -> None:
        """Raise LimitError for a value over the tensor limit."""
        limit = self._network.limits.tensor_bytes
        if value_type.nbytes > limit:
            raise LimitError(
                f"{what} is {value_type}, {value_type.nbytes} bytes; the limit is {limit}; "
                "raise Limits(tensor_bytes=...)"
            )

    def append(
        self,
        node: NodeProto,
        inputs: list[str],
        inferred: Mapping[str, TensorType | None],
        scope: Scope,
        opset: int,
        inlined: bool,
        attributes: Mapping[str, Any] | None = None,
    ) -> None:
        """Add a node that has to run.

        `inferred` has the types of its outputs by the file's names; `attributes` are those of the file if None.
        """
        attributes = read_attributes(node, opset) if attributes is None else dict(attributes)
        outputs = []
        for name in node.output:
            if not name:
                outputs.append("")
                continue
            value_type = inferred[name]
            if value_type is None and node.op_type not in RAGGED:
                raise data_dependent(node, name)
            outputs.append(self.define(name, scope, inlined))
            if value_type is not None:
                self.types[outputs[-1]] = value_type
        if node.op_type in RAGGED:
            outputs = self._bound_outputs(node, inputs, outputs, attributes)
        while inputs and not inputs[-1]:
            inputs.pop()
        name = self._node_names.new(node.name or f"{node.op_type}_{len(self.nodes)}")
        domain, version = ("", opset) if node.domain in DEFAULT_DOMAINS else (node.domain, CONTRIB_VERSION)
        bound = Node(node.op_type, name, tuple(inputs), tuple(outputs), attributes, version, domain)
        check_reshape(bound, self.types)
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
                    self.ragged[name] = Ragged(count, bound.axis)
        return [*outputs, *[""] * (len(limits) - len(outputs)), count]

    def finish(self, inputs: dict[str, TensorType], outputs: Mapping[str, str]) -> Graph:
        """Give the outputs the network's names and drop what nothing reads.

        `outputs`: name in the network -> the graph's. Raises UnsupportedError where a value of the result is text.
        """
        graph = Graph(
            self._network.name,
            inputs,
            list(outputs),
            self.nodes,
            self.constants,
            self.types,
            ragged=self.ragged,
            unrolled=tuple(self.unrolled),
        )
        final = {name: name for name, bound in outputs.items() if bound == name}
        for name, bound in outputs.items():
            if name in final:
                continue
            if bound in self.constants:
                self.add_constant(name, self.constants[bound])
            elif bound in inputs or bound in final:
                # One value under two names that both must stay: the second is a copy.
                source = final.get(bound, bound)
                graph.nodes.append(
                    Node("Identity", self._node_names.new(name), (source,), (name,), {}, self._network.opset)
                )
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


def check_reshape(node: Node, types: Mapping[str, TensorType]) -> None:
    """Refuse a Reshape to another number of elements: ONNX's inference lets it pass."""
    if node.op == "Reshape":
        before, after = types[node.inputs[0]], types[node.outputs[0]]
        if before.size != after.size:
            raise ModelError(f"{node}: can not reshape '{node.inputs[0]}' {before} into {list(after.shape)}")
