"""Operators without a rule are replaced by the definition that ONNX gives of them."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import NodeProto
from onnx.helper import make_node

from tests.graph.networks import assert_same_numbers, network_proto
from wavetile.engine.graph import load_network, specialise

NODES = {
    "Celu": make_node("Celu", ["x"], ["y"], alpha=0.5),
    "Celu by default": make_node("Celu", ["x"], ["y"]),
    "MeanVarianceNormalization": make_node("MeanVarianceNormalization", ["x"], ["y"], axes=[0, 2]),
    "LayerNormalization": make_node("LayerNormalization", ["x", "scale"], ["y"], axis=-1),
    "ReduceLogSum": make_node("ReduceLogSum", ["x2", "axes"], ["y"]),
}


@pytest.mark.parametrize("name", NODES)
def test_a_definition_takes_the_operators_place(name: str) -> None:
    node: NodeProto = NODES[name]
    square = make_node("Mul", ["x", "x"], ["x2"])
    constants = {"scale": np.array([1, 2, 3], np.float32), "axes": np.array([1])}
    model = network_proto([square, node], {"x": [2, 5, 3]}, ["y"], constants, opset=18)
    graph = specialise(load_network(model.SerializeToString()), operators=frozenset({"Mul"}))
    assert node.op_type not in graph.histogram()
    assert_same_numbers(model, graph)


def test_an_operator_that_the_caller_runs_is_left_alone() -> None:
    model = network_proto([NODES["Celu"]], {"x": [2, 5, 3]}, ["y"], {}, opset=18)
    graph = specialise(load_network(model.SerializeToString()), operators=frozenset({"Celu"}))
    assert graph.histogram() == {"Celu": 1}
