"""Operators that ONNX itself defines by other operators: replaced by that definition where the caller has no better."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, cast

import onnx
from onnx import AttributeProto, FunctionProto, NodeProto, TypeProto

from .attributes import schema_of
from .limits import subgraphs
from .load import DEFAULT_DOMAINS

SHAPED_DEFINITIONS: Mapping[str, Sequence[int]] = {"AffineGrid": (1,), "CenterCropPad": (1,)}
"""Operator that is defined by others -> the inputs that shapes follow from in its definition."""


class _FunctionSchema(Protocol):
    """What `OpSchema` has and onnx's type stubs leave out: an operator's definitions by other operators."""

    @property
    def has_function(self) -> bool: ...
    @property
    def has_context_dependent_function(self) -> bool: ...
    @property
    def function_opset_versions(self) -> Sequence[int]: ...
    @property
    def context_dependent_function_opset_versions(self) -> Sequence[int]: ...

    def get_function_with_opset_version(self, version: int, /) -> bytes | FunctionProto: ...
    def get_context_dependent_function_with_opset_version(
        self, version: int, node: bytes, types: Sequence[bytes], /
    ) -> bytes: ...


def _function_schema(op: str, opset: int) -> _FunctionSchema:
    return cast(_FunctionSchema, schema_of(op, opset))


def function_body(node: NodeProto, opset: int, inputs: Sequence[TypeProto]) -> FunctionProto | None:
    """Return ONNX's definition of a node's operator for inputs of these types; None if it has none.

    `inputs`: a type for each of the node's inputs, an empty message for an absent one.
    """
    schema = _function_schema(node.op_type, opset)
    versions = [version for version in schema.context_dependent_function_opset_versions if version <= opset]
    if versions:
        types = [proto.SerializeToString() for proto in inputs]
        body = schema.get_context_dependent_function_with_opset_version(max(versions), node.SerializeToString(), types)
        return FunctionProto.FromString(body) if body else None
    versions = [version for version in schema.function_opset_versions if version <= opset]
    if versions:
        body = schema.get_function_with_opset_version(max(versions))
        return FunctionProto.FromString(body) if isinstance(body, bytes) else body
    return None


def is_defined_by_others(op: str) -> bool:
    """Tell whether ONNX defines an operator of the default domain by others in its newest operator set."""
    schema = _function_schema(op, onnx.defs.onnx_opset_version())
    return schema.has_function or schema.has_context_dependent_function


def body_opset(body: FunctionProto, opset: int) -> int:
    """Return the operator set that the body's nodes are written in."""
    return next((entry.version for entry in body.opset_import if entry.domain in DEFAULT_DOMAINS), opset)


def instantiate(body: FunctionProto, node: NodeProto, opset: int) -> list[NodeProto]:
    """Return the body's nodes with references to attributes replaced by the node's values, or by their defaults."""
    values = {name: default.default_value for name, default in schema_of(node.op_type, opset).attributes.items()}
    values = {name: value for name, value in values.items() if value.type != AttributeProto.UNDEFINED}
    values.update((attribute.name, attribute) for attribute in body.attribute_proto)
    values.update((attribute.name, attribute) for attribute in node.attribute)
    nodes = []
    for original in body.node:
        copy = NodeProto()
        copy.CopyFrom(original)
        _resolve(copy, values)
        nodes.append(copy)
    return nodes


def _resolve(node: NodeProto, values: Mapping[str, AttributeProto]) -> None:
    """Fill in, in place, what refers to an attribute of the function; what has no value is left out."""
    kept = []
    for attribute in node.attribute:
        if attribute.ref_attr_name:
            if attribute.ref_attr_name not in values:
                continue
            filled = AttributeProto()
            filled.CopyFrom(values[attribute.ref_attr_name])
            filled.name = attribute.name
            kept.append(filled)
        else:
            kept.append(attribute)
    kept = [AttributeProto.FromString(attribute.SerializeToString()) for attribute in kept]
    del node.attribute[:]
    node.attribute.extend(kept)
    for graph in subgraphs(node):
        for inner in graph.node:
            _resolve(inner, values)
