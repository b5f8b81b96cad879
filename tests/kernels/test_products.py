"""dense and matmul against sums in float64 and ONNX Runtime, and whole bits across lanes."""

from __future__ import annotations

import numpy as np
import pytest

from wavetile.kernels import packing
from wavetile.kernels.contract import Space
from wavetile.kernels.opcodes import Activation

from .convolution_problems import ALPHA_BETA, activated
from .harness import Constant, Lanes, Out, run_kernel
from .layouts import ALL_BACKENDS, TOGETHER, random_input, random_output
from .tolerances import TOLERANCES


def run_dense(
    backend: str,
    x: Lanes,
    w: np.ndarray,
    b: np.ndarray | None,
    y: Out,
    activation: Activation = Activation.NONE,
    slope: np.ndarray | None = None,
) -> np.ndarray:
    alpha, beta = ALPHA_BETA.get(activation, (0.1, 0.0))
    return run_kernel(
        "dense",
        backend,
        lanes=x.array.shape[0],
        x=x,
        weights=Constant(packing.dense(w)),
        bias=None if b is None else Constant(packing.bias(b)),
        y=y,
        activation=activation,
        alpha=alpha,
        beta=beta,
        slope=None if slope is None else Constant(packing.bias(slope)),
    )["y"]


def random_weights(rng: np.random.Generator, inner: int, columns: int) -> np.ndarray:
    return (rng.standard_normal((inner, columns)) / np.sqrt(inner)).astype(np.float32)


@pytest.mark.parametrize("backend", [*ALL_BACKENDS, *TOGETHER[:1]])
@pytest.mark.parametrize("layout", ["dense", "shuffled"])
@pytest.mark.parametrize("rows", [1, 2, 3, 6, 7, 8, 13, 14, 33])
def test_dense(backend: str, layout: str, rows: int) -> None:
    rng = np.random.default_rng(rows)
    for inner, columns in ((1, 1), (5, 16), (64, 17), (129, 33), (40, 200), (33, 150)):
        x = random_input((rows, inner), int(rng.choice([1, 3])), rng, layout)
        w, b = random_weights(rng, inner, columns), rng.standard_normal(columns).astype(np.float32)
        bias = b if rng.random() < 0.7 else None
        got = run_dense(backend, x, w, bias, random_output((rows, columns), rng, layout))
        expected = x.array.astype(np.float64) @ w + (0 if bias is None else bias)
        np.testing.assert_allclose(got, expected, **TOLERANCES["dense"])


@pytest.mark.parametrize("backend", [*ALL_BACKENDS, *TOGETHER[:1]])
@pytest.mark.parametrize("rows", [1, 5])
@pytest.mark.parametrize("activation", Activation, ids=lambda activation: activation.name)
def test_dense_activations(backend: str, rows: int, activation: Activation) -> None:
    rng = np.random.default_rng(activation)
    x, w, b = random_input((rows, 20), 2, rng, "dense"), random_weights(rng, 20, 37), rng.random(37, np.float32)
    slope = rng.random(37, np.float32)
    got = run_dense(backend, x, w, b, Out((rows, 37)), activation, slope if activation is Activation.PRELU else None)
    sums = (x.array.astype(np.float64) @ w + b).astype(np.float32).reshape(-1, 37)
    expected = activated(sums, activation, *ALPHA_BETA.get(activation, (0.1, 0.0)), slope).reshape(got.shape)
    np.testing.assert_allclose(got, expected, **TOLERANCES["dense"])


@pytest.mark.parametrize("backend", [*ALL_BACKENDS, *TOGETHER[:1]])
def test_dense_between_states(backend: str) -> None:
    rng = np.random.default_rng(0)
    x = Lanes(rng.standard_normal((3, 1, 24)).astype(np.float32), Space.STATE)
    w = random_weights(rng, 24, 40)
    for target in (Out((1, 40), Space.STATE), Out((1, 40))):
        got = run_dense(backend, x, w, None, target)
        np.testing.assert_allclose(got, x.array.astype(np.float64) @ w, **TOLERANCES["dense"])


@pytest.mark.parametrize(("inner", "columns"), [(24, 40), (128, 512), (7, 3), (300, 130)])
def test_lanes_do_not_change_bits(inner: int, columns: int) -> None:
    rng = np.random.default_rng(inner)
    x, w = rng.standard_normal((13, 1, inner)).astype(np.float32), random_weights(rng, inner, columns)
    together = run_dense("cpu", Lanes(x), w, None, Out((1, columns)))
    for lanes in (1, 2, 5):
        part = run_dense("cpu", Lanes(x[:lanes]), w, None, Out((1, columns)))
        assert part.tobytes() == together[:lanes].tobytes()


def test_dense_keeps_nan() -> None:
    x = np.array([[[1.0, np.nan, 2.0], [1.0, 1.0, 1.0]]], np.float32)
    w = np.ones((3, 20), np.float32)
    for activation in (Activation.NONE, Activation.RELU, Activation.CLIP, Activation.SIGMOID, Activation.TANH):
        got = run_dense("cpu", Lanes(x), w, None, Out((2, 20)), activation)
        assert np.isnan(got[0, 0]).all()
        assert not np.isnan(got[0, 1]).any()


@pytest.mark.parametrize("backend", ALL_BACKENDS)
@pytest.mark.parametrize("lanes", [1, 3])
@pytest.mark.parametrize("columns", [1, 5, 16, 17, 48, 70])
def test_matmul(backend: str, lanes: int, columns: int) -> None:
    rng = np.random.default_rng(columns)
    for batch, rows, inner in (((1, 1), 1, 1), ((2, 3), 7, 5), ((1, 2), 33, 16), ((2, 1), 12, 40)):
        a = random_input((*batch, rows, inner), lanes, rng, "shuffled")
        b_array = rng.standard_normal((lanes, *batch, inner, columns)).astype(np.float32)
        row = columns + 3
        b = Lanes(b_array, strides=(batch[1] * inner * row + 1, inner * row, row, 1))
        y = Out((*batch, rows, columns), strides=(batch[1] * rows * row + 2, rows * row, row, 1))
        got = run_kernel("matmul", backend, lanes=lanes, a=a, b=b, y=y)["y"]
        expected = a.array.astype(np.float64) @ b_array
        np.testing.assert_allclose(got, expected, **TOLERANCES["matmul"])


@pytest.mark.parametrize("backend", ALL_BACKENDS)
def test_matmul_repeats_a_matrix(backend: str) -> None:
    rng = np.random.default_rng(0)
    one = rng.standard_normal((1, 1, 4, 6)).astype(np.float32)
    a = rng.standard_normal((1, 3, 2, 5, 4)).astype(np.float32)
    b = Lanes(np.ascontiguousarray(np.broadcast_to(one[:, :, None], (1, 3, 2, 4, 6))), strides=(0, 0, 6, 1))
    b.array[...] = one
    got = run_kernel("matmul", backend, a=Lanes(a), b=b, y=Out((3, 2, 5, 6)))["y"]
    np.testing.assert_allclose(got, a.astype(np.float64) @ one, **TOLERANCES["matmul"])


@pytest.mark.parametrize(("inner", "columns"), [(1, 1), (5, 16), (7, 33)])
def test_packing_can_be_undone(inner: int, columns: int) -> None:
    w = np.random.default_rng(0).standard_normal((inner, columns)).astype(np.float32)
    np.testing.assert_array_equal(packing.unpack_dense(packing.dense(w), inner, columns), w)
