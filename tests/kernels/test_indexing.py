"""Gathers and scatters at arriving positions against NumPy, in any layout, some positions outside the axis."""

from __future__ import annotations

import numpy as np
import pytest

from wavetile.kernels.contract import ElementType
from wavetile.kernels.opcodes_indexing import Scatter
from wavetile.kernels.schemas.indexing import NOWHERE

from .harness import Constant, Lanes, Out, run_kernel
from .layouts import ALL_BACKENDS, BACKENDS, random_input, random_output

CARRIERS = {"float32": ElementType.FLOAT32, "int64": ElementType.INT64, "float64": ElementType.FLOAT64}
LANES = 2
HEADS = (2, 1, 3, 2)


def numbers(shape: tuple[int, ...], dtype: str, seed: int) -> np.ndarray:
    """[lanes, *shape] random; integers that float64 does not hold."""
    rng = np.random.default_rng(seed)
    if dtype == "int64":
        return rng.integers(-(1 << 62), 1 << 62, (LANES, *shape))
    return rng.standard_normal((LANES, *shape)).astype(dtype)


def wild_positions(shape: tuple[int, ...], size: int, seed: int) -> np.ndarray:
    """[lanes, *shape] int64: all that an axis has, from either end, just outside it, and far outside."""
    rng = np.random.default_rng(seed)
    found = rng.integers(-size - 1, size + 1, (LANES, *shape))
    found.reshape(-1)[:4] = [NOWHERE, np.iinfo(np.int64).max, size, -size - 1]
    return found


@pytest.mark.parametrize("backend", ALL_BACKENDS)
@pytest.mark.parametrize("inner", [1, 5])
@pytest.mark.parametrize("layout", ["dense", "shuffled", "broadcast"])
@pytest.mark.parametrize("dtype", CARRIERS)
def test_gather_at(backend: str, dtype: str, layout: str, inner: int) -> None:
    rng = np.random.default_rng(1)
    size, count = 4, 9
    x = random_input((*HEADS, size, inner), LANES, rng, layout, numbers((*HEADS, size, inner), dtype, 2))
    indices = wild_positions((*HEADS, count), size, 3)
    out = random_output((*HEADS, count, inner), rng, layout)
    out = Out(out.shape, strides=out.strides, element=CARRIERS[dtype])
    y = run_kernel("gather_at", backend, lanes=LANES, x=x, indices=Lanes(indices), y=out)["y"]
    expected = np.zeros_like(y)
    for place in np.ndindex(*indices.shape):
        if -size <= indices[place] < size:
            expected[place] = x.array[(*place[:-1], indices[place])]
    np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize("backend", ALL_BACKENDS)
def test_heads_share_positions(backend: str) -> None:
    x = numbers((1, 1, 1, 3, 6, 2), "float32", 4)
    table = Lanes(np.broadcast_to(np.array([5, -1, 0]), (LANES, 1, 1, 1, 3, 3)), strides=(0, 0, 0, 0, 1))
    y = run_kernel("gather_at", backend, lanes=LANES, x=Lanes(x), indices=table, y=Out((1, 1, 1, 3, 3, 2)))["y"]
    np.testing.assert_array_equal(y, x[..., [5, 5, 0], :])


SCATTERS = {
    Scatter.NONE: lambda old, new: new,
    Scatter.ADD: np.add,
    Scatter.MUL: np.multiply,
    Scatter.MAX: np.maximum,
    Scatter.MIN: np.minimum,
}


@pytest.mark.parametrize("backend", ALL_BACKENDS)
@pytest.mark.parametrize("layout", ["dense", "shuffled"])
@pytest.mark.parametrize("dtype", CARRIERS)
@pytest.mark.parametrize("reduction", list(Scatter), ids=lambda reduction: reduction.name)
def test_scatter_at(backend: str, reduction: Scatter, dtype: str, layout: str) -> None:
    rng = np.random.default_rng(5)
    size, count, inner = 4, 9, 3
    y = random_input((*HEADS, size, inner), LANES, rng, layout, numbers((*HEADS, size, inner), dtype, 6))
    values = numbers((*HEADS, count, inner), dtype, 7)
    if dtype != "int64":
        values[:, 0, 0, 0, 0, 5] = np.nan
    updates = random_input((*HEADS, count, inner), LANES, rng, "broadcast", values)
    indices = wild_positions((*HEADS, count), size, 8)
    expected = y.array.copy()
    for place in np.ndindex(*indices.shape):
        if -size <= indices[place] < size:
            target = (*place[:-1], indices[place])
            expected[target] = SCATTERS[reduction](expected[target], updates.array[place])
    got = run_kernel(
        "scatter_at", backend, lanes=LANES, reduction=reduction, indices=Lanes(indices), updates=updates, y=y
    )
    np.testing.assert_array_equal(got["y"], expected)


@pytest.mark.parametrize("backend", ALL_BACKENDS)
def test_flat_positions(backend: str) -> None:
    sizes = (3, 4, 5)
    indices = np.random.default_rng(9).integers(-4, 5, (LANES, 200, 3))
    indices[0, :3] = [[NOWHERE, 0, 0], [0, np.iinfo(np.int64).max, 0], [2, 3, -5]]
    y = run_kernel(
        "flat_positions",
        backend,
        lanes=LANES,
        indices=Lanes(indices),
        sizes=Constant(np.array(sizes, np.int32)),
        y=Out((200,), element=ElementType.INT64),
    )["y"]
    box = np.arange(60).reshape(sizes)
    for place in np.ndindex(*y.shape):
        index = tuple(indices[place].tolist())
        inside = all(-size <= i < size for i, size in zip(index, sizes, strict=True))
        assert y[place] == (box[index] if inside else NOWHERE)


@pytest.mark.parametrize("backend", ALL_BACKENDS)
@pytest.mark.parametrize("dtype", CARRIERS)
def test_non_zero(backend: str, dtype: str) -> None:
    x = numbers((150,), dtype, 10) * np.random.default_rng(11).integers(0, 2, (LANES, 150)).astype(dtype)
    x[1, :] = 0
    element = ElementType.INT64
    got = run_kernel(
        "non_zero", backend, lanes=LANES, x=Lanes(x), y=Out((150,), element=element), count=Out((1,), element=element)
    )
    for lane in range(LANES):
        found = np.flatnonzero(x[lane])
        assert got["count"][lane, 0] == len(found)
        np.testing.assert_array_equal(got["y"][lane, : len(found)], found)
        assert (got["y"][lane, len(found) :] == NOWHERE).all()


@pytest.mark.parametrize("backend", BACKENDS)
def test_bits(backend: str) -> None:
    shape = (1, 1, 1, 2, 3, 5)
    values = numbers(shape, "float32", 12)
    values.reshape(-1)[:4] = [-0.0, np.inf, np.nan, 1e-42]
    words = run_kernel("bits", backend, lanes=LANES, x=Lanes(values), y=Out(shape, element=ElementType.INT64))["y"]
    np.testing.assert_array_equal(words, values.view(np.int32))
    back = run_kernel("bits", backend, lanes=LANES, x=Lanes(words & 0xFFFFFFFF), y=Out(shape))["y"]
    assert back.tobytes() == values.tobytes()
