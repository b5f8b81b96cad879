"""Specialise: shapes bound, constants folded, live branches taken, dead code gone; the numbers by ONNX Runtime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, NodeProto
from onnx.helper import make_attribute, make_node, np_dtype_to_tensor_dtype

from tests.graph.networks import assert_same_numbers, bound_graph, graph_proto, network_proto
from wavetile.engine.errors import ModelError, UnsupportedError
from wavetile.engine.graph import load_network, specialise


def sum_network() -> ModelProto:
    """y = a + b, where both share the dimension 'n'."""
    return network_proto([make_node("Add", ["a", "b"], ["y"], name="sum")], {"a": ["n", 3], "b": ["n", "m"]}, ["y"])


def test_shapes_reach_every_value() -> None:
    graph = bound_graph(sum_network(), shapes={"a": (2, 3), "b": (2, 1)})
    assert graph.types["y"].shape == (2, 3)
    assert {name: bound.shape for name, bound in graph.inputs.items()} == {"a": (2, 3), "b": (2, 1)}
    assert graph.outputs == ["y"]


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ({}, r"input 'a' is float32\[n, 3\] and was given no shape"),
        ({"a": (2, 3)}, r"input 'b' is float32\[n, m\] and was given no shape"),
        ({"a": (2, 4), "b": (2, 1)}, r"dimension 1 must be 3, not 4 of \[2, 4\]"),
        ({"a": (2,), "b": (2, 1)}, r"2 dimensions, not \[2\]"),
        ({"a": (2, 3), "b": (5, 1)}, "'n' is 5 in .*, but input 'a' made it 2"),
        ({"a": (2, 3), "b": (2, 1), "c": (1,)}, "has no input 'c'; its inputs are 'a' float32"),
        ({"a": (-2, 3), "b": (2, 1)}, "whole numbers of at least 0"),
        ({"a": (2.0, 3), "b": (2, 1)}, "whole numbers"),
        ({"a": (2, 3), "b": (2, 5)}, "Add 'sum' can not take the inputs 'a' float32.*'b' float32"),
    ],
)
def test_wrong_shapes_are_named(shapes: dict, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        bound_graph(sum_network(), shapes=shapes)


def test_an_input_may_follow_from_names_and_numbers() -> None:
    model = network_proto([make_node("Add", ["a", "b"], ["y"])], {"a": ["n", 3], "b": ["n", 3]}, ["y"])
    assert bound_graph(model, shapes={"b": (4, 3)}).inputs["a"].shape == (4, 3)


def switch_network() -> ModelProto:
    """y = rate == 16000 ? relu(x) * 2 : -x, with names in both branches that also stand outside."""
    then = graph_proto(
        [make_node("Relu", ["x"], ["t"]), make_node("Mul", ["t", "two"], ["out"])],
        {},
        ["out"],
        {"two": np.array(2, np.float32)},
    )
    otherwise = graph_proto([make_node("Neg", ["x"], ["t"]), make_node("Identity", ["t"], ["out2"])], {}, ["out2"])
    nodes = [
        make_node("Equal", ["rate", "wanted"], ["same"]),
        make_node("If", ["same"], ["chosen"], name="switch", then_branch=then, else_branch=otherwise),
        make_node("Identity", ["chosen"], ["y"]),
    ]
    constants = {"wanted": np.array(16000)}
    return network_proto(nodes, {"x": [3], "rate": []}, ["y"], constants, dtypes={"rate": np.int64})


@pytest.mark.parametrize(("rate", "operators"), [(16000, ["Relu", "Mul"]), (8000, ["Neg"])])
def test_the_live_branch_is_taken(rate: int, operators: list[str]) -> None:
    model = switch_network()
    graph = bound_graph(model, values={"rate": rate})
    assert [node.op for node in graph] == operators
    assert list(graph.inputs) == ["x"]
    assert_same_numbers(model, graph, extra={"rate": np.array(rate)})


def test_a_branch_that_depends_on_data_is_refused() -> None:
    with pytest.raises(UnsupportedError, match=r"If 'switch'.*'same' depends on the data.*values="):
        bound_graph(switch_network())


@pytest.mark.parametrize(
    ("value", "message"), [(1.5, "does not fit"), ("16k", "does not fit"), ([1, 2], "0 dimensions")]
)
def test_values_must_fit_the_declared_type(value: object, message: str) -> None:
    with pytest.raises(ModelError, match=f"input 'rate'.*{message}"):
        bound_graph(switch_network(), values={"rate": value})


def test_branches_of_one_name_are_kept_apart() -> None:
    def branch(op: str) -> NodeProto:
        body = graph_proto([make_node(op, ["x"], ["inner"])], {}, ["inner"])
        return make_node("If", ["yes"], [f"{op}_out"], then_branch=body, else_branch=body)

    nodes = [branch("Neg"), branch("Abs"), make_node("Sub", ["Neg_out", "Abs_out"], ["y"])]
    model = network_proto(nodes, {"x": [4]}, ["y"], {"yes": np.array(True)})
    graph = bound_graph(model)
    assert graph.histogram() == {"Abs": 1, "Neg": 1, "Sub": 1}
    assert_same_numbers(model, graph)


def test_nested_branches() -> None:
    inner = graph_proto([make_node("Exp", ["t"], ["e"])], {}, ["e"])
    outer = graph_proto(
        [make_node("Neg", ["x"], ["t"]), make_node("If", ["yes"], ["o"], then_branch=inner, else_branch=inner)],
        {},
        ["o"],
    )
    node = make_node("If", ["yes"], ["y"], then_branch=outer, else_branch=outer)
    model = network_proto([node], {"x": [4]}, ["y"], {"yes": np.array(True)})
    graph = bound_graph(model)
    assert [node.op for node in graph] == ["Neg", "Exp"]
    assert_same_numbers(model, graph)


def shape_arithmetic(opset: int) -> ModelProto:
    """Flatten [batch, time, 2, 3] to [batch, time * 6] as exporters write it: Shape, Gather, Mul, Concat, Reshape."""
    constants = {"i0": np.array(0), "i1": np.array(1), "six": np.array(6)}
    nodes = [
        make_node("Shape", ["x"], ["s"]),
        make_node("Gather", ["s", "i0"], ["batch"]),
        make_node("Gather", ["s", "i1"], ["time"]),
        make_node("Mul", ["time", "six"], ["width"]),
    ]
    for name in ("batch", "width"):
        if opset < 13:
            nodes.append(make_node("Unsqueeze", [name], [f"{name}1"], axes=[0]))
        else:
            constants["axis"] = np.array([0])
            nodes.append(make_node("Unsqueeze", [name, "axis"], [f"{name}1"]))
    nodes += [
        make_node("Concat", ["batch1", "width1"], ["target"], axis=0),
        make_node("Reshape", ["x", "target"], ["y"], name="flatten"),
    ]
    return network_proto(nodes, {"x": ["b", "t", 2, 3]}, ["y"], constants, opset=opset)


@pytest.mark.parametrize("opset", [9, 11, 13, 15, 19, 21])
def test_shape_arithmetic_disappears(opset: int) -> None:
    model = shape_arithmetic(opset)
    graph = bound_graph(model, shapes={"x": (2, 5, 2, 3)})
    assert [node.op for node in graph] == ["Reshape"]
    assert graph.constants["target"].tolist() == [2, 30]
    assert_same_numbers(model, graph)


def test_shape_takes_start_and_end() -> None:
    for start, end in ((1, None), (-2, None), (0, -1), (1, 3), (3, 1), (-9, 9)):
        node = make_node("Shape", ["x"], ["y"], start=start)
        if end is not None:
            node.attribute.append(make_attribute("end", end))
        model = network_proto([node], {"x": [2, 3, 5, 7]}, ["y"], dtypes={"y": np.int64})
        graph = bound_graph(model)
        assert graph.nodes == []
        assert_same_numbers(model, graph)


def test_identity_dropout_and_constant_disappear() -> None:
    nodes = [
        make_node("Identity", ["x"], ["a"]),
        make_node("Dropout", ["a"], ["b", "mask"]),
        make_node("Constant", [], ["c"], value_floats=[1.0, 2.0, 3.0]),
        make_node("Add", ["b", "c"], ["d"]),
        make_node("Cast", ["mask"], ["m"], to=1),
        make_node("Mul", ["d", "m"], ["e"]),
        make_node("Identity", ["e"], ["y"]),
    ]
    model = network_proto(nodes, {"x": [3]}, ["y"])
    graph = bound_graph(model)
    assert graph.histogram() == {"Add": 1, "Mul": 1}
    assert_same_numbers(model, graph)


def test_dropout_in_training_is_refused() -> None:
    constants = {"ratio": np.array(0.5, np.float32), "training": np.array(True)}
    model = network_proto(
        [make_node("Dropout", ["x", "ratio", "training"], ["y"], name="d")], {"x": [3]}, ["y"], constants
    )
    with pytest.raises(UnsupportedError, match="Dropout 'd' is in training mode"):
        bound_graph(model)


def test_outputs_keep_their_names() -> None:
    """One value as two outputs, an input and a constant handed on, and an output that other nodes read."""
    nodes = [
        make_node("Relu", ["x"], ["r"]),
        make_node("Identity", ["r"], ["first"]),
        make_node("Identity", ["first"], ["second"]),
        make_node("Identity", ["x"], ["same"]),
        make_node("Identity", ["c"], ["fixed"]),
        make_node("Neg", ["first"], ["n"]),
    ]
    names = ["first", "second", "same", "fixed", "n", "r"]
    model = network_proto(nodes, {"x": [3]}, names, {"c": np.ones(2, np.float32)})
    graph = bound_graph(model)
    assert graph.outputs == names
    assert graph.histogram() == {"Identity": 3, "Neg": 1, "Relu": 1}
    assert_same_numbers(model, graph)


def test_dead_nodes_constants_and_optional_outputs_are_dropped() -> None:
    rng = np.random.default_rng(0)
    constants = {
        "w": rng.standard_normal((1, 8, 3)).astype(np.float32),
        "r": rng.standard_normal((1, 8, 2)).astype(np.float32),
        "unused": np.ones(5, np.float32),
    }
    nodes = [
        make_node("NonZero", ["x"], ["where"], name="dead"),
        make_node("LSTM", ["x", "w", "r", "", "", "", ""], ["all", "h", "c"], hidden_size=2),
    ]
    model = network_proto(nodes, {"x": [4, 1, 3]}, ["h"], constants)
    graph = bound_graph(model)
    assert [node.outputs for node in graph] == [("", "h")]
    assert [node.inputs for node in graph] == [("x", "w", "r")]
    assert set(graph.constants) == {"w", "r"}
    assert set(graph.types) == {"x", "w", "r", "h"}
    assert_same_numbers(model, graph)


def test_attributes_have_the_operators_defaults() -> None:
    constants = {"w": np.ones((1, 4, 3), np.float32), "r": np.ones((1, 4, 4), np.float32)}
    node = make_node("RNN", ["x", "w", "r"], ["y"], hidden_size=4)
    graph = bound_graph(network_proto([node], {"x": [2, 1, 3]}, ["y"], constants))
    assert graph.nodes[0].attributes == {"direction": "forward", "hidden_size": 4, "layout": 0}
    softmax = network_proto([make_node("Softmax", ["x"], ["y"])], {"x": [2, 3]}, ["y"], opset=11)
    assert bound_graph(softmax).nodes[0].attributes == {"axis": 1}


@pytest.mark.parametrize("reader", ["Cast", "Shape"])
@pytest.mark.parametrize("op", ["NonZero", "Unique"])
def test_a_size_that_depends_on_data_is_known_to_no_node(op: str, reader: str) -> None:
    attributes: dict[str, Any] = {"to": 1} if reader == "Cast" else {}
    nodes = [make_node(op, ["x"], ["p"], name="search"), make_node(reader, ["p"], ["y"], name="look", **attributes)]
    model = network_proto(nodes, {"x": [4]}, ["y"])
    with pytest.raises(UnsupportedError, match=f"{reader} 'look' reads 'p', whose size depends on the data"):
        bound_graph(model)


def test_an_output_whose_size_depends_on_data_has_its_largest_and_a_count() -> None:
    node = make_node("Unique", ["x"], ["y", "first", "which"], axis=1)
    model = network_proto([node], {"x": [4, 6]}, ["first"], dtypes={"first": np.int64})
    graph = bound_graph(model)
    ragged = graph.ragged["first"]
    assert graph.nodes[0].outputs == ("y", "first", "", "", ragged.count)
    assert ragged.axis == 0
    assert (graph.types["first"].shape, graph.types[ragged.count].shape) == ((6,), (1,))
    assert ragged.count in graph.kept_names()


@pytest.mark.parametrize("declared", [np.int64, np.float16])
def test_an_output_declared_as_another_type_is_refused(declared: type) -> None:
    """As it is by onnxruntime: who reads the declaration would take the bytes for something else."""
    model = network_proto([make_node("Relu", ["x"], ["y"])], {"x": [4]}, ["y"])
    model.graph.output[0].type.tensor_type.elem_type = np_dtype_to_tensor_dtype(np.dtype(declared))
    with pytest.raises(
        ModelError, match=f"'y' is declared as {np.dtype(declared).name}, but the network makes float32"
    ):
        bound_graph(model)


def test_a_shape_that_depends_on_data_is_refused() -> None:
    nodes = [
        make_node("Cast", ["x"], ["s"], to=7),
        make_node("ConstantOfShape", ["s"], ["z"], name="zeros"),
        make_node("Neg", ["z"], ["y"]),
    ]
    with pytest.raises(UnsupportedError, match="ConstantOfShape 'zeros': the shape of its output 'z' depends"):
        bound_graph(network_proto(nodes, {"x": [2]}, ["y"]))


def test_a_data_dependent_shape_of_a_constant_is_no_problem() -> None:
    nodes = [
        make_node("NonZero", ["c"], ["p"]),
        make_node("Cast", ["p"], ["f"], to=1),
        make_node("Add", ["x", "f"], ["y"]),
    ]
    model = network_proto(nodes, {"x": [1, 2]}, ["y"], {"c": np.array([0, 3, 0, 4], np.float32)})
    graph = bound_graph(model)
    assert graph.histogram() == {"Add": 1}
    assert_same_numbers(model, graph)


def test_a_reshape_to_another_size_is_refused() -> None:
    model = network_proto(
        [make_node("Reshape", ["x", "s"], ["y"], name="r")], {"x": [2, 5]}, ["y"], {"s": np.array([3, 4])}
    )
    with pytest.raises(ModelError, match=r"Reshape 'r': can not reshape 'x' float32\[2, 5\] into \[3, 4\]"):
        bound_graph(model)


def test_random_operators_are_not_constants() -> None:
    nodes = [make_node("RandomNormal", [], ["noise"], shape=[3]), make_node("Add", ["x", "noise"], ["y"])]
    graph = bound_graph(network_proto(nodes, {"x": [3]}, ["y"]))
    assert graph.histogram() == {"Add": 1, "RandomNormal": 1}


def test_text_is_refused() -> None:
    node = make_node("Constant", [], ["words"], value_string="text", name="say")
    equal = make_node("Equal", ["words", "words"], ["y"])
    with pytest.raises(UnsupportedError, match="Constant 'say' has 'value_string'; a dense tensor of numbers"):
        bound_graph(network_proto([node, equal], {}, ["y"], opset=19, dtypes={"y": np.bool_}))


def test_operators_without_inference_keep_the_type_of_their_input() -> None:
    constants = {"s": np.ones(4, np.float32), "b": np.zeros(4, np.float32)}
    nodes = [
        make_node("GroupNormalization", ["x", "s", "b"], ["g"], num_groups=2),
        make_node("MeanVarianceNormalization", ["g"], ["m"]),
        make_node("Reshape", ["m", "flat"], ["y"]),
    ]
    model = network_proto(nodes, {"x": [2, 4, 3, 5]}, ["y"], {**constants, "flat": np.array([2, 60])}, opset=21)
    graph = bound_graph(model)
    assert graph.types["g"] == graph.types["m"] == graph.types["x"]
    assert graph.types["y"].shape == (2, 60)


def scan_network() -> ModelProto:
    """The running sum of x times a value that the body reads from around it."""
    body = graph_proto(
        [
            make_node("Mul", ["v", "twice"], ["m"]),
            make_node("Add", ["sum", "m"], ["new"]),
            make_node("Neg", ["new"], ["o"]),
        ],
        {"sum": [2], "v": [2]},
        ["new", "o"],
    )
    nodes = [
        make_node("Add", ["x0", "x0"], ["doubled"]),
        make_node("Identity", ["doubled"], ["twice"]),
        make_node("Scan", ["x0", "x"], ["last", "y"], name="scan", body=body, num_scan_inputs=1),
        make_node("Add", ["y", "last"], ["z"]),
    ]
    return network_proto(nodes, {"x0": [2], "x": [5, 2]}, ["z"])


def test_a_scan_is_unrolled_with_what_its_body_reads() -> None:
    model = scan_network()
    graph = bound_graph(model)
    assert graph.histogram()["Mul"] == 5
    assert all("doubled" in node.inputs for node in graph if node.op == "Mul")
    assert_same_numbers(model, graph)


def test_the_network_is_not_changed() -> None:
    network = load_network(switch_network().SerializeToString())
    before = network.model.SerializeToString()
    first = specialise(network, values={"rate": 16000})
    again = specialise(network, values={"rate": 16000})
    assert network.model.SerializeToString() == before
    assert [(node.op, node.inputs, node.outputs) for node in first] == [
        (node.op, node.inputs, node.outputs) for node in again
    ]
    with pytest.raises(ValueError, match="read-only"):
        next(iter(first.constants.values()))[...] = 0
