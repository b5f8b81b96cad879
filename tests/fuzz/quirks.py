"""Where another runtime is known to give something else than the specification says, or than anybody specifies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import onnx
from onnx.helper import get_attribute_value


@dataclass(frozen=True)
class Quirk:
    """Of a runtime, in networks that have such a node."""

    runtime: str
    op: str
    reason: str
    attributes: Mapping[str, Any] = field(default_factory=dict)


NEAREST = {"mode": b"nearest"}

QUIRKS = (
    Quirk("onnxruntime", "Resize", "copies where a scale that is not 1 keeps the size"),
    Quirk("onnxruntime", "MaxUnpool", "takes the places for those of output_shape, ONNX's tests for those of X"),
    Quirk(
        "onnx", "Resize", "begins at -0.5 where an axis becomes 1 long; the specification says 0",
        {"coordinate_transformation_mode": b"pytorch_half_pixel"},
    ),
    Quirk("onnx", "Resize", "takes coordinates in float64: between two neighbours, the last bit decides", NEAREST),
    Quirk("onnxruntime", "LRN", "loses small squares in running sums, which bias 0 brings out"),
    Quirk("onnx", "LRN", "takes a whole number for the type of all, a bias of 0"),
    Quirk("onnx", "ConvTranspose", "cuts another end off where output_shape is more than there is"),
    Quirk("onnx", "Softmax", "knows it as it is since operator set 13"),
    Quirk("onnx", "LogSoftmax", "knows it as it is since operator set 13"),
    Quirk("onnx", "Hardmax", "knows it as it is since operator set 13"),
    Quirk("onnx", "ReverseSequence", "takes lengths beyond the axis, of which nothing is specified"),
    Quirk("onnx", "RoiAlign", "takes batch indices beyond the batch, of which nothing is specified"),
)  # fmt: skip


def is_quirk(runtime: str, network: bytes) -> bool:
    """Whether the runtime need not be right about a network."""
    model = onnx.ModelProto.FromString(network)
    return any(_has(model, quirk) for quirk in QUIRKS if quirk.runtime == runtime)


def _has(model: onnx.ModelProto, quirk: Quirk) -> bool:
    for node in model.graph.node:
        if node.op_type == quirk.op:
            values = {attribute.name: get_attribute_value(attribute) for attribute in node.attribute}
            if all(values.get(name) == value for name, value in quirk.attributes.items()):
                return True
    return False
