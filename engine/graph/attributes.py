"""Attributes of an operator as plain Python, and back."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import onnx
from onnx import AttributeProto, GraphProto, NodeProto
from onnx.defs import OpSchema
from onnx.helper import get_attribute_value, make_attribute

from ..errors import UnsupportedError
from .contrib import CONTRIB_DOMAIN, contrib_schema
from .network import read_array


def read_attributes(node: NodeProto, opset: int) -> dict[str, Any]:
    """Return a node's attributes with the operator's defaults filled in.

    int, float, str, lists of these, np.ndarray for tensors, GraphProto for bodies.
    """
    values = dict(_defaults(node.op_type, opset, node.domain))
    for attribute in node.attribute:
        values[attribute.name] = read_attribute(attribute, node)
    return values


def read_attribute(attribute: AttributeProto, node: NodeProto) -> Any:
    """Return one attribute's value as plain Python."""
    kind = attribute.type
    if kind == AttributeProto.TENSOR:
        return read_array(attribute.t)
    if kind == AttributeProto.STRING:
        return _text(attribute.s)
    if kind == AttributeProto.STRINGS:
        return [_text(value) for value in attribute.strings]
    if kind in (AttributeProto.INTS, AttributeProto.FLOATS):
        return list(get_attribute_value(attribute))
    if kind in (AttributeProto.INT, AttributeProto.FLOAT, AttributeProto.GRAPH):
        return get_attribute_value(attribute)
    kind_name = AttributeProto.AttributeType.Name(kind)
    raise UnsupportedError(
        f"{node.op_type} '{node.name}': attribute '{attribute.name}' is of kind {kind_name}; "
        "numbers, strings, tensors and graphs would work"
    )


def _text(value: bytes) -> str:
    return value.decode("utf-8", errors="replace")


@lru_cache(maxsize=1024)
def schema_of(op: str, opset: int, domain: str = "") -> OpSchema:
    """Return the definition of an operator in an operator set: the default domain's, or ONNX Runtime's own."""
    if domain == CONTRIB_DOMAIN:
        return contrib_schema(op)
    return onnx.defs.get_schema(op, opset, "")


@lru_cache(maxsize=1024)
def _defaults(op: str, opset: int, domain: str) -> tuple[tuple[str, Any], ...]:
    defaults = []
    for name, attribute in schema_of(op, opset, domain).attributes.items():
        default = attribute.default_value
        if default.type in (AttributeProto.INT, AttributeProto.FLOAT):
            defaults.append((name, get_attribute_value(default)))
        elif default.type == AttributeProto.STRING:
            defaults.append((name, _text(default.s)))
    return tuple(defaults)


def to_attribute(name: str, value: Any) -> AttributeProto:
    """Return a plain Python value as an ONNX attribute."""
    if isinstance(value, GraphProto):
        return make_attribute(name, value)
    if hasattr(value, "dtype"):
        return make_attribute(name, onnx.numpy_helper.from_array(value))
    if isinstance(value, list) and not value:
        return make_attribute(name, value, attr_type=AttributeProto.INTS)
    return make_attribute(name, value)


def constant_value(node: NodeProto) -> np.ndarray:
    """Return the value of a Constant node."""
    attribute = node.attribute[0]
    if attribute.name == "value":
        return read_array(attribute.t)
    if attribute.name in ("value_int", "value_ints"):
        return np.array(attribute.i if attribute.name == "value_int" else list(attribute.ints), np.int64)
    if attribute.name in ("value_float", "value_floats"):
        return np.array(attribute.f if attribute.name == "value_float" else list(attribute.floats), np.float32)
    raise UnsupportedError(f"Constant '{node.name}' has '{attribute.name}'; a dense tensor of numbers would work")
