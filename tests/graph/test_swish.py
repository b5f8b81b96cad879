"""A product times its own sigmoid becomes an activation of the product."""

from __future__ import annotations

import pytest
from onnx.helper import make_node

from tests.graph.networks import assert_fusion_keeps_numbers, network_proto, producer

SIGMOID = make_node("Sigmoid", ["p"], ["s"])


@pytest.mark.parametrize("made_by", ["Conv", "ConvTranspose", "MatMul", "Gemm"])
@pytest.mark.parametrize("factors", ["ps", "sp"])
def test_a_product_times_its_sigmoid_is_a_swish(made_by: str, factors: str) -> None:
    node, inputs, constants = producer(made_by, bias=True)
    model = network_proto([node, SIGMOID, make_node("Mul", list(factors), ["y"])], inputs, ["y"], constants)
    fused = assert_fusion_keeps_numbers(model)
    assert fused.histogram() == {made_by: 1}
    assert (fused.nodes[0].attributes["activation"], fused.nodes[0].attributes["activation_alpha"]) == ("Swish", 1.0)


def test_a_swish_of_a_sigmoid_that_others_read_stays() -> None:
    node, inputs, constants = producer("Conv", bias=True)
    nodes = [node, SIGMOID, make_node("Mul", ["p", "s"], ["y"]), make_node("Neg", ["s"], ["z"])]
    fused = assert_fusion_keeps_numbers(network_proto(nodes, inputs, ["y", "z"], constants))
    assert fused.histogram() == {"Conv": 1, "Mul": 1, "Neg": 1, "Sigmoid": 1}


def test_a_swish_of_a_product_that_others_read_stays() -> None:
    node, inputs, constants = producer("Conv", bias=True)
    nodes = [node, SIGMOID, make_node("Mul", ["p", "s"], ["y"]), make_node("Neg", ["p"], ["z"])]
    fused = assert_fusion_keeps_numbers(network_proto(nodes, inputs, ["y", "z"], constants))
    assert fused.histogram() == {"Conv": 1, "Mul": 1, "Neg": 1, "Sigmoid": 1}
