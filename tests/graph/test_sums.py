"""Sums of 1x1 convolutions become one, and what follows is folded into it."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import NodeProto
from onnx.helper import make_node

from tests.graph.networks import assert_fusion_keeps_numbers, network_proto


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


def fused_operators(*after: NodeProto, kernel: int = 1, stride: int = 1, bias: bool = True) -> list[str]:
    """Two convolutions of inputs a and b and what follows them: the operators in order after fusion."""
    constants = {"v": normal(6, 4, kernel, kernel), "w": normal(6, 3, 1, 1), "c": normal(6), "k": normal(1, 6, 1, 1)}
    constants |= {"scale": normal(6), "shift": normal(6), "mean": normal(6), "var": normal(6) ** 2 + 1}
    pads = [kernel // 2] * 4
    nodes = [
        make_node("Conv", ["a", "v"], ["p"], pads=pads),
        make_node("Conv", ["b", "w", "c"] if bias else ["b", "w"], ["q"], strides=[stride, stride]),
        make_node("Add", ["p", "q"], ["s"]),
        *after,
    ]
    used = {name for node in nodes for name in node.input}
    kept = {name: array for name, array in constants.items() if name in used}
    inputs = {"a": [2, 4, 5, 4], "b": [2, 3, 5 * stride - stride // 2, 4 * stride]}
    outputs = [node.output[0] for node in nodes if node.output[0] not in used]
    return [node.op for node in assert_fusion_keeps_numbers(network_proto(nodes, inputs, outputs, kept)).nodes]


@pytest.mark.parametrize("bias", [False, True])
def test_a_sum_of_pixel_convolutions_is_one(bias: bool) -> None:
    assert fused_operators(bias=bias) == ["Concat", "Conv"]


def test_a_stride_becomes_a_slice() -> None:
    assert fused_operators(stride=2) == ["Slice", "Concat", "Conv"]
    assert fused_operators(stride=3) == ["Slice", "Concat", "Conv"]


def test_what_follows_is_folded() -> None:
    norm = make_node("BatchNormalization", ["s", "scale", "shift", "mean", "var"], ["n"])
    assert fused_operators(norm, make_node("Relu", ["n"], ["y"])) == ["Concat", "Conv"]


def test_other_sums_stay() -> None:
    assert fused_operators(kernel=3) == ["Conv", "Conv", "Add"]
    assert fused_operators(make_node("Neg", ["p"], ["y"])) == ["Conv", "Conv", "Add", "Neg"]
    assert fused_operators(make_node("Exp", ["q"], ["y"])) == ["Conv", "Conv", "Add", "Exp"]
