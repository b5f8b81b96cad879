"""Networks written down for one size are bound to others, by the names that their dimensions are given."""

from __future__ import annotations

import numpy as np
import pytest
from onnx.helper import make_node

from tests.graph.networks import assert_same_numbers, network_proto
from wavetile.engine.errors import ModelError
from wavetile.engine.graph import free_axes, load_network, specialise

NODES = [
    make_node("MaxPool", ["x"], ["small"], name="pool", kernel_shape=[2, 2], strides=[2, 2]),
    make_node("Resize", ["small", "", "scales"], ["large"], name="grow"),
    make_node("Concat", ["large", "y"], ["z"], name="join", axis=1),
]
SCALES = {"scales": np.array([1, 1, 2, 2], np.float32)}


def image(rows: int, columns: int) -> bytes:
    sizes = {name: [1, channels, rows, columns] for name, channels in (("x", 2), ("y", 1))}
    return network_proto(NODES, sizes, ["z"], SCALES).SerializeToString()


AXES = {name: {-2: "rows", 3: "columns"} for name in ("x", "y")}


def test_a_network_for_one_size_is_that_for_another() -> None:
    free = free_axes(load_network(image(8, 8)), AXES)
    assert {name: declared.dims for name, declared in free.inputs.items()} == {
        "x": (1, 2, "rows", "columns"),
        "y": (1, 1, "rows", "columns"),
    }
    assert free.outputs["z"].dims == (None, None, None, None)
    graph = specialise(free, {"x": (1, 2, 6, 10)})
    assert graph.types["z"].shape == (1, 3, 6, 10)
    assert_same_numbers(image(6, 10), graph)


def test_the_given_network_stays_as_it_is() -> None:
    network = load_network(image(8, 8))
    free_axes(network, AXES)
    with pytest.raises(ModelError, match="dimension 2 must be 8, not 6"):
        specialise(network, {"x": (1, 2, 6, 8)})


def test_inputs_that_share_a_name_agree_and_other_dimensions_stay() -> None:
    free = free_axes(load_network(image(8, 8)), AXES)
    with pytest.raises(ModelError, match=r"'rows' is 4 in .* but input 'x' made it 6"):
        specialise(free, {"x": (1, 2, 6, 8), "y": (1, 1, 4, 8)})
    with pytest.raises(ModelError, match="dimension 1 must be 2, not 3"):
        specialise(free, {"x": (1, 3, 6, 8)})


def test_a_size_inside_the_network_is_named_when_it_is_bound() -> None:
    nodes = [make_node("Reshape", ["x", "shape"], ["z"], name="flat")]
    network = load_network(
        network_proto(nodes, {"x": [1, 8, 8]}, ["z"], {"shape": np.array([1, 64], np.int64)}).SerializeToString()
    )
    with pytest.raises(ModelError, match="Reshape 'flat'"):
        specialise(free_axes(network, {"x": {1: "rows"}}), {"x": (1, 12, 8)})


@pytest.mark.parametrize(
    ("axes", "words"),
    [({"q": {0: "rows"}}, "no input 'q'; x, y would work"), ({"x": {4: "rows"}}, "it has no dimension 4")],
)
def test_what_is_not_there_is_refused(axes: dict[str, dict[int, str]], words: str) -> None:
    with pytest.raises(ModelError, match=words):
        free_axes(load_network(image(8, 8)), axes)
