"""Passes that declare values name them beside those of the network, also where it has the very name already."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import ModelProto
from onnx.helper import make_node

from tests.graph.networks import Constants, Dims, assert_fusion_keeps_numbers, bound_graph, network_proto
from tests.graph.test_spectra import basis, hann
from wavetile.engine.graph import fuse

WINDOWED = basis(hann(128))
FOURIER = basis(np.ones(128)).reshape(2, 65, 128)
PIXELS = np.ones((6, 4, 1, 1), np.float32)

NETWORKS: dict[str, tuple[list, dict[str, Dims], Constants]] = {
    "spectra": ([make_node("Conv", ["x", "w"], ["y"])], {"x": [2, 1, 300]}, {"w": WINDOWED}),
    "products with a Fourier matrix": ([make_node("MatMul", ["w", "x"], ["y"])], {"x": [128, 5]}, {"w": FOURIER}),
    "sums of convolutions": (
        [
            make_node("Conv", ["x", "w"], ["p"], strides=[2, 2]),
            make_node("Conv", ["x", "w"], ["q"], strides=[2, 2]),
            make_node("Add", ["p", "q"], ["y"]),
        ],
        {"x": [1, 4, 5, 5]},
        {"w": PIXELS},
    ),
    "layer normalisation": (
        [
            make_node("ReduceMean", ["x"], ["m"], axes=[-1]),
            make_node("Sub", ["x", "m"], ["d"]),
            make_node("Mul", ["d", "d"], ["q"]),
            make_node("ReduceMean", ["q"], ["v"], axes=[-1]),
            make_node("Add", ["v", "w"], ["e"]),
            make_node("Sqrt", ["e"], ["r"]),
            make_node("Div", ["d", "r"], ["y"]),
        ],
        {"x": [3, 7]},
        {"w": np.array(1e-3, np.float32)},
    ),
}


def network(name: str, taken: list[str]) -> ModelProto:
    """The network, with further outputs of the names that are `taken`."""
    nodes, inputs, constants = NETWORKS[name]
    others = [make_node("Neg", ["x"], [each]) for each in taken]
    return network_proto([*others, *nodes], inputs, ["y", *taken], constants)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_name_that_is_taken(name: str) -> None:
    bound = bound_graph(network(name, []))
    declared = sorted(fuse(bound).types.keys() - bound.types.keys())
    assert declared
    assert_fusion_keeps_numbers(network(name, declared))
