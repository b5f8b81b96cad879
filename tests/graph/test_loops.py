"""Loops of known length against ONNX's reference: the unrolled graph gives the same numbers."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import GraphProto, TensorProto, ValueInfoProto
from onnx.helper import make_graph, make_node, make_tensor_value_info
from onnx.numpy_helper import from_array

from tests.graph.networks import assert_same_numbers, bound_graph, network_proto
from wavetile.engine.errors import LimitError, ModelError, UnsupportedError
from wavetile.engine.graph import Limits, load_network, shaping_inputs, specialise


def value(name: str, dtype: int = TensorProto.FLOAT, shape: list[int] | None = None) -> ValueInfoProto:
    return make_tensor_value_info(name, dtype, shape)


def cell() -> GraphProto:
    """h' = tanh(h + x W), y = h' * scale: `scale` comes from around it."""
    nodes = [
        make_node("MatMul", ["x_t", "W"], ["xw"]),
        make_node("Add", ["h", "xw"], ["s"]),
        make_node("Tanh", ["s"], ["h_next"]),
        make_node("Mul", ["h_next", "scale"], ["y_t"]),
    ]
    weight = from_array(np.random.default_rng(3).standard_normal((4, 3)).astype(np.float32), "W")
    return make_graph(nodes, "cell", [value("h"), value("x_t")], [value("h_next"), value("y_t")], [weight])


@pytest.mark.parametrize("opset", [11, 17])
@pytest.mark.parametrize("backwards", [0, 1])
def test_scan_of_a_recurrent_cell(opset: int, backwards: int) -> None:
    scan = make_node(
        "Scan",
        ["h0", "x"],
        ["h_last", "y"],
        body=cell(),
        num_scan_inputs=1,
        scan_input_axes=[1],
        scan_input_directions=[backwards],
        scan_output_axes=[1],
        scan_output_directions=[backwards],
    )
    constants = {"h0": np.zeros((2, 3), np.float32), "scale": np.array(2.0, np.float32)}
    model = network_proto([scan], {"x": [2, 5, 4]}, ["h_last", "y"], constants, opset=opset)
    graph = bound_graph(model)
    assert graph.histogram()["MatMul"] == 5
    assert "Scan" not in graph.histogram()
    assert_same_numbers(model, graph)


def counting_body(condition: str) -> GraphProto:
    nodes = [
        make_node("Add", ["carried", "x"], ["next"]),
        make_node("Less", ["step", "three"], ["early"]),
        make_node("Identity", [condition], ["go_on"]),
        make_node("Identity", ["next"], ["row"]),
    ]
    inputs = [value("step", TensorProto.INT64, []), value("cond", TensorProto.BOOL, []), value("carried")]
    outputs = [value("go_on", TensorProto.BOOL), value("next"), value("row")]
    return make_graph(nodes, "body", inputs, outputs, [from_array(np.array(3), "three")])


@pytest.mark.parametrize(("condition", "steps"), [("cond", 6), ("early", 4)])
def test_loop_by_count_and_by_condition(condition: str, steps: int) -> None:
    loop = make_node("Loop", ["trips", "go", "x"], ["last", "y"], body=counting_body(condition))
    model = network_proto([loop], {"x": [2, 3]}, ["last", "y"], {"trips": np.array(6), "go": np.array(True)})
    graph = bound_graph(model)
    assert graph.histogram()["Add"] == steps
    assert_same_numbers(model, graph)


def test_a_loop_whose_end_depends_on_the_signal_is_refused() -> None:
    nodes = [
        make_node("Add", ["carried", "x"], ["next"]),
        make_node("ReduceMax", ["next"], ["top"], keepdims=0),
        make_node("Less", ["top", "bound"], ["go_on"]),
    ]
    inputs = [value("step", TensorProto.INT64, []), value("cond", TensorProto.BOOL, []), value("carried")]
    body = make_graph(nodes, "body", inputs, [value("go_on", TensorProto.BOOL), value("next")])
    loop = make_node("Loop", ["", "", "x"], ["y"], body=body, name="until")
    model = network_proto([loop], {"x": [2, 3]}, ["y"], {"bound": np.array(9.0, np.float32)})
    with pytest.raises(UnsupportedError, match="Loop 'until': its condition depends on the data"):
        bound_graph(model)


def test_a_loop_of_nothing_comes_to_an_end() -> None:
    inputs = [value("step", TensorProto.INT64, []), value("cond", TensorProto.BOOL, []), value("carried")]
    body = make_graph([], "body", inputs, [inputs[1], inputs[2]])
    loop = make_node("Loop", ["trips", "", "x"], ["y"], body=body)
    model = network_proto([loop], {"x": [2, 3]}, ["y"], {"trips": np.array(1 << 60)})
    network = load_network(model.SerializeToString(), limits=Limits(nodes=1_000))
    with pytest.raises(LimitError, match=r"loops.* more than 1000 nodes"):
        specialise(network)


def test_a_scan_along_an_axis_that_is_not_there_is_named() -> None:
    scan = make_node(
        "Scan", ["h0", "x"], ["h_last", "y"], name="cell", body=cell(), num_scan_inputs=1, scan_input_axes=[7]
    )
    constants = {"h0": np.zeros((2, 3), np.float32), "scale": np.array(2.0, np.float32)}
    with pytest.raises(ModelError, match="Scan 'cell'"):
        bound_graph(network_proto([scan], {"x": [2, 5, 4]}, ["h_last", "y"], constants))


def test_a_shape_that_a_loop_carries_is_an_input_that_decides() -> None:
    nodes = [make_node("Reshape", ["carried", "shape"], ["next"]), make_node("Identity", ["cond"], ["go_on"])]
    inputs = [value("step", TensorProto.INT64, []), value("cond", TensorProto.BOOL, [])]
    inputs += [value("carried"), value("shape", TensorProto.INT64, [2])]
    outputs = [value("go_on", TensorProto.BOOL, []), value("next"), value("shape", TensorProto.INT64, [2])]
    loop = make_node("Loop", ["trips", "", "x", "s"], ["y", "t"], body=make_graph(nodes, "body", inputs, outputs))
    model = network_proto([loop], {"x": [2, 3], "s": [2]}, ["y"], {"trips": np.array(2)}, dtypes={"s": np.int64})
    assert shaping_inputs(load_network(model.SerializeToString()), {"Reshape": (1,)}) == {"s"}
