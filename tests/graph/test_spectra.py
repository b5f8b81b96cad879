"""Convolutions by a windowed Fourier basis become STFTs and keep their numbers; all others stay convolutions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto
from onnx.helper import make_node

from tests.graph.networks import assert_fusion_keeps_numbers, bound_graph, network_proto
from tests.plan.networks import assert_matches, signal
from wavetile.engine.graph import fuse

SAMPLES = 400


def basis(window: np.ndarray) -> np.ndarray:
    """The weights [2 bins, 1, n] that exporters write: a Fourier matrix of float64, windowed, rounded to float32."""
    matrix = np.fft.rfft(np.eye(len(window)), axis=0) * window
    return np.concatenate([matrix.real, matrix.imag])[:, None].astype(np.float32)


def hann(size: int) -> np.ndarray:
    return np.hanning(size + 1)[:-1]


def convolution(
    weights: np.ndarray, *, batch: int = 1, biased: bool = False, opset: int = 17, **attributes: Any
) -> ModelProto:
    constants = {"w": weights} | ({"b": signal((len(weights),))} if biased else {})
    node = make_node("Conv", ["x", *constants], ["y"], name="spectrum", **attributes)
    return network_proto([node], {"x": [batch, 1, SAMPLES]}, ["y"], constants, opset=opset)


WINDOWS = {
    "hann": hann(128),
    "odd": hann(135),
    "rectangular": np.ones(128),
    "shorter than the transform": np.pad(hann(116), 6),
}


@pytest.mark.parametrize("backend", ["reference", "cpu"])
@pytest.mark.parametrize(("batch", "step"), [(1, 8), (3, 7), (2, 64)])
@pytest.mark.parametrize("name", WINDOWS)
def test_a_fourier_basis(name: str, batch: int, step: int, backend: str) -> None:
    model = convolution(basis(WINDOWS[name]), batch=batch, strides=[step])
    assert fuse(bound_graph(model)).histogram() == {"Reshape": 2, "STFT": 1, "Transpose": 1}
    assert_matches(model, {"x": signal((batch, 1, SAMPLES))}, backend)


def changed(change: Callable[[np.ndarray], None]) -> np.ndarray:
    weights = basis(hann(128))
    change(weights)
    return weights


def one_tap_off(weights: np.ndarray) -> None:
    weights[20, 0, 16] += 1e-6


def one_tap_where_the_window_is_zero(weights: np.ndarray) -> None:
    weights[5, 0, 0] = 1e-7


def turning_back(weights: np.ndarray) -> None:
    weights[65:] *= -1


OTHERS = {
    "a tap that is off by a millionth": convolution(changed(one_tap_off)),
    "a tap where the window has none": convolution(changed(one_tap_where_the_window_is_zero)),
    "sines of the other sign": convolution(changed(turning_back)),
    "half the bins": convolution(basis(hann(128))[:65]),
    "padded": convolution(basis(hann(128)), pads=[4, 4]),
    "dilated": convolution(basis(hann(128)), dilations=[2]),
    "biased": convolution(basis(hann(128)), biased=True),
    "short": convolution(basis(hann(100))),
    "of a length with a large prime factor": convolution(basis(hann(140))),
}


@pytest.mark.parametrize("name", OTHERS)
def test_all_else_stays(name: str) -> None:
    assert assert_fusion_keeps_numbers(OTHERS[name]).histogram() == {"Conv": 1}


def product(matrix: np.ndarray, opset: int = 17) -> ModelProto:
    """Frames [5, n], turned and multiplied by a matrix [2, bins, n], as tf2onnx writes an RFFT."""
    nodes = [make_node("Transpose", ["x"], ["t"], name="t"), make_node("MatMul", ["w", "t"], ["y"], name="p")]
    return network_proto(nodes, {"x": [5, matrix.shape[2]]}, ["y"], {"w": matrix}, opset=opset)


@pytest.mark.parametrize("opset", [15, 17, 20])
@pytest.mark.parametrize("size", [128, 135, 320])
def test_a_product_with_the_fourier_matrix(size: int, opset: int) -> None:
    model = product(basis(np.ones(size)).reshape(2, -1, size), opset)
    assert fuse(bound_graph(model)).histogram()["STFT"] == 1
    assert_matches(model, {"x": signal((5, size))}, "cpu")


def test_products_with_other_matrices_stay() -> None:
    for matrix in (basis(hann(128)), -basis(np.ones(128)), basis(np.ones(128))[::-1]):
        model = product(np.ascontiguousarray(matrix.reshape(2, -1, 128)))
        assert assert_fusion_keeps_numbers(model).histogram() == {"MatMul": 1, "Transpose": 1}
