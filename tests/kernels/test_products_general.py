"""Products of integers and doubles against Python's own integers and NumPy; determinants against exact fractions."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from tests.kernels.harness import Lanes, Out, run_kernel
from tests.kernels.layouts import ALL_BACKENDS
from wavetile.kernels.contract import ElementType

LANES = 2


def whole(shape: tuple[int, ...], low: int, high: int, dtype: str, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(low, high, shape, endpoint=True).astype(dtype)


@pytest.mark.parametrize("backend", ALL_BACKENDS)
@pytest.mark.parametrize("columns", [1, 7, 64, 65, 130])
@pytest.mark.parametrize("left", ["float32", "int64"])
@pytest.mark.parametrize("right", ["float32", "int64"])
def test_integers_are_exact(backend: str, columns: int, left: str, right: str) -> None:
    # 300 products of 16 bits: float32 would have lost their last digits.
    a, b = whole((LANES, 1, 2, 3, 300), -32768, 32767, left, 1), whole((LANES, 1, 2, 300, columns), 0, 65535, right, 2)
    y = run_kernel(
        "matmul_general",
        backend,
        lanes=LANES,
        a=Lanes(a),
        b=Lanes(b),
        y=Out((1, 2, 3, columns), element=ElementType.INT64),
    )["y"]
    expected = a.astype(int).astype(object) @ b.astype(int).astype(object)
    np.testing.assert_array_equal(y.astype(object), expected)


@pytest.mark.parametrize("backend", ALL_BACKENDS)
def test_integers_of_64_bits_wrap(backend: str) -> None:
    a, b = whole((1, 1, 1, 2, 5), -(2**62), 2**62, "int64", 3), whole((1, 1, 1, 5, 3), -(2**62), 2**62, "int64", 4)
    out = Out((1, 1, 2, 3), element=ElementType.INT64)
    y = run_kernel("matmul_general", backend, a=Lanes(a), b=Lanes(b), y=out)["y"]
    np.testing.assert_array_equal(y, a @ b)


@pytest.mark.parametrize("backend", ALL_BACKENDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_any_strides_and_repeated_matrices(backend: str, dtype: str) -> None:
    generator = np.random.default_rng(5)
    a = generator.standard_normal((LANES, 2, 1, 3, 7)).astype(dtype)
    b = generator.standard_normal((LANES, 2, 3, 7, 70)).astype(dtype)
    element = ElementType[dtype.upper()]
    y = run_kernel(
        "matmul_general",
        backend,
        lanes=LANES,
        a=Lanes(np.broadcast_to(a, (LANES, 2, 3, 3, 7)), strides=(21, 0, 1, 3)),
        b=Lanes(b, strides=(3 * 490, 490, 1, 7)),
        y=Out((2, 3, 3, 70), strides=(630, 210, 1, 3), element=element),
    )["y"]
    np.testing.assert_allclose(y, a.astype(np.float64) @ b.astype(np.float64), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("backend", ALL_BACKENDS)
@pytest.mark.parametrize("n", [1, 2, 3, 6])
def test_determinant(backend: str, n: int) -> None:
    x = whole((LANES, 4, n, n), -9, 9, "float32", n)
    x[0, 0, 0, 0] = 0.0  # the first pivot has to be found elsewhere
    x[1, 1] = 0.0
    strides = (n * n, 1, n)
    y = run_kernel("determinant", backend, lanes=LANES, x=Lanes(x, strides=strides), y=Out((4,), strides=(3,)))["y"]
    expected = [[float(by_minors(matrix.astype(int).tolist())) for matrix in lane] for lane in x]
    np.testing.assert_allclose(y, expected, rtol=1e-6, atol=1e-9 * 9.0**n)


def by_minors(matrix: list[list[int]]) -> Fraction:
    """Laplace's expansion along the first row."""
    if not matrix:
        return Fraction(1)
    signs = ((-1) ** column for column in range(len(matrix)))
    minors = ([row[:column] + row[column + 1 :] for row in matrix[1:]] for column in range(len(matrix)))
    return sum(
        (sign * value * by_minors(minor) for sign, value, minor in zip(signs, matrix[0], minors, strict=True)),
        Fraction(0),
    )
