"""Windows written out: explicit pads give what auto_pad and output_shape gave."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from onnx.helper import make_node

from tests.graph.networks import assert_fusion_keeps_numbers, bound_graph, network_proto
from wavetile.engine.graph import fuse

MODES = st.sampled_from(["SAME_UPPER", "SAME_LOWER", "VALID", "NOTSET"])
WEIGHT = np.random.default_rng(1).standard_normal((2, 2, 4)).astype(np.float32)


@settings(max_examples=60, deadline=None)
@given(
    mode=MODES,
    size=st.integers(4, 12),
    kernel=st.integers(1, 4),
    stride=st.integers(1, 3),
    op=st.sampled_from(["Conv", "MaxPool", "AveragePool"]),
)
def test_auto_pad(mode: str, size: int, kernel: int, stride: int, op: str) -> None:
    # Where steps are longer than windows, ONNX Runtime pads by negative amounts, which its pools then refuse.
    assume(kernel >= stride or not mode.startswith("SAME"))
    constants = {"w": WEIGHT[:, :, :kernel]} if op == "Conv" else {}
    node = make_node(op, ["x", *constants], ["y"], auto_pad=mode, kernel_shape=[kernel], strides=[stride])
    fused = assert_fusion_keeps_numbers(network_proto([node], {"x": [1, 2, size]}, ["y"], constants))
    attributes = fused.nodes[0].attributes
    assert "auto_pad" not in attributes
    assert len(attributes["pads"]) == 2
    assert len(attributes["dilations"]) == 1


@settings(max_examples=40, deadline=None)
@given(
    mode=st.sampled_from(["SAME_UPPER", "SAME_LOWER", "VALID", "NOTSET"]),
    size=st.integers(2, 6),
    kernel=st.integers(3, 4),
    stride=st.integers(1, 3),
)
def test_auto_pad_of_a_transposed_convolution(mode: str, size: int, kernel: int, stride: int) -> None:
    node = make_node("ConvTranspose", ["x", "w"], ["y"], auto_pad=mode, strides=[stride])
    model = network_proto([node], {"x": [1, 2, size]}, ["y"], {"w": WEIGHT[:, :, :kernel]})
    fused = assert_fusion_keeps_numbers(model)
    assert fused.nodes[0].attributes["kernel_shape"] == [kernel]
    if stride > 1:  # of stride 1 it is a Conv now
        assert fused.nodes[0].attributes["output_padding"] == [0]


@pytest.mark.parametrize("mode", ["NOTSET", "SAME_UPPER", "SAME_LOWER"])
@pytest.mark.parametrize("wanted", [7, 8, 9, 10])
def test_output_shape_of_a_transposed_convolution(mode: str, wanted: int) -> None:
    node = make_node("ConvTranspose", ["x", "w"], ["y"], auto_pad=mode, strides=[2], output_shape=[wanted])
    fused = assert_fusion_keeps_numbers(network_proto([node], {"x": [1, 2, 4]}, ["y"], {"w": WEIGHT}))
    assert "output_shape" not in fused.nodes[0].attributes


def test_an_output_shape_beyond_all_windows_pads_nothing() -> None:
    node = make_node("ConvTranspose", ["x", "w"], ["y"], name="up", strides=[2], output_shape=[11])
    fused = fuse(bound_graph(network_proto([node], {"x": [1, 2, 4]}, ["y"], {"w": WEIGHT})))
    assert fused.nodes[0].attributes["pads"] == [0, 0]
    assert fused.types["y"].shape == (1, 2, 11)
