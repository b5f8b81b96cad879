"""Operators of ONNX Runtime's own domain that its tools write into files: ONNX's registry lacks their definitions.

Source: onnxruntime, docs/ContribOperators.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import numpy as np
import onnx
from onnx import NodeProto
from onnx.defs import OpSchema

from ..errors import ModelError, UnsupportedError
from .ir import TensorType

CONTRIB_DOMAIN = "com.microsoft"
CONTRIB_VERSION = 1
CONTRIB_OPERATORS = frozenset({"DynamicQuantizeLSTM"})

_LSTM_OPSET = 7
"""The LSTM that DynamicQuantizeLSTM is made of: later ones have a layout."""

_WEIGHTS = ("W", "R")


@lru_cache
def contrib_schema(op: str) -> OpSchema:
    """Return the definition of one of CONTRIB_OPERATORS."""
    lstm, formal = onnx.defs.get_schema("LSTM", _LSTM_OPSET, ""), OpSchema.FormalParameter
    return OpSchema(
        op,
        CONTRIB_DOMAIN,
        CONTRIB_VERSION,
        inputs=[
            *(formal(each.name, "T2") if each.name in _WEIGHTS else each for each in lstm.inputs),
            *(formal(f"{of}_{name}", kind) for of in _WEIGHTS for name, kind in (("scale", "T"), ("zero_point", "T2"))),
        ],
        outputs=lstm.outputs,
        type_constraints=[
            ("T", ["tensor(float)"], ""),
            ("T1", ["tensor(int32)"], ""),
            ("T2", ["tensor(int8)", "tensor(uint8)"], ""),
        ],
        attributes=list(lstm.attributes.values()),
    )


def check_contrib(node: NodeProto) -> None:
    """Check one of CONTRIB_OPERATORS as ONNX's checker does what it knows.

    Raises UnsupportedError for an attribute that is not there, ModelError for too few or too many inputs or outputs.
    """
    schema = contrib_schema(node.op_type)
    what = f"node '{node.name or ', '.join(node.output)}' is {node.domain}.{node.op_type}"
    for attribute in node.attribute:
        if attribute.name not in schema.attributes:
            known = ", ".join(sorted(schema.attributes))
            raise UnsupportedError(f"{what} with the attribute '{attribute.name}'; {known} would work")
    given = [*node.input, *[""] * (len(schema.inputs) - len(node.input))]
    optional = OpSchema.FormalParameterOption.Optional
    for formal, name in zip(schema.inputs, given, strict=False):
        if not name and formal.option != optional:
            raise ModelError(f"{what} without its input {formal.name}")
    if len(given) > len(schema.inputs) or len(node.output) > len(schema.outputs):
        raise ModelError(
            f"{what} with {len(node.input)} inputs and {len(node.output)} outputs; there are {len(schema.inputs)} "
            f"and {len(schema.outputs)}"
        )


def contrib_types(node: NodeProto, types: Mapping[str, TensorType]) -> dict[str, TensorType | None]:
    """Return the types of a node's outputs by its own names for them.

    `types`: those of its inputs, likewise. Raises ModelError for a shape that does not go with the others.
    """
    given = {
        formal.name: types[name].shape
        for formal, name in zip(contrib_schema(node.op_type).inputs, node.input, strict=False)
        if name
    }
    for name in ("X", "R"):
        if len(given[name]) != 3:
            raise ModelError(
                f"{node.op_type} '{node.name}': its input {name} has shape {list(given[name])}; it has 3 axes"
            )
    (time, batch, inner), (directions, hidden, _) = given["X"], given["R"]
    scales = (directions,), (directions, 4 * hidden)
    state = ((directions, batch, hidden),)
    allowed = {
        "W": ((directions, inner, 4 * hidden),),
        "R": ((directions, hidden, 4 * hidden),),
        "B": ((directions, 8 * hidden),),
        "sequence_lens": ((batch,),),
        "initial_h": state,
        "initial_c": state,
        "P": ((directions, 3 * hidden),),
    }
    for name, shape in given.items():
        if name != "X" and shape not in allowed.get(name, scales):
            shapes = " or ".join(str(list(each)) for each in allowed.get(name, scales))
            raise ModelError(f"{node.op_type} '{node.name}': its input {name} has shape {list(shape)}, not {shapes}")
    outputs = [(time, directions, batch, hidden), *state, *state]
    return {
        name: TensorType(shape, np.dtype(np.float32)) for name, shape in zip(node.output, outputs, strict=False) if name
    }
