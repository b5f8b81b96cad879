"""Order along an axis against NumPy's sorts, with equals and NaN among the values."""

from __future__ import annotations

import numpy as np
import pytest

from wavetile.kernels.contract import ElementType
from wavetile.kernels.opcodes_indexing import Cumulate

from .harness import Lanes, Out, run_kernel
from .layouts import ALL_BACKENDS, random_input, random_output
from .test_indexing import CARRIERS, LANES

INT64 = ElementType.INT64


def ties(shape: tuple[int, ...], dtype: str, seed: int, nan: bool = True) -> np.ndarray:
    """[lanes, *shape] of few different values, infinities and NaN among those of floats."""
    values = np.random.default_rng(seed).integers(-3, 4, (LANES, *shape))
    if dtype == "int64":
        return values * (1 << 60)
    values = values.astype(dtype)
    return np.where(values == 3, np.nan, np.where(values == -3, -np.inf, values)).astype(dtype) if nan else values


def sortable(x: np.ndarray) -> np.ndarray:
    """The rank of each value among all, NaN last, as integers that can be negated."""
    return np.unique(x, return_inverse=True)[1].reshape(x.shape)


@pytest.mark.parametrize("backend", ALL_BACKENDS)
@pytest.mark.parametrize("dtype", CARRIERS)
@pytest.mark.parametrize("largest", [0, 1])
@pytest.mark.parametrize("last", [0, 1])
@pytest.mark.parametrize("inner", [1, 4, 70])
def test_arg_reduce(backend: str, dtype: str, largest: int, last: int, inner: int) -> None:
    rng = np.random.default_rng(1)
    shape = (3, 7, inner)
    x = random_input(shape, LANES, rng, "shuffled", ties(shape, dtype, 2))
    out = Out((3, inner), strides=random_output((3, inner), rng, "shuffled").strides, element=INT64)
    y = run_kernel("arg_reduce", backend, lanes=LANES, largest=largest, last=last, x=x, y=out)["y"]
    ranks = sortable(x.array) * (1 if largest else -1)
    expected = 6 - ranks[:, :, ::-1].argmax(2) if last else ranks.argmax(2)
    np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize("backend", ALL_BACKENDS)
@pytest.mark.parametrize("dtype", CARRIERS)
@pytest.mark.parametrize("largest", [0, 1])
@pytest.mark.parametrize("k", [1, 2, 5, 24, 25])
def test_top_k(backend: str, dtype: str, largest: int, k: int) -> None:
    rng = np.random.default_rng(k)
    shape = (2, 25, 3)
    x = random_input(shape, LANES, rng, "shuffled", ties(shape, dtype, 3))
    outs = [random_output((2, k, 3), rng, "shuffled") for _ in range(2)]
    got = run_kernel(
        "top_k",
        backend,
        lanes=LANES,
        largest=largest,
        x=x,
        values=Out(outs[0].shape, strides=outs[0].strides, element=CARRIERS[dtype]),
        indices=Out(outs[1].shape, strides=outs[1].strides, element=INT64),
    )
    order = np.argsort(sortable(x.array) * (-1 if largest else 1), axis=2, kind="stable")[:, :, :k]
    np.testing.assert_array_equal(got["indices"], order)
    np.testing.assert_array_equal(got["values"], np.take_along_axis(x.array, order, axis=2))


@pytest.mark.parametrize("backend", ALL_BACKENDS)
@pytest.mark.parametrize("dtype", CARRIERS)
@pytest.mark.parametrize("operator", list(Cumulate), ids=lambda operator: operator.name)
@pytest.mark.parametrize("exclusive", [0, 1])
@pytest.mark.parametrize("inner", [3, 70])
def test_cumulate(backend: str, dtype: str, operator: Cumulate, exclusive: int, inner: int) -> None:
    rng = np.random.default_rng(4)
    shape = (2, 9, inner)
    x = random_input(shape, LANES, rng, "shuffled", ties(shape, dtype, 5, nan=False))
    out = Out(shape, strides=random_output(shape, rng, "shuffled").strides, element=CARRIERS[dtype])
    y = run_kernel("cumulate", backend, lanes=LANES, operator=operator, exclusive=exclusive, x=x, y=out)["y"]
    function, neutral = (np.cumsum, 0) if operator is Cumulate.SUM else (np.cumprod, 1)
    expected = function(x.array, axis=2)
    if exclusive:
        expected = np.concatenate([np.full_like(expected[:, :, :1], neutral), expected[:, :, :-1]], axis=2)
    np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize("backend", ALL_BACKENDS)
@pytest.mark.parametrize("dtype", CARRIERS)
@pytest.mark.parametrize("exclusive", [0, 1])
@pytest.mark.parametrize("length", [31, 32, 33, 70])
def test_running_sums_along_a_long_axis(backend: str, dtype: str, exclusive: int, length: int) -> None:
    rng = np.random.default_rng(length)
    shape = (2, length, 3)
    x = random_input(shape, LANES, rng, "shuffled", ties(shape, dtype, 6, nan=False))
    out = Out(shape, strides=random_output(shape, rng, "shuffled").strides, element=CARRIERS[dtype])
    y = run_kernel("cumulate", backend, lanes=LANES, operator=Cumulate.SUM, exclusive=exclusive, x=x, y=out)["y"]
    np.testing.assert_array_equal(y, np.cumsum(x.array, axis=2) - exclusive * x.array)


@pytest.mark.parametrize("backend", ALL_BACKENDS)
def test_running_sums_of_float32_round_once(backend: str) -> None:
    x = np.random.default_rng(6).random((1, 1, 5000, 1)).astype(np.float32)
    y = run_kernel("cumulate", backend, operator=Cumulate.SUM, exclusive=0, x=Lanes(x), y=Out((1, 5000, 1)))["y"]
    np.testing.assert_array_equal(y, np.cumsum(x, axis=2, dtype=np.float64).astype(np.float32))


@pytest.mark.parametrize("backend", ALL_BACKENDS)
@pytest.mark.parametrize("dtype", CARRIERS)
@pytest.mark.parametrize("ordered", [0, 1])
@pytest.mark.parametrize("width", [1, 2])
def test_unique(backend: str, dtype: str, ordered: int, width: int) -> None:
    rng = np.random.default_rng(7)
    rows = 150
    x = random_input((rows, width), LANES, rng, "shuffled", ties((rows, width), dtype, 8, nan=width == 1))
    names = ("first", "inverse", "counts")
    got = run_kernel(
        "unique",
        backend,
        lanes=LANES,
        ordered=ordered,
        x=x,
        y=Out((rows, width), element=CARRIERS[dtype]),
        count=Out((1,), element=INT64),
        **{name: Out((rows,), element=INT64) for name in names},
    )
    for lane in range(LANES):
        values = x.array[lane, :, 0] if width == 1 else x.array[lane]
        y, first, inverse, counts = np.unique(values, True, True, True, axis=None if width == 1 else 0)
        order = np.arange(len(first)) if ordered else np.argsort(first)
        found = int(got["count"][lane, 0])
        assert found == len(first)
        np.testing.assert_array_equal(got["y"][lane, :found].reshape(y.shape), y[order])
        np.testing.assert_array_equal(got["first"][lane, :found], first[order])
        np.testing.assert_array_equal(got["counts"][lane, :found], counts[order])
        np.testing.assert_array_equal(order[got["inverse"][lane]], inverse.reshape(-1))
        assert not got["y"][lane, found:].any()
        assert not got["first"][lane, found:].any()
        assert not got["counts"][lane, found:].any()
