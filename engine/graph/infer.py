"""The types of one node's outputs, by ONNX's own shape inference, one node at a time."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, TypeProto
from onnx.helper import make_opsetid, make_tensor_type_proto, np_dtype_to_tensor_dtype
from onnx.numpy_helper import from_array
from onnx.shape_inference import InferenceError, infer_node_outputs

from ..errors import ModelError, UnsupportedError
from .agreement import check_agreement
from .attributes import read_attributes, schema_of
from .contrib import CONTRIB_DOMAIN, CONTRIB_VERSION, contrib_types
from .ir import TensorType
from .network import read_type

KNOWN_ELEMENTS = 1024
"""Inference is shown constants of up to this many elements: shapes, axes, sizes, scales are far smaller."""

LIKE_THEIR_INPUT = frozenset({"GroupNormalization", "MeanVarianceNormalization"})
"""Operators for which ONNX has no inference; the specification gives the output the input's type."""

POOLS = frozenset({"AveragePool", "LpPool", "MaxPool"})
"""Operators that slide a window and may have ceil_mode."""

KERNEL_INPUT = {**dict.fromkeys(POOLS), "Conv": 1, "ConvInteger": 1, "QLinearConv": 3}
"""Operators that slide a window over their first input -> the input that has its size, if one has."""


def to_type_proto(value: TensorType) -> TypeProto:
    """Return a bound type as ONNX's message."""
    return make_tensor_type_proto(np_dtype_to_tensor_dtype(value.dtype), value.shape)


class TypeInference:
    """Infers output types in one operator set. Messages of types and constants are made once a value."""

    def __init__(self, opset: int) -> None:
        self._opset = opset
        self._imports = [make_opsetid("", opset), make_opsetid(CONTRIB_DOMAIN, CONTRIB_VERSION)]
        self._types: dict[str, TypeProto] = {}
        self._data: dict[str, TensorProto] = {}

    def outputs(
        self,
        node: NodeProto,
        scope: Mapping[str, str],
        types: Mapping[str, TensorType],
        constants: Mapping[str, np.ndarray],
    ) -> dict[str, TensorType | None]:
        """Return each output's type by the node's own name for it; None where it depends on data.

        `scope` maps the node's names to the graph's, `types` and `constants` go by the graph's.
        Raises ModelError if the inputs do not go together.
        """
        if node.op_type == "STFT":
            node = _with_onesided(node)
        elif node.op_type == "Einsum":
            _check_equation(node)
        input_types, input_data = {}, {}
        for name in filter(None, node.input):
            bound = scope[name]
            if bound not in types:
                raise UnsupportedError(f"{node.op_type} '{node.name}' reads '{name}', a sequence; tensors would work")
            input_types[name] = self._type(bound, types)
            if bound in constants and constants[bound].size <= KNOWN_ELEMENTS:
                input_data[name] = self._datum(bound, constants)
        try:
            inferred = infer_node_outputs(
                schema_of(node.op_type, self._opset, node.domain),
                node,
                input_types,
                input_data,
                opset_imports=self._imports,
            )
        except (InferenceError, onnx.checker.ValidationError, RuntimeError) as error:
            given = ", ".join(f"'{name}' {types[scope[name]]}" for name in node.input if name)
            raise ModelError(
                f"{node.op_type} '{node.name}' can not take the inputs {given}: {_first_line(error)}"
            ) from None
        given_types = [types[scope[name]] if name else None for name in node.input]
        check_agreement(node, given_types, read_attributes(node, self._opset))
        if node.domain == CONTRIB_DOMAIN:
            return contrib_types(node, {name: types[scope[name]] for name in node.input if name})
        if node.op_type in LIKE_THEIR_INPUT:
            return {node.output[0]: types[scope[node.input[0]]]}
        outputs = {name: concrete(inferred.get(name), node) for name in node.output if name}
        if node.op_type == "MaxUnpool" and len(node.input) > 2 and scope[node.input[2]] in constants:
            # ONNX's inference stops at an output_shape.
            shape = tuple(int(size) for size in constants[scope[node.input[2]]])
            return {node.output[0]: TensorType(shape, types[scope[node.input[0]]].dtype)}
        if node.op_type in KERNEL_INPUT:
            kernel = KERNEL_INPUT[node.op_type]
            taps = None if kernel is None else types[scope[node.input[kernel]]].shape[2:]
            return self._with_real_windows(node, types[scope[node.input[0]]], taps, outputs)
        return outputs

    def _with_real_windows(
        self,
        node: NodeProto,
        source: TensorType,
        taps: tuple[int, ...] | None,
        outputs: Mapping[str, TensorType | None],
    ) -> dict[str, TensorType | None]:
        """Correct how many windows a convolution or a pool has, where ONNX's inference counts one that is not there.

        An input that is shorter than a window has none, but a division that rounds towards zero finds one. And a pool's
        last window is dropped where ceil_mode lets it start behind the input, in the padding at the end: the
        specification asks for it ("sliding windows that would start in the right padded region are ignored").

        Args:
            node: the convolution or pool.
            source: what it slides over.
            taps: its kernel's size, if an input has it and no attribute.
            outputs: as inferred.
        """
        attributes = read_attributes(node, self._opset)
        spatial = source.shape[2:]
        ones = [1] * len(spatial)
        kernel: Sequence[int] = attributes.get("kernel_shape") or taps or ones
        strides, dilations = attributes.get("strides") or ones, attributes.get("dilations") or ones
        pads = attributes.get("pads") or [0] * (2 * len(spatial))
        if not attributes.get("ceil_mode") and str(attributes.get("auto_pad", "NOTSET")).startswith("SAME"):
            return dict(outputs)
        adjusted: dict[str, TensorType | None] = {}
        for name, value_type in outputs.items():
            adjusted[name] = value_type
            if value_type is None:
                continue
            counts = list(value_type.shape[2:])
            for axis, (size, stride, before) in enumerate(zip(spatial, strides, pads[: len(spatial)], strict=True)):
                if attributes.get("ceil_mode"):
                    counts[axis] -= int((counts[axis] - 1) * stride >= size + before)
                elif size + before + pads[len(spatial) + axis] < (kernel[axis] - 1) * dilations[axis] + 1:
                    counts[axis] = 0
            adjusted[name] = TensorType((*value_type.shape[:2], *counts), value_type.dtype)
        return adjusted

    def type_of(self, name: str, types: Mapping[str, TensorType]) -> TypeProto:
        """Return a value's type as a message; an empty one for the name of an absent input."""
        return self._type(name, types) if name else TypeProto()

    def _type(self, name: str, types: Mapping[str, TensorType]) -> TypeProto:
        proto = self._types.get(name)
        if proto is None:
            proto = self._types[name] = to_type_proto(types[name])
        return proto

    def _datum(self, name: str, constants: Mapping[str, np.ndarray]) -> TensorProto:
        proto = self._data.get(name)
        if proto is None:
            proto = self._data[name] = from_array(np.asarray(constants[name]), name)
        return proto


def _check_equation(node: NodeProto) -> None:
    """Refuse signs that ONNX's inference never gets past (seen with onnx 1.23)."""
    equation = next((attribute.s for attribute in node.attribute if attribute.name == "equation"), b"")
    if unknown := re.sub(rb"[A-Za-z .,>-]", b"", equation):
        raise ModelError(
            f"Einsum '{node.name}': its equation has {unknown.decode(errors='replace')!r}; "
            "letters, '...', ',' and '->' would work"
        )


def _with_onesided(node: NodeProto) -> NodeProto:
    """An STFT with its attribute onesided written out: its default is 1, but ONNX's inference takes 0."""
    if any(attribute.name == "onesided" for attribute in node.attribute):
        return node
    copy = NodeProto()
    copy.CopyFrom(node)
    copy.attribute.append(onnx.helper.make_attribute("onesided", 1))
    return copy


def concrete(proto: TypeProto | None, node: NodeProto) -> TensorType | None:
    """Return a type whose dimensions are all numbers, else None. Raises UnsupportedError for no dense tensor."""
    if proto is None or proto.WhichOneof("value") is None:
        return None
    dtype, dims = read_type(proto, f"the output of {node.op_type} '{node.name}'")
    if dims is None or not all(isinstance(dim, int) for dim in dims):
        return None
    shape = tuple(dim for dim in dims if isinstance(dim, int))
    if any(dim < 0 for dim in shape):
        raise ModelError(f"{node.op_type} '{node.name}' would have an output of the impossible shape {list(shape)}")
    return TensorType(shape, dtype)


def data_dependent(node: NodeProto, output: str) -> UnsupportedError:
    """Return the error for an output whose shape is not known before data arrive."""
    return UnsupportedError(
        f"{node.op_type} '{node.name}': the shape of its output '{output}' depends on the data; every shape must "
        "follow from the input shapes (bind the values of inputs that shapes are made from: values={...})"
    )


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0]
