"""Limits: each is refused by its own error, before anything of that size exists."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import GraphProto, ModelProto, TensorProto
from onnx.helper import make_node

from tests.graph.networks import bound_graph, graph_proto, network_proto
from wavetile.engine.errors import LimitError, ModelError, UnsupportedError
from wavetile.engine.graph import Limits, load_network, specialise

MIB = 1 << 20


def scaled(weight: np.ndarray) -> ModelProto:
    return network_proto([make_node("Mul", ["x", "w"], ["y"], name="scale")], {"x": [4]}, ["y"], {"w": weight})


def test_file_size_is_checked_before_reading(tmp_path: Path) -> None:
    path = tmp_path / "huge.onnx"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(LimitError, match=rf"huge.onnx' has {1 << 40} bytes.*Limits\(file_bytes="):
        load_network(path)
    data = scaled(np.ones(4, np.float32)).SerializeToString()
    load_network(data, limits=Limits(file_bytes=len(data)))
    with pytest.raises(LimitError, match="file_bytes"):
        load_network(data, limits=Limits(file_bytes=len(data) - 1))


def test_a_claimed_tensor_is_not_allocated() -> None:
    model = scaled(np.ones(4, np.float32))
    model.graph.initializer[0].dims[:] = [10**6, 10**6]
    tracemalloc.start()
    try:
        with pytest.raises(
            LimitError, match=r"tensor 'w' of dimensions \[1000000, 1000000\] takes 4000000000000 bytes"
        ):
            load_network(model.SerializeToString())
        assert tracemalloc.get_traced_memory()[1] < MIB
    finally:
        tracemalloc.stop()


def test_a_claimed_tensor_attribute_is_not_allocated() -> None:
    value = TensorProto(name="v", data_type=TensorProto.FLOAT, dims=[1 << 31])
    model = network_proto([make_node("Constant", [], ["y"], value=value)], {}, ["y"])
    with pytest.raises(LimitError, match="tensor 'v'"):
        load_network(model.SerializeToString())


@pytest.mark.parametrize("dims", [[-1, -4], [5], [0, 4], [3]])
def test_dimensions_that_are_not_the_data_s_are_refused(dims: list[int]) -> None:
    model = scaled(np.ones(4, np.float32))
    model.graph.initializer[0].dims[:] = dims
    with pytest.raises(ModelError, match="w"):
        load_network(model.SerializeToString())


def test_an_unknown_data_type_is_refused() -> None:
    model = scaled(np.ones(4, np.float32))
    model.graph.initializer[0].data_type = 99
    with pytest.raises(ModelError, match="tensor 'w' has data type 99"):
        load_network(model.SerializeToString())


def test_one_tensor_and_all_tensors() -> None:
    data = scaled(np.ones(4, np.float32)).SerializeToString()
    load_network(data, limits=Limits(tensor_bytes=16, initializer_bytes=16))
    with pytest.raises(LimitError, match="takes 16 bytes, the limit is 15"):
        load_network(data, limits=Limits(tensor_bytes=15))
    with pytest.raises(LimitError, match="together, the limit is 15"):
        load_network(data, limits=Limits(initializer_bytes=15))


def test_sparse_tensors_are_refused() -> None:
    model = scaled(np.ones(4, np.float32))
    sparse = model.graph.sparse_initializer.add()
    sparse.values.CopyFrom(onnx.numpy_helper.from_array(np.ones(1, np.float32), "s"))
    sparse.dims[:] = [10**9, 10**9]
    with pytest.raises(UnsupportedError, match="'s' is sparse"):
        load_network(model.SerializeToString())


def nested_ifs(depth: int) -> ModelProto:
    """Every level is an If whose branches hold the next one."""

    def level(remaining: int) -> GraphProto:
        if not remaining:
            return graph_proto([make_node("Relu", ["x"], ["o0"])], {}, ["o0"])
        inner, name = level(remaining - 1), f"o{remaining}"
        node = make_node("If", ["c"], [name], then_branch=inner, else_branch=inner)
        return graph_proto([node], {}, [name])

    graph = level(depth)
    return network_proto(list(graph.node), {"x": [2]}, [f"o{depth}"], {"c": np.array(True)})


def test_nodes_of_subgraphs_count() -> None:
    data = nested_ifs(2).SerializeToString()  # 1 + 2 * (1 + 2 * 1) = 7 nodes
    load_network(data, limits=Limits(nodes=7))
    with pytest.raises(LimitError, match="the network has 7 nodes, the limit is 6"):
        load_network(data, limits=Limits(nodes=6))


def test_nesting() -> None:
    data = nested_ifs(3).SerializeToString()
    load_network(data, limits=Limits(nesting=3))
    with pytest.raises(LimitError, match="nested deeper than 2"):
        load_network(data, limits=Limits(nesting=2))


@pytest.mark.parametrize(
    ("op", "inputs"),
    [("ConstantOfShape", ["n"]), ("Expand", ["one", "n"]), ("Tile", ["one", "n"]), ("Range", ["zero", "end", "step"])],
)
def test_a_huge_constant_is_refused_without_being_made(op: str, inputs: list[str]) -> None:
    constants = {
        "n": np.array([1 << 40]),
        "one": np.ones(1, np.float32),
        "zero": np.array(0),
        "end": np.array(1 << 40),
        "step": np.array(1),
    }
    nodes = [make_node(op, inputs, ["big"], name="grow"), make_node("Cast", ["big"], ["y"], to=1)]
    model = network_proto(nodes, {}, ["y"], {name: constants[name] for name in inputs})
    tracemalloc.start()
    try:
        with pytest.raises(LimitError, match=f"{op} 'grow'.*tensor_bytes"):
            bound_graph(model)
        assert tracemalloc.get_traced_memory()[1] < 64 * MIB
    finally:
        tracemalloc.stop()


def test_a_value_of_the_bound_graph_has_the_tensor_limit() -> None:
    model = network_proto([make_node("Relu", ["x"], ["y"], name="r")], {"x": ["n"]}, ["y"])
    network = load_network(model.SerializeToString(), limits=Limits(tensor_bytes=400))
    assert specialise(network, {"x": (100,)}).types["y"].nbytes == 400
    with pytest.raises(LimitError, match="input 'x' is float32"):
        specialise(network, {"x": (101,)})


def test_constants_over_the_folding_limit_stay_nodes() -> None:
    nodes = [make_node("Neg", ["w"], ["m"], name="n"), make_node("Add", ["x", "m"], ["y"], name="a")]
    model = network_proto(nodes, {"x": [8]}, ["y"], {"w": np.arange(8, dtype=np.float32)})
    data = model.SerializeToString()
    assert specialise(load_network(data)).histogram() == {"Add": 1}
    small = load_network(data, limits=Limits(folded_elements=15))
    assert specialise(small).histogram() == {"Add": 1, "Neg": 1}
