"""Inputs and attributes that contradict each other are refused when a network is bound, before anything reads them."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from tests.plan.networks import parse
from wavetile.engine.errors import ModelError
from wavetile.engine.graph import load_network, specialise

AUDIO = "(float[1,4,9] x) => (float[1,C,T] y)"
STEPS = "(float[6,2,5] x) => (float[6,D,2,4] y)"


def of(*shape: int) -> np.ndarray:
    return np.ones(shape, np.float32)


def bind(body: str, constants: dict[str, np.ndarray], opset: int = 17) -> None:
    """Load and bind a network."""
    specialise(load_network(parse(body, opset=opset, constants=constants).SerializeToString()))


@pytest.mark.parametrize(
    ("node", "constants", "reason"),
    [
        ("Conv(x, w)", {"w": of(5, 3, 3)}, r"'w' has the shape \[5, 3, 3\], which .*; \[5, 4, any\] would work"),
        ("Conv<group=2>(x, w)", {"w": of(5, 2, 3)}, r"\[6, 2, any\] would work"),
        ("Conv<group=3>(x, w)", {"w": of(6, 1, 3)}, r"'x' has the shape \[1, 4, 9\], .* \[any, 6, any\] would work"),
        ("Conv<group=0>(x, w)", {"w": of(6, 1, 3)}, "has the group 0; at least 1 would work"),
        ("Conv(x, w, b)", {"w": of(5, 4, 3), "b": of(4)}, r"'b' has the shape \[4\], .* \[5\] would work"),
        ('Conv<auto_pad="SAME">(x, w)', {"w": of(5, 4, 3)}, "has the auto_pad 'SAME'; NOTSET, SAME_UPPER"),
        ("ConvTranspose(x, w)", {"w": of(5, 3, 3)}, r"\[4, any, any\] would work"),
        ("ConvTranspose<group=2>(x, w, b)", {"w": of(4, 5, 3), "b": of(5)}, r"'b' .*; \[10\] would work"),
        ("PRelu(x, s)", {"s": of(3)}, r"'s' has the shape \[3\], .* \[9\] would work"),
        ("PRelu(x, s)", {"s": of(1, 1, 4, 1)}, r"\[1, 4, 9\] would work"),
    ],
)
def test_filters_and_slopes(node: str, constants: dict[str, np.ndarray], reason: str) -> None:
    with pytest.raises(ModelError, match=reason):
        bind(f"{AUDIO} {{ y = {node} }}", constants)


W, R = of(1, 12, 5), of(1, 12, 4)


@pytest.mark.parametrize(
    ("node", "constants", "reason"),
    [
        ("GRU<hidden_size=3>(x, w, r)", {"w": W, "r": R}, r"\[1, 9, 5\] would work"),
        ("GRU<hidden_size=4>(x, w, r)", {"w": of(1, 12, 4), "r": R}, r"'w' .* \[1, 12, 5\] would work"),
        ("GRU<hidden_size=4>(x, w, r)", {"w": of(2, 12, 5), "r": of(2, 12, 4)}, r"\[1, 12, 5\] would work"),
        ("GRU<hidden_size=4>(x, w, r, b)", {"w": W, "r": R, "b": of(1, 12)}, r"'b' .* \[1, 24\] would work"),
        ("GRU<hidden_size=4>(x, w, r, , , h)", {"w": W, "r": R, "h": of(1, 2, 3)}, r"'h' .* \[1, 2, 4\] would work"),
        (
            "GRU<hidden_size=4>(x, w, r, , n)",
            {"w": W, "r": R, "n": np.array([6], np.int32)},
            r"'n' .* \[2\] would work",
        ),
        ("RNN<hidden_size=4>(x, w, r)", {"w": W, "r": R}, r"'w' .* \[1, 4, 5\] would work"),
        (
            "LSTM<hidden_size=4>(x, w, r, , , , , p)",
            {"w": of(1, 16, 5), "r": of(1, 16, 4), "p": of(1, 16)},
            r"'p' .* \[1, 12\] would work",
        ),
    ],
)
def test_recurrences(node: str, constants: dict[str, np.ndarray], reason: str) -> None:
    with pytest.raises(ModelError, match=reason):
        bind(f"{STEPS} {{ y = {node} }}", constants)


def test_deformations() -> None:
    inputs = "float[1,4,9,9] x, float[1,18,9,9] o"
    body = f"({inputs}) => (float[1,C,H,W] y) {{ y = DeformConv<pads=[1,1,1,1]%s>(x, w, o) }}"
    bind(body % "", {"w": of(2, 4, 3, 3)}, 19)
    with pytest.raises(ModelError, match=r"'w' .*; \[2, 4, any, any\] would work"):
        bind(body % "", {"w": of(2, 2, 3, 3)}, 19)
    with pytest.raises(ModelError, match=r"'o' .*; \[1, 36, any, any\] would work"):
        bind(body % ", offset_group=2", {"w": of(2, 4, 3, 3)}, 19)


def test_grids() -> None:
    body = "(float[1,4,9] x) => (uint8[1,4,9] y) { y = QuantizeLinear<axis=1>(x, s, z) }"
    bind(body, {"s": of(4), "z": np.zeros(4, np.uint8)})
    bind(body, {"s": of(1), "z": np.zeros((), np.uint8)})
    for scales, points, reason in ((2, 2, r"'s' .*; \[4\] would work"), (4, 2, r"'z' .*; \[4\] would work")):
        with pytest.raises(ModelError, match=reason):
            bind(body, {"s": of(scales), "z": np.zeros(points, np.uint8)})


def test_regions() -> None:
    mode = 'coordinate_transformation_mode="tf_crop_and_resize"'
    body = f"(float[4,9] x) => (float[2,3] y) {{ y = Resize<{mode}>(x, r, , s) }}"
    sizes = np.array([2, 3])
    bind(body, {"r": of(4), "s": sizes}, 19)
    with pytest.raises(ModelError, match=r"'r' has the shape \[5\], .* \[4\] would work"):
        bind(body, {"r": of(5), "s": sizes}, 19)


def test_an_axis_is_one_that_tensors_have() -> None:
    body = "(int64[2,3] i, float[2] v) => (float[2,3,4] y) { y = OneHot<axis=4294967296>(i, d, v) }"
    with pytest.raises(ModelError, match="has the axis 4294967296, which no tensor has"):
        bind(body, {"d": np.array([4])})


def test_an_output_comes_once() -> None:
    model = parse("(float[3] x) => (float[3] y) { y = Abs(x) }")
    model.graph.output.append(onnx.ValueInfoProto.FromString(model.graph.output[0].SerializeToString()))
    with pytest.raises(ModelError, match="has 2 outputs 'y'; one would work"):
        load_network(model.SerializeToString())
