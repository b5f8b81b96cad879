"""Copy, fill and gather move every element to its place, in any layout, and touch nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from wavetile.kernels.contract import Space

from .harness import Before, Constant, Lanes, Out, dense_strides, run_kernel
from .layouts import ALL_BACKENDS, LANES, ones_before, random_input, random_output

SHAPES = ((1,), (16,), (3, 5), (257, 2), (2, 257), (16, 33), (70, 45), (2, 3, 9, 17), (2, 1, 3, 2, 4, 5))


@pytest.mark.parametrize("backend", ALL_BACKENDS)
@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize(
    "layouts", [("dense", "dense"), ("shuffled", "dense"), ("dense", "shuffled"), ("broadcast",) * 2]
)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_copy(backend: str, lanes: int, layouts: tuple[str, str], shape: tuple[int, ...]) -> None:
    for seed in range(4):
        rng = np.random.default_rng(seed)
        x = random_input(ones_before(shape), lanes, rng, layouts[0])
        got = run_kernel("copy", backend, lanes=lanes, x=x, y=random_output(ones_before(shape), rng, layouts[1]))
        np.testing.assert_array_equal(got["y"], x.array)


@pytest.mark.parametrize("backend", ALL_BACKENDS)
@pytest.mark.parametrize("shape", [(16, 33), (33, 16), (64, 64), (8, 8), (257, 2), (2, 257), (41, 23), (100, 7)])
def test_copy_transposed(backend: str, shape: tuple[int, int]) -> None:
    rows, columns = shape
    values = np.arange(2 * 3 * rows * columns, dtype=np.float32).reshape(2, 3, columns, rows)
    x = Lanes(
        np.ascontiguousarray(values.swapaxes(2, 3)).reshape(2, 1, 1, 1, 3, rows, columns),
        strides=(0, 0, 0, rows * columns, 1, rows),
    )
    got = run_kernel("copy", backend, lanes=2, x=x, y=Out(ones_before((3, rows, columns))))
    np.testing.assert_array_equal(got["y"].reshape(2, 3, rows, columns), values.swapaxes(2, 3))


@pytest.mark.parametrize("backend", ALL_BACKENDS)
@pytest.mark.parametrize("step", [2, 3])
@pytest.mark.parametrize("columns", [1, 7, 16, 17, 31, 40])
def test_copy_of_strided_columns(backend: str, step: int, columns: int) -> None:
    values = np.random.default_rng(columns).standard_normal((2, 1, 1, 1, 2, 3, columns)).astype(np.float32)
    row = step * columns
    x = Lanes(values, strides=(0, 0, 0, 4 * row, row, step))
    got = run_kernel("copy", backend, lanes=2, x=x, y=Out(values.shape[1:]))
    np.testing.assert_array_equal(got["y"], values)


@pytest.mark.parametrize("backend", ALL_BACKENDS)
def test_copy_of_every_order_of_axes(backend: str) -> None:
    rng = np.random.default_rng(0)
    for _ in range(40):
        shape = tuple(rng.integers(1, 12, 4))
        source = rng.standard_normal((1, *shape)).astype(np.float32)
        order = rng.permutation(4)
        strides = dense_strides(shape)
        x = Lanes(
            source.transpose(0, *(order + 1)).reshape(1, 1, 1, *(shape[axis] for axis in order)),
            strides=(0, 0, *(strides[axis] for axis in order)),
        )
        got = run_kernel("copy", backend, x=x, y=Out(x.array.shape[1:]))
        np.testing.assert_array_equal(got["y"], x.array)


@pytest.mark.parametrize("backend", ALL_BACKENDS)
@pytest.mark.parametrize("elements", [1, 3, 16, 40, 70])
@pytest.mark.parametrize("shape", [(200,), (5, 40), (40, 5), (3, 1), (70, 3)], ids=str)
def test_copy_down_within_its_own_memory(backend: str, shape: tuple[int, ...], elements: int) -> None:
    for gap in (0, 7):
        rng = np.random.default_rng(elements)
        whole = ones_before(shape)
        strides = (*dense_strides(whole)[:4], shape[-1] + gap, 1)
        x = Lanes(rng.standard_normal((2, *whole)).astype(np.float32), Space.STATE, strides)
        got = run_kernel("copy", backend, lanes=2, x=x, y=Before("x", elements))
        np.testing.assert_array_equal(got["y"], x.array)


@pytest.mark.parametrize("backend", ALL_BACKENDS)
@pytest.mark.parametrize("layout", ["dense", "shuffled"])
def test_fill(backend: str, layout: str) -> None:
    rng = np.random.default_rng(1)
    for shape in SHAPES:
        got = run_kernel("fill", backend, lanes=2, y=random_output(ones_before(shape), rng, layout), value=0.1)
        np.testing.assert_array_equal(got["y"], np.full((2, *ones_before(shape)), np.float32(0.1)))


@pytest.mark.parametrize("backend", ALL_BACKENDS)
@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize("layout", ["dense", "shuffled", "broadcast"])
@pytest.mark.parametrize("inner", [1, 2, 7, 40])
def test_gather(backend: str, lanes: int, layout: str, inner: int) -> None:
    rng = np.random.default_rng(inner)
    indices = rng.integers(-1, 9, 21).astype(np.int32)
    x = random_input((3, 9, inner), lanes, rng, layout)
    y = random_output((3, 21, inner), rng, layout)
    got = run_kernel("gather", backend, lanes=lanes, x=x, indices=Constant(indices), y=y)
    expected = np.where((indices >= 0)[:, None], np.take(x.array, indices, axis=2, mode="wrap"), 0)
    np.testing.assert_array_equal(got["y"], expected)
