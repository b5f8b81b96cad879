"""Transposed convolutions of stride 1 become plain ones where padding allows, and keep their numbers."""

from __future__ import annotations

import pytest
from onnx.helper import make_node

from tests.graph.networks import assert_fusion_keeps_numbers, network_proto
from tests.plan.networks import signal

CASES = {
    "one place": ([1, 1], {}, 1, "Conv"),
    "three places": ([3, 2], {"pads": [1, 0, 1, 1]}, 1, "Conv"),
    "groups": ([1, 3], {"group": 2, "pads": [0, 1, 0, 1]}, 2, "Conv"),
    "dilated": ([2, 3], {"dilations": [2, 2], "pads": [2, 1, 0, 3]}, 1, "Conv"),
    "cropped beyond the kernel": ([1, 2], {"pads": [0, 2, 0, 0]}, 1, "ConvTranspose"),
    "stride 2": ([2, 2], {"strides": [1, 2]}, 1, "ConvTranspose"),
}


@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize("name", CASES)
def test_stride_one(name: str, biased: bool) -> None:
    kernel, attributes, groups, expected = CASES[name]
    node = make_node("ConvTranspose", ["x", "w", "b"] if biased else ["x", "w"], ["y"], name="c", **attributes)
    constants = {"w": signal((4, 6 // groups, *kernel))} | ({"b": signal((6,))} if biased else {})
    model = network_proto([node], {"x": [2, 4, 5, 7]}, ["y"], constants, opset=13)
    assert assert_fusion_keeps_numbers(model).histogram() == {expected: 1}
