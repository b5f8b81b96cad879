"""Loading: what is accepted, and what each refusal says."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto
from onnx.helper import make_function, make_node, make_opsetid, make_tensor_value_info

from tests.graph.networks import assert_same_numbers, bound_graph, network_proto
from wavetile.engine.errors import LimitError, ModelError, UnsupportedError
from wavetile.engine.graph import Limits, load_network


def relu_network(opset: int = 17) -> ModelProto:
    return network_proto([make_node("Relu", ["x"], ["y"], name="r")], {"x": ["batch", 3, None]}, ["y"], opset=opset)


def test_reads_names_types_and_hash(tmp_path: Path) -> None:
    data = relu_network().SerializeToString()
    path = tmp_path / "tiny.onnx"
    path.write_bytes(data)
    for source in (path, str(path)):
        network = load_network(source)
        assert network.name == "tiny"
        assert network.path == path
        assert network.sha256 == hashlib.sha256(data).hexdigest()
        assert network.opset == 17
        assert network.inputs == {"x": (np.dtype(np.float32), ("batch", 3, None))}
        assert network.outputs == {"y": (np.dtype(np.float32), (None, None, None))}
    assert load_network(data).path is None


@pytest.mark.parametrize("opset", range(9, onnx.defs.onnx_opset_version() + 1))
def test_accepts_every_supported_operator_set(opset: int) -> None:
    graph = bound_graph(relu_network(opset), shapes={"x": (1, 3, 4)})
    assert [node.opset for node in graph] == [opset]


@pytest.mark.parametrize("opset", [0, onnx.defs.onnx_opset_version() + 1])
def test_refuses_other_operator_sets(opset: int) -> None:
    with pytest.raises(UnsupportedError, match=rf"operator set \[{opset}\]; one from 1 to"):
        load_network(relu_network(opset).SerializeToString())


@pytest.mark.parametrize("opset", [1, 6, 8])
def test_converts_an_old_operator_set(opset: int) -> None:
    network = load_network(relu_network(opset).SerializeToString())
    assert network.opset == 9


def test_refuses_a_newer_format() -> None:
    model = relu_network()
    model.ir_version = onnx.IR_VERSION + 1
    with pytest.raises(UnsupportedError, match=f"format version {onnx.IR_VERSION + 1}"):
        load_network(model.SerializeToString())


def test_refuses_a_missing_operator_set() -> None:
    model = relu_network()
    del model.opset_import[:]
    with pytest.raises(ModelError, match="imports no default operator set"):
        load_network(model.SerializeToString())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"RIFF\x00\x00\x00\x00WAVEfmt ", "not an ONNX"),
        (relu_network().SerializeToString()[:-7], "not an ONNX file, or it is cut short"),
    ],
    ids=["empty", "wave", "cut short"],
)
def test_refuses_what_is_no_onnx_file(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=f"broken.onnx.*{message}"):
        load_network(path)


def test_refuses_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"absent.onnx.*No such file"):
        load_network(tmp_path / "absent.onnx")
    with pytest.raises(ModelError, match="not a regular file"):
        load_network(tmp_path)
    os.mkfifo(tmp_path / "pipe.onnx")
    with pytest.raises(ModelError, match="not a regular file"):
        load_network(tmp_path / "pipe.onnx")


def test_names_an_unknown_operator() -> None:
    model = network_proto([make_node("Reluu", ["x"], ["y"], name="first")], {"x": [1]}, ["y"])
    with pytest.raises(UnsupportedError, match=r"'first' is Reluu.*check its spelling"):
        load_network(model.SerializeToString())


def test_says_which_operator_set_has_the_operator() -> None:
    model = network_proto([make_node("Gelu", ["x"], ["y"], name="g")], {"x": [1]}, ["y"], opset=17)
    with pytest.raises(UnsupportedError, match="'g' is Gelu, which operator set 17 does not have; operator set 20"):
        load_network(model.SerializeToString())


def test_names_a_node_of_a_custom_domain() -> None:
    node = make_node("FusedConv", ["x"], ["y"], name="f", domain="com.microsoft")
    model = network_proto([node], {"x": [1]}, ["y"], domain="com.microsoft")
    with pytest.raises(UnsupportedError, match=r"'f' is com\.microsoft\.FusedConv"):
        load_network(model.SerializeToString())


def test_an_unused_domain_is_fine() -> None:
    model = relu_network()
    model.opset_import.append(make_opsetid("ai.onnx.ml", 2))
    assert load_network(model.SerializeToString()).opset == 17


def test_an_invalid_node_is_refused_with_the_checkers_words() -> None:
    model = network_proto([make_node("Relu", ["x", "x"], ["y"], name="two")], {"x": [1]}, ["y"])
    with pytest.raises(ModelError, match=r"not a valid ONNX network.*two"):
        load_network(model.SerializeToString())


def test_a_sequence_input_is_refused() -> None:
    model = relu_network()
    model.graph.input[0].type.CopyFrom(onnx.helper.make_sequence_type_proto(model.graph.input[0].type))
    with pytest.raises(UnsupportedError, match="'x' is a sequence_type"):
        load_network(model.SerializeToString())


@pytest.mark.parametrize("size", [-2, -(2**31)])
def test_a_negative_dimension_is_refused(size: int) -> None:
    model = relu_network()
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = size
    with pytest.raises(ModelError, match=f"'x' has a dimension of {size}"):
        load_network(model.SerializeToString())


def test_a_dimension_of_minus_one_is_free() -> None:
    model = relu_network()
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = -1
    network = load_network(model.SerializeToString())
    assert network.inputs == {"x": (np.dtype(np.float32), ("batch", None, None))}
    assert bound_graph(model, shapes={"x": (2, 5, 3)}).types["y"].shape == (2, 5, 3)


def test_an_equation_that_inference_would_never_read_is_refused() -> None:
    model = network_proto([make_node("Einsum", ["x"], ["y"], equation="ij->ji")], {"x": [4, 4]}, ["y"])
    model.graph.node[0].attribute[0].s = b"i%j->ij"
    with pytest.raises(ModelError, match="its equation has '%'"):
        bound_graph(model)


def test_initializers_listed_as_inputs_are_weights() -> None:
    model = network_proto([make_node("Add", ["x", "w"], ["y"])], {"x": [2]}, ["y"], {"w": np.ones(2, np.float32)})
    model.graph.input.append(make_tensor_value_info("w", onnx.TensorProto.FLOAT, [2]))
    network = load_network(model.SerializeToString())
    assert list(network.inputs) == ["x"]
    assert not network.initializers["w"].flags.writeable


def function_network(calls: int, depth: int) -> ModelProto:
    """Function 0 is Relu; function i calls function i - 1 `calls` times."""
    imports = [make_opsetid("", 17), make_opsetid("own", 1)]
    functions = [make_function("own", "F0", ["a"], ["b"], [make_node("Relu", ["a"], ["b"])], imports)]
    for level in range(1, depth):
        names = ["a", *(f"t{index}" for index in range(calls - 1)), "b"]
        body = [make_node(f"F{level - 1}", [names[index]], [names[index + 1]], domain="own") for index in range(calls)]
        functions.append(make_function("own", f"F{level}", ["a"], ["b"], body, imports))
    call = make_node(f"F{depth - 1}", ["x"], ["y"], domain="own")
    return network_proto([call], {"x": [2, 3]}, ["y"], functions=functions, domain="own")


def test_model_local_functions_are_inlined() -> None:
    model = function_network(calls=2, depth=3)
    graph = bound_graph(model)
    assert graph.histogram() == {"Relu": 4}
    assert_same_numbers(model, graph)


def test_functions_that_stand_for_too_many_nodes_are_refused_unexpanded() -> None:
    data = function_network(calls=10, depth=4).SerializeToString()  # 1 + 10 + 100 + 1000 calls, 1000 Relus
    load_network(data, limits=Limits(nodes=2111))
    with pytest.raises(LimitError, match="the network has 2111 nodes, the limit is 2110"):
        load_network(data, limits=Limits(nodes=2110))
    with pytest.raises(LimitError, match="nested deeper than 8"):
        load_network(function_network(calls=1, depth=9).SerializeToString())


def test_functions_that_call_themselves_are_refused() -> None:
    model = function_network(calls=1, depth=2)
    model.functions[0].node[0].op_type = "F1"
    model.functions[0].node[0].domain = "own"
    with pytest.raises(LimitError, match="nested deeper"):
        load_network(model.SerializeToString(), limits=Limits(nesting=20))
