"""A 1x1 convolution goes before a resize that makes its input larger, and only then."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import NodeProto
from onnx.helper import make_node

from tests.graph.networks import assert_fusion_keeps_numbers, network_proto


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


def resized(to: dict[str, str], inputs: list[str], *after: NodeProto, kernel: int = 1) -> list[str]:
    """Resize of [1, 6, 5, 4], a convolution to 3 channels, then other nodes: the operators in order after fusion."""
    constants = {
        "scales": np.array([1, 1, 2, 2], np.float32),
        "sizes": np.array([1, 6, 10, 8]),
        "fewer": np.array([1, 6, 3, 2]),
        "w": normal(3, 6, kernel, kernel),
        "b": normal(3),
    }
    nodes = [make_node("Resize", inputs, ["r"], **to), make_node("Conv", ["r", "w", "b"], ["c"]), *after]
    used = {name for node in nodes for name in node.input}
    kept = {name: array for name, array in constants.items() if name in used}
    fused = assert_fusion_keeps_numbers(
        network_proto(
            nodes, {"x": [1, 6, 5, 4]}, [n.output[0] for n in nodes if n.output[0] not in used], kept, opset=18
        )
    )
    return [node.op for node in fused.nodes]


@pytest.mark.parametrize("mode", ["linear", "nearest"])
@pytest.mark.parametrize("inputs", [["x", "", "scales"], ["x", "", "", "sizes"]], ids=["scales", "sizes"])
def test_a_convolution_of_pixels_goes_before_a_growing_resize(mode: str, inputs: list[str]) -> None:
    assert resized({"mode": mode}, inputs) == ["Conv", "Resize"]


def test_a_convolution_stays_behind_a_resize_that_it_does_not_commute_with() -> None:
    linear = {"mode": "linear"}
    assert resized(linear, ["x", "", "", "fewer"]) == ["Resize", "Conv"]
    assert resized(linear, ["x", "", "scales"], kernel=2) == ["Resize", "Conv"]
    assert resized(linear, ["x", "", "scales"], make_node("Relu", ["c"], ["y"])) == ["Resize", "Conv"]
    read_twice = make_node("ReduceSum", ["r"], ["y"])
    assert resized(linear, ["x", "", "scales"], make_node("ReduceSum", ["c"], ["s"]), read_twice)[0] == "Resize"
