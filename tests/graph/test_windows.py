"""Windows written out: explicit pads give what auto_pad and output_shape gave."""

from __future__ import annotations

from typing import Any

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


@pytest.mark.parametrize("op", ["Conv", "ConvInteger", "MaxPool", "AveragePool", "LpPool"])
@pytest.mark.parametrize(
    ("size", "kernel", "stride", "dilation", "pads"),
    [(1, 2, 2, 1, 0), (3, 5, 8, 1, 0), (4, 2, 7, 4, 0), (1, 4, 3, 1, 1), (4, 4, 3, 1, 0), (2, 4, 3, 1, 1)],
)
@pytest.mark.parametrize("mode", ["NOTSET", "VALID"])
def test_an_input_shorter_than_a_window_has_none(
    op: str, size: int, kernel: int, stride: int, dilation: int, pads: int, mode: str
) -> None:
    """ONNX's own inference rounds the negative rest towards zero, and finds a window."""
    attributes: dict[str, Any] = {"auto_pad": mode} if mode == "VALID" else {"pads": [pads, pads]}
    pads = 0 if mode == "VALID" else pads
    weights = {"Conv": np.float32, "ConvInteger": np.uint8}
    constants = {"w": np.ones((1, 1, kernel), weights[op])} if op in weights else {}
    node = make_node(
        op, ["x", *constants], ["y"], kernel_shape=[kernel], strides=[stride], dilations=[dilation], **attributes
    )
    dtypes = {"x": np.uint8, "y": np.int32} if op == "ConvInteger" else {}
    graph = bound_graph(network_proto([node], {"x": [1, 1, size]}, ["y"], constants, opset=19, dtypes=dtypes))
    expected = (size + 2 * pads - (kernel - 1) * dilation - 1) // stride + 1
    assert expected in (0, 1)
    assert graph.types["y"].shape == (1, 1, expected)
