"""Operators that take every step of the stream by itself, as long as they do not work along it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ...graph import Node
from ...graph.ir import STREAM_DOMAIN
from .call import Call
from .registry import Site, aligned_unless, same_in_a_step, stream_rule
from .span import ALIGNED, Flow

# fmt: off
POINTWISE = (
    "Abs", "Add", "And", "BatchNormalization", "Cast", "Ceil", "Celu", "Clip", "Cos", "DequantizeLinear", "Div",
    "Dropout", "Elu", "Equal", "Erf", "Exp", "Floor", "Gelu", "Greater", "GreaterOrEqual", "HardSigmoid", "HardSwish",
    "Identity", "LeakyRelu", "Less", "LessOrEqual", "Log", "Max", "Mean", "Min", "Mish", "Mul", "Neg", "Not", "Or",
    "PRelu", "Pow", "QuantizeLinear", "Reciprocal", "Relu", "Round", "Selu", "Shrink", "Sigmoid", "Sign", "Sin",
    "Softplus", "Softsign", "Sqrt", "Sub", "Sum", "Swish", "Tan", "Tanh", "ThresholdedRelu", "Transpose", "Where",
    "Xor",
)
# fmt: on
"""Each output element is made of input elements at its own place."""

_REDUCES = "it sums or searches along"
_NORMALISES = "it normalises along"


def _everywhere(site: Site) -> Flow:
    del site
    return ALIGNED


def _attribute_axis(default: int) -> Callable[[Site], list[int]]:
    return lambda site: [site.node.attributes.get("axis", default)]


def _softmax(site: Site) -> list[int]:
    if site.node.opset < 13:
        axis = site.node.attributes.get("axis", 1)
        return list(range(axis % site.rank(), site.rank()))
    return [site.node.attributes.get("axis", -1)]


def _layer_norm(site: Site) -> list[int]:
    return list(range(site.node.attributes.get("axis", -1) % site.rank(), site.rank()))


def _given_axes(node: Node, site: Site, position: int) -> list[int] | None:
    axes = node.attributes.get("axes")
    if axes is None and position < len(node.inputs) and node.inputs[position]:
        constant = site.constant(position)
        if constant is None:
            return None
        axes = constant.reshape(-1).tolist()
    if not axes:
        return [] if node.attributes.get("noop_with_empty_axes") else list(range(site.rank()))
    return axes


def _product(site: Site) -> Flow:
    """MatMul: rows of the first matrix, columns of the second, or batches of both."""
    first, second = site.dim(0), site.dim(1)
    contracted = first == site.rank(0) - 1 or (second is not None and second == max(0, site.rank(1) - 2))
    if contracted:
        raise site.refuse(_REDUCES)
    return ALIGNED


def _gemm(site: Site) -> Flow:
    inner = (0 if site.node.attributes.get("transA") else 1), (1 if site.node.attributes.get("transB") else 0)
    if site.dim(0) == inner[0] or site.dim(1) == inner[1]:
        raise site.refuse(_REDUCES)
    return ALIGNED


def _einsum(site: Site) -> Flow:
    terms, _, result = site.node.attributes["equation"].replace(" ", "").partition("->")
    dims = [site.dim(position) for position in range(len(site.node.inputs))]
    letters = {term[dim] for term, dim in zip(terms.split(","), dims, strict=True) if dim is not None}
    if "." in terms or not letters <= set(result):
        raise site.refuse(_REDUCES)
    return ALIGNED


def _gather(site: Site) -> Flow:
    if site.dim(0) is not None and site.dim(0) == site.node.attributes.get("axis", 0) % site.rank():
        raise site.refuse("it takes elements at fixed places of")
    return ALIGNED


same_in_a_step(*POINTWISE, flow=_everywhere)
same_in_a_step("Softmax", "LogSoftmax", "Hardmax", flow=aligned_unless(_softmax, _NORMALISES))
same_in_a_step("LpNormalization", flow=aligned_unless(_attribute_axis(-1), _NORMALISES))
same_in_a_step("LayerNormalization", "RMSNormalization", flow=aligned_unless(_layer_norm, _NORMALISES))
same_in_a_step("InstanceNormalization", flow=aligned_unless(lambda site: range(2, site.rank()), _NORMALISES))
same_in_a_step("GroupNormalization", flow=aligned_unless(lambda site: range(1, site.rank()), _NORMALISES))
same_in_a_step("LRN", flow=aligned_unless(lambda site: [1], _NORMALISES))
same_in_a_step("ArgMax", "ArgMin", flow=aligned_unless(_attribute_axis(0), _REDUCES))
same_in_a_step("TopK", flow=aligned_unless(_attribute_axis(-1), _REDUCES))
same_in_a_step("CumSum", flow=aligned_unless(lambda site: _given_axes(site.node, site, 1), _REDUCES))
same_in_a_step("DFT", flow=aligned_unless(lambda site: _given_axes(site.node, site, 2), "it transforms along"))
same_in_a_step("GlobalAveragePool", "GlobalMaxPool", flow=aligned_unless(lambda site: range(2, site.rank()), _REDUCES))
same_in_a_step(
    *(
        f"Reduce{kind}"
        for kind in ("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "Sum", "SumSquare")
    ),
    flow=aligned_unless(lambda site: _given_axes(site.node, site, 1), _REDUCES),
)
same_in_a_step("Split", flow=aligned_unless(_attribute_axis(0), "it cuts fixed parts from"))
same_in_a_step("MatMul", flow=_product)
same_in_a_step("Gemm", flow=_gemm)
same_in_a_step("Einsum", flow=_einsum)
same_in_a_step("Gather", "GatherElements", flow=_gather)
same_in_a_step(
    "RealFft", "InverseRealFft", flow=aligned_unless(lambda site: [-1], "it transforms along"), domain=STREAM_DOMAIN
)


@stream_rule("Expand", flow=_everywhere)
def cut_expand(call: Call) -> None:
    """Expand to the shape that the output has in this step."""
    shape = call.step.constant(f"{call.node.name}/shape", np.array(call.output_shape(), np.int64))
    call.step.add_node(Node("Expand", call.node.name, (call.inputs[0], shape), call.node.outputs, {}, 13))
