"""Fusion: each rewrite removes what it says, leaves what it must, and keeps the numbers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import ModelProto, NodeProto
from onnx.helper import make_attribute, make_node

from tests.graph.networks import (
    CHANNELS,
    Constants,
    assert_fusion_keeps_numbers,
    bound_graph,
    network_proto,
    normal,
    producer,
)
from wavetile.engine.graph import fuse
from wavetile.engine.graph.ir import State


def positive(*shape: int) -> np.ndarray:
    return np.abs(normal(*shape)) + 0.5


PRODUCERS = [
    ("Conv", True, 1),
    ("Conv", False, 2),
    ("ConvTranspose", True, 1),
    ("ConvTranspose", False, 2),
    ("Gemm", True, 1),
    ("Gemm", False, 1),
]
BATCH_NORM: Constants = {
    "scale": normal(CHANNELS),
    "shift": normal(CHANNELS) + 1,
    "mean": normal(CHANNELS) - 1,
    "var": positive(CHANNELS),
}


@pytest.mark.parametrize(("op", "bias", "group"), PRODUCERS)
@pytest.mark.parametrize("opset", [9, 15])
def test_batch_norm_becomes_weights(op: str, bias: bool, group: int, opset: int) -> None:
    node, inputs, constants = producer(op, bias=bias, group=group)
    if op == "Gemm" and not bias and opset < 11:
        node.input.append("b")
        constants["b"] = normal(CHANNELS)
    norm = make_node("BatchNormalization", ["p", *BATCH_NORM], ["y"], epsilon=0.01)
    model = network_proto([node, norm], inputs, ["y"], {**constants, **BATCH_NORM}, opset=opset)
    fused = assert_fusion_keeps_numbers(model)
    assert fused.histogram() == {op: 1}
    assert len(fused.constants) == 2


def test_batch_norm_is_a_convolution_where_the_producer_has_another_reader() -> None:
    node, inputs, constants = producer("Conv", bias=True)
    norm = make_node("BatchNormalization", ["p", *BATCH_NORM], ["n"])
    model = network_proto([node, norm, make_node("Add", ["p", "n"], ["y"])], inputs, ["y"], {**constants, **BATCH_NORM})
    fused = assert_fusion_keeps_numbers(model)
    assert fused.histogram() == {"Add": 1, "Conv": 2}
    assert fused.nodes[1].attributes["group"] == CHANNELS


@pytest.mark.parametrize("shape", [[2, CHANNELS, 5], [2, CHANNELS, 4, 3]], ids=str)
def test_batch_norm_behind_no_layer_takes_in_its_activation(shape: list[int]) -> None:
    nodes = [make_node("BatchNormalization", ["x", *BATCH_NORM], ["n"]), make_node("Relu", ["n"], ["y"])]
    fused = assert_fusion_keeps_numbers(network_proto(nodes, {"x": shape}, ["y"], BATCH_NORM))
    assert [(node.op, node.attributes["activation"]) for node in fused.nodes] == [("Conv", "Relu")]


@pytest.mark.parametrize("shape", [[2, CHANNELS], [1, CHANNELS, 2, 3, 2]], ids=str)
def test_batch_norm_of_other_ranks_stays(shape: list[int]) -> None:
    nodes = [make_node("BatchNormalization", ["x", *BATCH_NORM], ["y"])]
    fused = assert_fusion_keeps_numbers(network_proto(nodes, {"x": shape}, ["y"], BATCH_NORM))
    assert fused.histogram() == {"BatchNormalization": 1}


def test_weights_that_two_nodes_share_are_scaled_for_one() -> None:
    node, inputs, constants = producer("Conv", bias=True)
    other = make_node("Conv", ["x", "w", "b"], ["q"], strides=[2, 1])
    norm = make_node("BatchNormalization", ["p", *BATCH_NORM], ["n"])
    nodes = [node, other, norm, make_node("Add", ["q", "n"], ["y"])]
    fused = assert_fusion_keeps_numbers(network_proto(nodes, inputs, ["y"], {**constants, **BATCH_NORM}))
    assert fused.histogram() == {"Add": 1, "Conv": 2}


BIASES: list[tuple[str, tuple[int, ...], bool]] = [
    ("Conv", (CHANNELS, 1, 1), True),
    ("Conv", (1, CHANNELS, 1, 1), True),
    ("Conv", (1,), True),
    ("Conv", (), True),
    ("Conv", (4,), False),
    ("Conv", (2, 1, 1, 1), False),
    ("ConvTranspose", (CHANNELS, 1), True),
    ("MatMul", (CHANNELS,), True),
    ("MatMul", (1, 1, CHANNELS), True),
    ("MatMul", (1, 1, 1, CHANNELS), False),
    ("MatMul", (3, 1), False),
    ("Gemm", (CHANNELS,), True),
    ("Gemm", (3, CHANNELS), False),
]


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("op", ["Add", "Sub"])
@pytest.mark.parametrize(("made_by", "shape", "folds"), BIASES)
def test_an_added_constant_becomes_the_bias(
    made_by: str, shape: tuple[int, ...], folds: bool, op: str, bias: bool
) -> None:
    node, inputs, constants = producer(made_by, bias=bias)
    add = make_node(op, ["p", "k"], ["y"])
    model = network_proto([node, add], inputs, ["y"], {**constants, "k": normal(*shape)})
    fused = assert_fusion_keeps_numbers(model)
    assert fused.histogram() == ({made_by: 1} if folds else {made_by: 1, op: 1})
    if folds:
        assert len(fused.nodes[0].inputs) == 3
        assert fused.constants[fused.nodes[0].inputs[2]].shape == (CHANNELS,)


def test_a_constant_minus_the_product_stays() -> None:
    node, inputs, constants = producer("Conv", bias=True)
    model = network_proto([node, make_node("Sub", ["k", "p"], ["y"])], inputs, ["y"], {**constants, "k": normal(1)})
    assert assert_fusion_keeps_numbers(model).histogram() == {"Conv": 1, "Sub": 1}


def test_two_biases_in_a_row_are_one() -> None:
    node, inputs, constants = producer("MatMul", bias=False)
    nodes = [node, make_node("Add", ["k", "p"], ["q"]), make_node("Add", ["q", "l"], ["y"])]
    model = network_proto(nodes, inputs, ["y"], {**constants, "k": normal(CHANNELS), "l": normal(1)})
    assert assert_fusion_keeps_numbers(model).histogram() == {"MatMul": 1}


def test_a_product_of_two_values_takes_no_bias() -> None:
    nodes = [make_node("MatMul", ["x", "z"], ["p"]), make_node("Add", ["p", "k"], ["y"])]
    model = network_proto(nodes, {"x": [2, 3], "z": [3, 4]}, ["y"], {"k": normal(4)})
    assert assert_fusion_keeps_numbers(model).histogram() == {"Add": 1, "MatMul": 1}


ACTIVATIONS: dict[str, Callable[[], tuple[NodeProto, Constants]]] = {
    "Relu": lambda: (make_node("Relu", ["p"], ["y"]), {}),
    "Sigmoid": lambda: (make_node("Sigmoid", ["p"], ["y"]), {}),
    "Tanh": lambda: (make_node("Tanh", ["p"], ["y"]), {}),
    "HardSwish": lambda: (make_node("HardSwish", ["p"], ["y"]), {}),
    "LeakyRelu": lambda: (make_node("LeakyRelu", ["p"], ["y"], alpha=0.3), {}),
    "Elu": lambda: (make_node("Elu", ["p"], ["y"], alpha=0.7), {}),
    "HardSigmoid": lambda: (make_node("HardSigmoid", ["p"], ["y"], alpha=0.3, beta=0.4), {}),
    "Clip": lambda: (
        make_node("Clip", ["p", "low", "high"], ["y"]),
        {"low": np.array(-0.2, np.float32), "high": np.array(0.4, np.float32)},
    ),
}


@pytest.mark.parametrize("made_by", ["Conv", "ConvTranspose", "MatMul", "Gemm"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations_join_their_producer(made_by: str, activation: str) -> None:
    node, inputs, constants = producer(made_by, bias=True)
    last, more = ACTIVATIONS[activation]()
    fused = assert_fusion_keeps_numbers(network_proto([node, last], inputs, ["y"], {**constants, **more}))
    assert fused.histogram() == {made_by: 1}
    assert fused.nodes[0].attributes["activation"] == activation


@pytest.mark.parametrize("bounds", [{}, {"min": -0.1}, {"max": 0.25}, {"min": -0.1, "max": 0.25}])
@pytest.mark.parametrize("opset", [9, 11])
def test_clip_of_either_kind(bounds: dict[str, float], opset: int) -> None:
    node, inputs, constants = producer("Conv", bias=True)
    if opset < 11:
        clip = make_node("Clip", ["p"], ["y"])
        clip.attribute.extend(make_attribute(name, value) for name, value in bounds.items())
    else:
        clip = make_node("Clip", ["p", *(name if name in bounds else "" for name in ("min", "max"))], ["y"])
        constants.update((name, np.array(value, np.float32)) for name, value in bounds.items())
    fused = assert_fusion_keeps_numbers(network_proto([node, clip], inputs, ["y"], constants, opset=opset))
    low, high = fused.nodes[0].attributes["activation_alpha"], fused.nodes[0].attributes["activation_beta"]
    assert (low, high) == pytest.approx((bounds.get("min", -3.4028235e38), bounds.get("max", 3.4028235e38)))


def test_clip_with_bounds_from_data_stays() -> None:
    node, inputs, constants = producer("Conv", bias=True)
    model = network_proto([node, make_node("Clip", ["p", "low"], ["y"])], {**inputs, "low": []}, ["y"], constants)
    assert bound_graph(model).histogram() == fuse(bound_graph(model)).histogram() == {"Clip": 1, "Conv": 1}


@pytest.mark.parametrize(
    ("made_by", "shape"), [("Conv", (CHANNELS, 1, 1)), ("ConvTranspose", (1, CHANNELS, 1)), ("MatMul", (CHANNELS,))]
)
@pytest.mark.parametrize("bias", [False, True])
def test_prelu_brings_its_slope(made_by: str, shape: tuple[int, ...], bias: bool) -> None:
    node, inputs, constants = producer(made_by, bias=bias)
    model = network_proto(
        [node, make_node("PRelu", ["p", "k"], ["y"])], inputs, ["y"], {**constants, "k": normal(*shape)}
    )
    fused = assert_fusion_keeps_numbers(model)
    assert fused.histogram() == {made_by: 1}
    only = fused.nodes[0]
    assert only.inputs[3] == only.attributes["slope"]
    assert fused.constants[only.inputs[3]].shape == (CHANNELS,)


def test_prelu_with_one_slope_is_leaky_relu() -> None:
    slope = np.full((5, 1), 0.125, np.float32)
    model = network_proto([make_node("PRelu", ["x", "k"], ["y"])], {"x": [2, 5, 3]}, ["y"], {"k": slope})
    fused = assert_fusion_keeps_numbers(model)
    assert fused.histogram() == {"LeakyRelu": 1}


@pytest.mark.parametrize("dtype", ["float64", "int32", "uint64"])
def test_prelu_of_other_types_stays(dtype: str) -> None:
    node = make_node("PRelu", ["x", "k"], ["y"])
    kinds = {name: np.dtype(dtype).type for name in "xy"}
    model = network_proto([node], {"x": [2, 3]}, ["y"], {"k": np.full((3,), 2, dtype)}, dtypes=kinds)
    assert fuse(bound_graph(model)).histogram() == {"PRelu": 1}


def test_prelu_with_a_slope_for_each_place_stays() -> None:
    node, inputs, constants = producer("ConvTranspose", bias=True)
    model = network_proto([node, make_node("PRelu", ["p", "k"], ["y"])], inputs, ["y"], {**constants, "k": normal(11)})
    assert assert_fusion_keeps_numbers(model).histogram() == {"ConvTranspose": 1, "PRelu": 1}


def test_the_second_activation_stays() -> None:
    node, inputs, constants = producer("Conv", bias=True)
    nodes = [
        node,
        make_node("Tanh", ["p"], ["t"]),
        make_node("Relu", ["t"], ["u"]),
        make_node("Add", ["u", "k"], ["y"]),
    ]
    fused = assert_fusion_keeps_numbers(network_proto(nodes, inputs, ["y"], {**constants, "k": normal(1)}))
    assert [node.op for node in fused] == ["Conv", "Relu", "Add"]


@pytest.mark.parametrize("second", ["BatchNormalization", "Add", "Relu"])
def test_nothing_is_fused_across_an_output(second: str) -> None:
    node, inputs, constants = producer("Conv", bias=True)
    constants = {**constants, **BATCH_NORM, "k": normal(CHANNELS, 1, 1)}
    more = {"BatchNormalization": list(BATCH_NORM), "Add": ["k"], "Relu": []}[second]
    used = {name: constants[name] for name in (*node.input, *more) if name in constants}
    model = network_proto([node, make_node(second, ["p", *more], ["y"])], inputs, ["p", "y"], used)
    left = assert_fusion_keeps_numbers(model).nodes
    assert [node.op for node in left] == ["Conv", "Conv" if second == "BatchNormalization" else second]


def test_nothing_is_fused_across_carried_state() -> None:
    node, inputs, constants = producer("Conv", bias=True)
    graph = bound_graph(network_proto([node, make_node("Relu", ["p"], ["y"])], inputs, ["y"], constants))
    graph.states.append(State("x", "p", graph.types["p"].shape))
    assert fuse(graph).histogram() == {"Conv": 1, "Relu": 1}
    assert fuse(graph).states == graph.states


def padded_conv(pads: list[int], opset: int, mode: str = "constant", value: float = 0.0) -> ModelProto:
    constants = {"w": normal(3, 2, 3, 3)}
    if opset < 11:
        pad = make_node("Pad", ["x"], ["q"], pads=pads, mode=mode, value=value)
    else:
        constants |= {"pads": np.array(pads), "v": np.array(value, np.float32)}
        pad = make_node("Pad", ["x", "pads", "v"], ["q"], mode=mode)
    conv = make_node("Conv", ["q", "w"], ["y"], pads=[1, 0, 0, 2])
    return network_proto([pad, conv], {"x": [1, 2, 5, 6]}, ["y"], constants, opset=opset)


@pytest.mark.parametrize("opset", [9, 11, 18])
def test_zero_pads_join_the_conv(opset: int) -> None:
    fused = assert_fusion_keeps_numbers(padded_conv([0, 0, 1, 2, 0, 0, 3, 0], opset))
    assert fused.histogram() == {"Conv": 1}
    assert fused.nodes[0].attributes["pads"] == [2, 2, 3, 2]


@pytest.mark.parametrize("opset", [9, 11])
@pytest.mark.parametrize(
    ("pads", "mode", "value"),
    [
        ([0, 0, 1, 1, 0, 0, 1, 1], "reflect", 0.0),
        ([0, 0, 1, 1, 0, 0, 1, 1], "edge", 0.0),
        ([0, 0, 1, 1, 0, 0, 1, 1], "constant", 0.5),
        ([0, 0, -1, 1, 0, 0, 1, 1], "constant", 0.0),
        ([1, 0, 1, 1, 0, 0, 1, 1], "constant", 0.0),
    ],
)
def test_other_pads_stay(pads: list[int], mode: str, value: float, opset: int) -> None:
    assert assert_fusion_keeps_numbers(padded_conv(pads, opset, mode, value)).histogram() == {"Conv": 1, "Pad": 1}


def test_pads_of_some_axes() -> None:
    constants = {"w": normal(3, 2, 3), "pads": np.array([2, 1]), "axes": np.array([-1])}
    nodes = [make_node("Pad", ["x", "pads", "", "axes"], ["q"]), make_node("Conv", ["q", "w"], ["y"])]
    fused = assert_fusion_keeps_numbers(network_proto(nodes, {"x": [1, 2, 5]}, ["y"], constants, opset=18))
    assert fused.histogram() == {"Conv": 1}
    assert fused.nodes[0].attributes["pads"] == [2, 1]


def test_pads_in_front_of_a_pool_stay() -> None:
    nodes = [make_node("Pad", ["x", "pads"], ["q"]), make_node("AveragePool", ["q"], ["y"], kernel_shape=[3])]
    model = network_proto(nodes, {"x": [1, 2, 5]}, ["y"], {"pads": np.array([0, 0, 1, 0, 0, 1])})
    assert assert_fusion_keeps_numbers(model).histogram() == {"AveragePool": 1, "Pad": 1}


@settings(max_examples=25, deadline=None)
@given(orders=st.lists(st.permutations(range(4)), min_size=1, max_size=5))
def test_transposes_merge(orders: list[list[int]]) -> None:
    names = ["x", *(f"t{index}" for index in range(len(orders)))]
    nodes = [make_node("Transpose", [names[i]], [names[i + 1]], perm=order) for i, order in enumerate(orders)]
    nodes.append(make_node("Relu", [names[-1]], ["y"]))
    fused = assert_fusion_keeps_numbers(network_proto(nodes, {"x": [2, 3, 4, 5]}, ["y"]))
    assert fused.histogram().get("Transpose", 0) <= 1


def test_a_transpose_with_other_readers_stays_for_them() -> None:
    nodes = [
        make_node("Transpose", ["x"], ["t"]),
        make_node("Transpose", ["t"], ["u"]),
        make_node("Relu", ["t"], ["y"]),
        make_node("Neg", ["u"], ["z"]),
    ]
    fused = assert_fusion_keeps_numbers(network_proto(nodes, {"x": [2, 3]}, ["y", "z"]))
    assert fused.histogram() == {"Neg": 1, "Relu": 1, "Transpose": 1}


def test_nodes_that_change_nothing_disappear() -> None:
    constants = {
        "same": np.array([2, 3]),
        "start": np.array([0]),
        "end": np.array([9]),
        "axis": np.array([1]),
        "none": np.array([0, 0, 0, 0]),
        "once": np.array([1, 1]),
    }
    nodes = [
        make_node("Reshape", ["x", "same"], ["a"]),
        make_node("Cast", ["a"], ["b"], to=1),
        make_node("Slice", ["b", "start", "end", "axis"], ["c"]),
        make_node("Pad", ["c", "none"], ["d"]),
        make_node("Tile", ["d", "once"], ["e"]),
        make_node("Concat", ["e"], ["f"], axis=0),
        make_node("Transpose", ["f"], ["g"], perm=[0, 1]),
        make_node("Expand", ["g", "same"], ["h"]),
        make_node("Neg", ["h"], ["y"]),
    ]
    fused = assert_fusion_keeps_numbers(network_proto(nodes, {"x": [2, 3]}, ["y"], constants))
    assert fused.histogram() == {"Neg": 1}


def test_nodes_that_keep_the_type_but_not_the_numbers_stay() -> None:
    constants = {"start": np.array([-1]), "end": np.array([-9]), "step": np.array([-1]), "axis": np.array([1])}
    shift = np.array([0, 1, 0, -1])
    nodes = [
        make_node("Slice", ["x", "start", "end", "axis", "step"], ["a"]),
        make_node("Transpose", ["a"], ["b"]),
        make_node("Pad", ["b", "shift"], ["y"]),
    ]
    fused = assert_fusion_keeps_numbers(network_proto(nodes, {"x": [3, 3]}, ["y"], {**constants, "shift": shift}))
    assert fused.histogram() == {"Pad": 1, "Slice": 1, "Transpose": 1}


def test_equal_constants_are_shared() -> None:
    constants = {
        "a": np.array([0.0, 1.0], np.float32),
        "b": np.array([0.0, 1.0], np.float32),
        "negative_zero": np.array([-0.0, 1.0], np.float32),
        "column": np.array([[0.0], [1.0]], np.float32),
    }
    nodes = [make_node("Sum", ["x", *constants], ["s"]), make_node("Mul", ["s", "b"], ["y"])]
    fused = assert_fusion_keeps_numbers(network_proto(nodes, {"x": [2]}, ["y"], constants))
    assert set(fused.constants) == {"a", "negative_zero", "column"}
    assert fused.nodes[1].inputs == ("s", "a")


def test_the_graph_given_is_not_changed() -> None:
    node, inputs, constants = producer("Conv", bias=True)
    norm = make_node("BatchNormalization", ["p", *BATCH_NORM], ["n"])
    model = network_proto([node, norm, make_node("Relu", ["n"], ["y"])], inputs, ["y"], {**constants, **BATCH_NORM})
    graph = bound_graph(model)
    before = repr((graph.nodes, sorted(graph.types.items()), sorted(graph.constants)))
    fuse(graph)
    assert repr((graph.nodes, sorted(graph.types.items()), sorted(graph.constants))) == before


def test_fusing_twice_changes_nothing_more() -> None:
    node, inputs, constants = producer("MatMul", bias=False)
    nodes = [node, make_node("Add", ["p", "k"], ["q"]), make_node("PRelu", ["q", "s"], ["y"])]
    model = network_proto(nodes, inputs, ["y"], {**constants, "k": normal(CHANNELS), "s": positive(CHANNELS)})
    once = fuse(bound_graph(model))
    twice = fuse(once)
    assert [(n.op, n.inputs, n.outputs) for n in once] == [(n.op, n.inputs, n.outputs) for n in twice]
