"""Folding: what is worked out at load is what ONNX Runtime works out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx.helper import make_node

from tests.graph.networks import assert_same_numbers, bound_graph, network_proto

SMALL = st.integers(-6, 6)


# The largest end with a negative step is left out: ONNX makes that empty, ONNX Runtime slices to the beginning.
@settings(max_examples=40, deadline=None)
@given(start=SMALL, end=SMALL | st.just(-(1 << 63) + 1), step=st.integers(-3, 3).filter(bool), size=st.integers(1, 5))
def test_slice(start: int, end: int, step: int, size: int) -> None:
    constants = {
        "c": np.arange(size, dtype=np.float32),
        "start": np.array([start]),
        "end": np.array([end]),
        "axis": np.array([0]),
        "step": np.array([step]),
    }
    model = network_proto([make_node("Slice", list(constants), ["y"])], {}, ["y"], constants)
    graph = bound_graph(model)
    # Beyond the beginning, ONNX's reference slices otherwise than ONNX's shape inference: that is not folded.
    assert graph.nodes == [] or start < -size
    assert_same_numbers(model, graph)


@settings(max_examples=20, deadline=None)
@given(begin=SMALL, length=st.integers(0, 6), step=st.integers(1, 3), axis=st.integers(0, 1))
def test_range_gather_and_transpose(begin: int, length: int, step: int, axis: int) -> None:
    constants = {
        "a": np.array(begin),
        "b": np.array(begin + length),
        "d": np.array(step),
        "seven": np.array(7),
        "table": np.arange(49, dtype=np.float32).reshape(7, 7),
    }
    nodes = [
        make_node("Range", ["a", "b", "d"], ["r"]),
        make_node("Mod", ["r", "seven"], ["index"]),
        make_node("Gather", ["table", "index"], ["g"], axis=axis),
        make_node("Transpose", ["g"], ["y"]),
    ]
    model = network_proto(nodes, {}, ["y"], constants)
    graph = bound_graph(model)
    assert graph.nodes == []
    assert_same_numbers(model, graph)


@pytest.mark.parametrize("opset", [10, 13, 17, 19, 21])
def test_quantized_weights_become_floats(opset: int) -> None:
    constants = {
        "q": np.arange(-6, 6, dtype=np.int8).reshape(3, 4),
        "scale": np.array(0.25, np.float32),
        "zero": np.array(3, np.int8),
    }
    nodes = [make_node("DequantizeLinear", list(constants), ["w"]), make_node("MatMul", ["x", "w"], ["y"])]
    model = network_proto(nodes, {"x": [2, 3]}, ["y"], constants, opset=opset)
    graph = bound_graph(model)
    assert graph.histogram() == {"MatMul": 1}
    assert_same_numbers(model, graph)


@pytest.mark.parametrize(("opset", "left"), [(11, ["Softmax", "Add"]), (13, ["Add"])])
def test_operators_that_changed_their_meaning_are_folded_in_the_new_one_only(opset: int, left: list[str]) -> None:
    nodes = [make_node("Softmax", ["c"], ["s"], axis=1), make_node("Add", ["x", "s"], ["y"])]
    constants = {"c": np.random.default_rng(0).standard_normal((2, 3, 4)).astype(np.float32)}
    model = network_proto(nodes, {"x": [2, 3, 4]}, ["y"], constants, opset=opset)
    graph = bound_graph(model)
    assert [node.op for node in graph] == left
    assert_same_numbers(model, graph)


def test_work_that_no_size_bounds_is_left_to_run() -> None:
    constants = {"a": np.ones((2, 1, 5), np.float32), "w": np.ones((3, 1, 2), np.float32)}
    model = network_proto([make_node("Conv", ["a", "w"], ["y"])], {}, ["y"], constants)
    graph = bound_graph(model)
    assert graph.histogram() == {"Conv": 1}
    assert_same_numbers(model, graph)
