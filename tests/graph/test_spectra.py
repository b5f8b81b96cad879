"""Convolutions by a windowed Fourier basis become STFTs and keep their numbers; all others stay convolutions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto
from onnx.helper import make_node

from tests.graph.networks import assert_fusion_keeps_numbers, network_proto
from tests.plan.networks import assert_matches, signal

SAMPLES = 96


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
    "hann": hann(32),
    "odd": hann(25),
    "rectangular": np.ones(32),
    "shorter than the transform": np.pad(hann(20), 6),
    "prime": hann(37),
}


@pytest.mark.parametrize(("batch", "step"), [(1, 8), (3, 7), (2, 64)])
@pytest.mark.parametrize("name", WINDOWS)
def test_a_fourier_basis(name: str, batch: int, step: int) -> None:
    model = convolution(basis(WINDOWS[name]), batch=batch, strides=[step])
    histogram = assert_fusion_keeps_numbers(model).histogram()
    assert histogram == {"Reshape": 2, "STFT": 1, "Transpose": 1}


@pytest.mark.parametrize("opset", [15, 20])
def test_a_fourier_basis_of_another_operator_set(opset: int) -> None:
    assert "STFT" in assert_fusion_keeps_numbers(convolution(basis(hann(32)), opset=opset)).histogram()


@pytest.mark.parametrize("backend", ["reference", "cpu"])
@pytest.mark.parametrize("name", WINDOWS)
def test_its_numbers(name: str, backend: str) -> None:
    feeds = {"x": signal((2, 1, SAMPLES))}
    assert_matches(convolution(basis(WINDOWS[name]), batch=2, strides=[8]), feeds, backend)


def changed(change: Callable[[np.ndarray], None]) -> np.ndarray:
    weights = basis(hann(32))
    change(weights)
    return weights


def one_tap_off(weights: np.ndarray) -> None:
    weights[20, 0, 16] += 1e-6


def one_tap_where_the_window_is_zero(weights: np.ndarray) -> None:
    weights[5, 0, 0] = 1e-7


def turning_back(weights: np.ndarray) -> None:
    weights[17:] *= -1


OTHERS = {
    "a tap that is off by a millionth": convolution(changed(one_tap_off)),
    "a tap where the window has none": convolution(changed(one_tap_where_the_window_is_zero)),
    "sines of the other sign": convolution(changed(turning_back)),
    "half the bins": convolution(basis(hann(32))[:17]),
    "padded": convolution(basis(hann(32)), pads=[4, 4]),
    "dilated": convolution(basis(hann(32)), dilations=[2]),
    "biased": convolution(basis(hann(32)), biased=True),
    "short": convolution(basis(hann(8))),
}


@pytest.mark.parametrize("name", OTHERS)
def test_all_else_stays(name: str) -> None:
    assert assert_fusion_keeps_numbers(OTHERS[name]).histogram() == {"Conv": 1}


def product(matrix: np.ndarray, opset: int = 17) -> ModelProto:
    """Frames [5, n], turned and multiplied by a matrix [2, bins, n], as tf2onnx writes an RFFT."""
    nodes = [make_node("Transpose", ["x"], ["t"], name="t"), make_node("MatMul", ["w", "t"], ["y"], name="p")]
    return network_proto(nodes, {"x": [5, matrix.shape[2]]}, ["y"], {"w": matrix}, opset=opset)


@pytest.mark.parametrize("opset", [15, 17, 20])
@pytest.mark.parametrize("size", [16, 25, 64])
def test_a_product_with_the_fourier_matrix(size: int, opset: int) -> None:
    model = product(basis(np.ones(size)).reshape(2, -1, size), opset)
    assert assert_fusion_keeps_numbers(model).histogram()["DFT"] == 1
    assert_matches(model, {"x": signal((5, size))}, "cpu")


def test_products_with_other_matrices_stay() -> None:
    for matrix in (basis(hann(32)), -basis(np.ones(32)), basis(np.ones(32))[::-1]):
        model = product(np.ascontiguousarray(matrix.reshape(2, -1, 32)))
        assert assert_fusion_keeps_numbers(model).histogram() == {"MatMul": 1, "Transpose": 1}
