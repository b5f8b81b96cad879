"""Fusion of quantised values: limits go only where integers have them, and only pairs that agree are joined."""

from __future__ import annotations

import numpy as np
import pytest
from onnx.helper import make_node

from tests.graph.networks import Constants, assert_fusion_keeps_numbers, network_proto

SIX = {"low": np.array(0, np.float32), "high": np.array(6, np.float32)}


def fused(
    limit: list[str], scale: float, zero_point: int, dtype: str = "int8", more: Constants | None = None
) -> list[str]:
    """Operators that are left of: limit, quantise, dequantise."""
    constants: Constants = {"s": np.array(scale, np.float32), "z": np.array(zero_point, dtype), **(more or {})}
    nodes = [
        make_node(limit[0], ["x", *limit[1:]], ["r"]),
        make_node("QuantizeLinear", ["r", "s", "z"], ["q"]),
        make_node("DequantizeLinear", ["q", "s", "z"], ["y"]),
    ]
    model = network_proto(nodes, {"x": [3, 40]}, ["y"], constants, opset=13)
    return [node.op for node in assert_fusion_keeps_numbers(model).nodes]


@pytest.mark.parametrize(("dtype", "zero_point"), [("int8", -128), ("uint8", 0)])
def test_limits_that_the_integers_have_go(dtype: str, zero_point: int) -> None:
    assert fused(["Relu"], 0.01, zero_point, dtype) == ["QuantizeLinear"]
    assert fused(["Clip", "low", "high"], 6 / 255, zero_point, dtype, SIX) == ["QuantizeLinear"]
    assert fused(["Clip", "low"], 0.01, zero_point, dtype, {"low": SIX["low"]}) == ["QuantizeLinear"]


def test_other_limits_stay() -> None:
    assert fused(["Relu"], 0.01, -127) == ["Relu", "QuantizeLinear"]
    assert fused(["Clip", "low", "high"], 6.1 / 255, -128, more=SIX) == ["Clip", "QuantizeLinear"]
    assert fused(["Tanh"], 1 / 255, 0) == ["Tanh", "QuantizeLinear"]


@pytest.mark.parametrize("change", ["scale", "zero point", "axis", "second reader"])
def test_pairs_that_do_not_agree_stay(change: str) -> None:
    scale, zero_point = np.array([0.5, 0.25], np.float32), np.array([1, 2], np.int8)
    constants: Constants = {"s": scale, "z": zero_point, "t": scale, "o": zero_point}
    if change == "scale":
        constants["t"] = scale + 1
    if change == "zero point":
        constants["o"] = zero_point + np.int8(1)
    nodes = [
        make_node("QuantizeLinear", ["x", "s", "z"], ["q"], axis=0),
        make_node("DequantizeLinear", ["q", "t", "o"], ["y"], axis=1 if change == "axis" else -2),
    ]
    if change == "second reader":
        nodes.append(make_node("Cast", ["q"], ["w"], to=1))
    outputs = ["y", "w"] if change == "second reader" else ["y"]
    left = assert_fusion_keeps_numbers(network_proto(nodes, {"x": [2, 2]}, outputs, constants, opset=13)).nodes
    assert [node.op for node in left][:2] == ["QuantizeLinear", "DequantizeLinear"]


def test_pairs_with_equal_constants_are_one() -> None:
    scale, zero_point = np.array([0.5, 0.25], np.float32), np.array([1, 2], np.int8)
    constants: Constants = {"s": scale, "z": zero_point, "t": scale, "o": zero_point}
    nodes = [
        make_node("QuantizeLinear", ["x", "s", "z"], ["q"], axis=0),
        make_node("DequantizeLinear", ["q", "t", "o"], ["y"], axis=-2),
    ]
    left = assert_fusion_keeps_numbers(network_proto(nodes, {"x": [2, 2]}, ["y"], constants, opset=13)).nodes
    assert [(node.op, node.attributes["restored"]) for node in left] == [("QuantizeLinear", "int8")]
