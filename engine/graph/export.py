"""A bound graph written back as an ONNX model: fused activations, biases and norms become nodes again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto
from onnx.helper import (
    find_min_ir_version_for,
    make_graph,
    make_model,
    make_node,
    make_opsetid,
    make_value_info,
)
from onnx.numpy_helper import from_array

from ..errors import ModelError, UnsupportedError
from .attributes import schema_of, to_attribute
from .contrib import CONTRIB_DOMAIN, CONTRIB_VERSION
from .infer import to_type_proto
from .ir import STREAM_DOMAIN, Graph, Node
from .load import OLDEST_OPSET
from .passes.layer_norm import WRITTEN_OUT
from .passes.quantised import RESTORED
from .passes.rewriter import BIAS_INPUT, CONVOLUTIONS, SLOPE_INPUT


def to_model(graph: Graph) -> ModelProto:
    """Return `graph` as an ONNX model with the same inputs, outputs and numbers, for other runtimes to run.

    Carried state stays what it is in ONNX, an input and an output. Raises UnsupportedError for the project's own
    stream operators, ModelError for nodes of operator sets that can not be one.
    """
    opset = _operator_set(graph)
    exporter = _Exporter(graph)
    nodes = [proto for node in graph.nodes for proto in exporter.protos(replace(node, opset=opset))]
    constants = {**graph.constants, **exporter.constants}
    outputs = [make_value_info(name, to_type_proto(graph.types[name])) for name in graph.outputs]
    body = make_graph(
        nodes,
        graph.name,
        [make_value_info(name, to_type_proto(bound)) for name, bound in graph.inputs.items()],
        outputs,
        initializer=[from_array(np.asarray(array), name) for name, array in constants.items()],
    )
    imports = [make_opsetid("", opset)]
    if any(node.domain == CONTRIB_DOMAIN for node in graph.nodes):
        imports.append(make_opsetid(CONTRIB_DOMAIN, CONTRIB_VERSION))
    return make_model(body, opset_imports=imports, ir_version=find_min_ir_version_for(imports[:1]))


def _operator_set(graph: Graph) -> int:
    """The newest operator set of any node: an older node means the same there if its operator has not changed since."""
    nodes = [node for node in graph.nodes if not node.domain]
    newest = max((node.opset for node in nodes), default=OLDEST_OPSET)
    for node in nodes:
        kept = node.attributes.get(WRITTEN_OUT) or node.opset == newest
        if not kept and schema_of(node.op, node.opset).since_version != schema_of(node.op, newest).since_version:
            raise ModelError(
                f"graph '{graph.name}' mixes the operator sets {sorted({one.opset for one in nodes})}, between which "
                f"{node.op} has changed; an ONNX model has one"
            )
    return newest


REDUCTION_AXES_OPSET = 18
"""From here on ReduceMean takes its axes as an input."""

SWISH_OPSET = 24
"""The first that has the operator."""


class _Exporter:
    """Writes nodes; keeps the constants that written-out activations need."""

    def __init__(self, graph: Graph) -> None:
        self.constants: dict[str, np.ndarray] = {}
        self._graph = graph
        self._count = 0

    def protos(self, node: Node) -> Iterator[NodeProto]:
        """Yield the ONNX nodes that one node stands for."""
        if node.domain == STREAM_DOMAIN:
            raise UnsupportedError(f"{node} is a stream operator, which ONNX does not have; export the graph before it")
        if node.attributes.get(WRITTEN_OUT):
            yield from self._layer_norm(node)
            return
        if node.attributes.get(RESTORED):
            yield from self._quantised_and_back(node)
            return
        # Written-out windows include attributes that older operator sets lack, and fusion adds some of its own.
        known = schema_of(node.op, node.opset, node.domain).attributes
        attributes = {key: value for key, value in node.attributes.items() if key in known}
        result = node.outputs[0]
        activation = node.attributes.get("activation")
        inputs = node.inputs[:SLOPE_INPUT] if activation else node.inputs
        bias = ""
        if node.op == "MatMul":
            inputs, bias = inputs[:BIAS_INPUT], inputs[BIAS_INPUT] if len(inputs) > BIAS_INPUT else ""
        plain = replace(node, inputs=inputs)
        before = self._fresh(result) if activation else result
        product = self._fresh(result) if bias else before
        yield self._proto(plain, node.op, node.name, inputs, (product, *node.outputs[1:]), attributes)
        if bias:
            yield self._proto(node, "Add", f"{node.name}.bias", (product, bias), (before,), {})
        if activation == "Swish" and node.opset < SWISH_OPSET:
            gate = self._fresh(result)
            yield self._proto(node, "Sigmoid", f"{node.name}.gate", (before,), (gate,), {})
            yield self._proto(node, "Mul", f"{node.name}.activation", (before, gate), (result,), {})
        elif activation:
            extra, parameters = self._activation(node, activation)
            yield self._proto(node, activation, f"{node.name}.activation", (before, *extra), (result,), parameters)

    def _proto(
        self,
        node: Node,
        op: str,
        name: str,
        inputs: tuple[str, ...],
        outputs: tuple[str, ...],
        attributes: dict[str, Any],
    ) -> NodeProto:
        proto = make_node(op, inputs, outputs, name=name, domain=node.domain)
        proto.attribute.extend(to_attribute(key, value) for key, value in attributes.items() if value is not None)
        return proto

    def _layer_norm(self, node: Node) -> Iterator[NodeProto]:
        """Yield the nodes that a folded LayerNormalization was made of."""
        bound = self._graph.types[node.inputs[0]]
        axes = list(range(node.attributes["axis"], len(bound.shape)))
        by_input = node.opset >= REDUCTION_AXES_OPSET
        extra = (self._constant(node, np.array(axes, np.int64)),) if by_input else ()
        reduction = {"keepdims": 1} if by_input else {"keepdims": 1, "axes": axes}
        epsilon = self._constant(node, np.array(node.attributes["epsilon"], bound.dtype))
        mean, about, squares, variance, total, root, quotient = (self._fresh(node.outputs[0]) for _ in range(7))
        biased = len(node.inputs) > BIAS_INPUT
        scaled = self._fresh(node.outputs[0]) if biased else node.outputs[0]
        steps: list[tuple[str, tuple[str, ...], str]] = [
            ("ReduceMean", (node.inputs[0], *extra), mean),
            ("Sub", (node.inputs[0], mean), about),
            ("Mul", (about, about), squares),
            ("ReduceMean", (squares, *extra), variance),
            ("Add", (variance, epsilon), total),
            ("Sqrt", (total,), root),
            ("Div", (about, root), quotient),
            ("Mul", (quotient, node.inputs[1]), scaled),
        ]
        if biased:
            steps.append(("Add", (scaled, node.inputs[BIAS_INPUT]), node.outputs[0]))
        for number, (op, inputs, output) in enumerate(steps):
            attributes = reduction if op == "ReduceMean" else {}
            yield self._proto(node, op, f"{node.name}.{number}", inputs, (output,), attributes)

    def _quantised_and_back(self, node: Node) -> Iterator[NodeProto]:
        """Yield the two nodes that a QuantizeLinear with a DequantizeLinear behind it was made of."""
        axis, whole = {"axis": node.attributes.get("axis")}, self._fresh(node.outputs[0])
        yield self._proto(node, node.op, node.name, node.inputs, (whole,), axis)
        yield self._proto(node, "DequantizeLinear", f"{node.name}.back", (whole, *node.inputs[1:]), node.outputs, axis)

    def _activation(self, node: Node, activation: str) -> tuple[tuple[str, ...], dict[str, Any]]:
        """Return the further inputs and the attributes of the node that a fused activation stands for."""
        alpha, beta = node.attributes["activation_alpha"], node.attributes["activation_beta"]
        bound = self._graph.types[node.outputs[0]]
        if activation == "PRelu":
            slope = self._graph.constants[node.attributes["slope"]]
            after = len(bound.shape) - 2 if node.op in CONVOLUTIONS else 0
            return (self._constant(node, slope.reshape(-1, *[1] * after)),), {}
        if activation == "Clip" and node.opset < 11:
            return (), {"min": alpha, "max": beta}
        if activation == "Clip":
            dtype = bound.dtype
            return (self._constant(node, np.array(alpha, dtype)), self._constant(node, np.array(beta, dtype))), {}
        if activation in ("LeakyRelu", "Elu", "Swish"):
            return (), {"alpha": alpha}
        if activation == "HardSigmoid":
            return (), {"alpha": alpha, "beta": beta}
        return (), {}

    def _constant(self, node: Node, array: np.ndarray) -> str:
        name = self._fresh(node.outputs[0])
        self.constants[name] = array
        return name

    def _fresh(self, base: str) -> str:
        while True:
            self._count += 1
            name = f"{base}.{self._count}"
            if name not in self._graph.types:
                return name
