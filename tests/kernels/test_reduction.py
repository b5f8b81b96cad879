"""Reduce and softmax against ONNX Runtime and against sums in float64, along and across every layout."""

from __future__ import annotations

from math import fsum

import numpy as np
import pytest

from wavetile.kernels.opcodes import Reduce

from .harness import Lanes, Out, run_kernel
from .layouts import ALL_BACKENDS, LANES, random_input, random_output
from .test_elementwise import onnx_run
from .tolerances import TOLERANCES

ONNX_NAME = {
    Reduce.SUM: "ReduceSum",
    Reduce.MEAN: "ReduceMean",
    Reduce.MAX: "ReduceMax",
    Reduce.MIN: "ReduceMin",
    Reduce.PROD: "ReduceProd",
    Reduce.SUM_SQUARE: "ReduceSumSquare",
    Reduce.L1: "ReduceL1",
    Reduce.L2: "ReduceL2",
}
# Kept axes, then reduced ones.
SHAPES = (
    (1, 1, 1, 1, 1, 64),
    (1, 1, 8, 1, 1, 33),
    (2, 3, 5, 1, 2, 33),
    (1, 1, 130, 1, 1, 2),
    (1, 2, 70, 3, 1, 7),
    (1, 1, 3, 2, 5, 1),
)


@pytest.mark.parametrize("backend", ALL_BACKENDS)
@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize("layout", ["dense", "shuffled", "broadcast"])
@pytest.mark.parametrize("operator", ONNX_NAME, ids=lambda operator: operator.name)
def test_reduce(backend: str, lanes: int, layout: str, operator: Reduce) -> None:
    rng = np.random.default_rng(operator)
    for shape in SHAPES:
        for _ in range(3):
            x = random_input(shape, lanes, rng, layout)
            y = random_output(shape[:3], rng, layout)
            got = run_kernel("reduce", backend, lanes=lanes, operator=operator, x=x, y=y)
            axes = np.array([4, 5, 6])
            if operator in (Reduce.SUM, Reduce.MEAN):
                expected = x.array.astype(np.float64).sum((4, 5, 6))
                if operator is Reduce.MEAN:
                    expected /= np.prod(shape[3:])
            else:
                expected = onnx_run(ONNX_NAME[operator], [x.array, axes], keepdims=0)
            np.testing.assert_allclose(got["y"], expected, **TOLERANCES["reduce"])


@pytest.mark.parametrize("backend", ALL_BACKENDS)
def test_reduce_across_contiguous_kept_axis(backend: str) -> None:
    rng = np.random.default_rng(0)
    frames = rng.standard_normal((2, 300, 96)).astype(np.float32)  # [lanes, frequency, channels], mean over frequency
    x = Lanes(
        frames.swapaxes(1, 2).reshape(2, 1, 1, 96, 1, 1, 300),
        strides=(0, 0, 1, 0, 0, 96),
    )
    got = run_kernel("reduce", backend, lanes=2, operator=Reduce.MEAN, x=x, y=Out((1, 1, 96)))
    expected = onnx_run("ReduceMean", [frames, np.array([1])], keepdims=0)
    np.testing.assert_allclose(got["y"].reshape(2, 96), expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("operator", [Reduce.SUM, Reduce.MEAN], ids=lambda operator: operator.name)
@pytest.mark.parametrize("columns", [2, 15, 16, 17, 33, 64, 65, 129])
def test_sums_of_few_rows_across_every_width(operator: Reduce, columns: int) -> None:
    rng = np.random.default_rng(columns)
    for rows in ((1, 1, 1), (1, 1, 12), (2, 3, 4), (1, 1, 128), (1, 1, 129)):
        planes = rng.standard_normal((2, *rows, columns)).astype(np.float32)
        strides = (0, 0, 1, *(int(np.prod(rows[axis + 1 :])) * columns for axis in range(3)))
        x = Lanes(np.moveaxis(planes, 4, 1)[:, None, None], strides=strides)
        got = run_kernel("reduce", "cpu", lanes=2, operator=operator, x=x, y=Out((1, 1, columns)))
        expected = planes.astype(np.float64).sum((1, 2, 3))
        expected /= np.prod(rows) if operator is Reduce.MEAN else 1
        np.testing.assert_allclose(got["y"].reshape(2, columns), expected, **TOLERANCES["reduce"])


@pytest.mark.parametrize("backend", ALL_BACKENDS)
@pytest.mark.parametrize("strides", [(0, 0, 0, 0, 0, 1), (0, 0, 1, 0, 0, 2)], ids=["along", "across"])
def test_long_sums_stay_accurate(backend: str, strides: tuple[int, ...]) -> None:
    values = (1 + np.random.default_rng(0).random(200_000)).astype(np.float32)
    kept = 2 if strides[2] else 1
    x = values.reshape(1, 1, 1, -1, kept).swapaxes(3, 4).reshape(1, 1, 1, kept, 1, 1, -1)
    got = run_kernel("reduce", backend, operator=Reduce.SUM, x=Lanes(x, strides=strides), y=Out((1, 1, kept)))
    expected = [fsum(row.tolist()) for row in x.reshape(kept, -1)]
    np.testing.assert_allclose(got["y"].reshape(-1), expected, rtol=5e-7)


@pytest.mark.parametrize("backend", ALL_BACKENDS)
@pytest.mark.parametrize("operator", ONNX_NAME, ids=lambda operator: operator.name)
@pytest.mark.parametrize("shape", [(1, 1, 2, 1, 1, 90), (1, 1, 90, 1, 1, 2)], ids=str)
@pytest.mark.parametrize("nan", [np.float32(np.nan), -np.float32(np.nan)], ids=["nan", "negative nan"])
def test_nan_passes_through(backend: str, operator: Reduce, shape: tuple[int, ...], nan: np.float32) -> None:
    values = np.ones((1, *shape), np.float32)
    values[0, 0, 0, 1, 0, 0, 0] = nan
    got = run_kernel("reduce", backend, operator=operator, x=Lanes(values), y=Out(shape[:3]))["y"].reshape(-1)
    assert np.isnan(got[1])
    assert not np.isnan(np.delete(got, 1)).any()


@pytest.mark.parametrize("backend", ALL_BACKENDS)
@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize("layout", ["dense", "shuffled", "broadcast"])
@pytest.mark.parametrize("logarithm", [0, 1])
@pytest.mark.parametrize(
    "shape", [(1, 33, 1), (4, 1, 1), (3, 8, 5), (1, 5, 70), (2, 300, 1), (96, 24, 1), (17, 64, 1), (40, 3, 1)], ids=str
)
def test_softmax(backend: str, lanes: int, layout: str, logarithm: int, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(sum(shape))
    x = random_input(shape, lanes, rng, layout, (5 * rng.standard_normal((lanes, *shape))).astype(np.float32))
    got = run_kernel("softmax", backend, lanes=lanes, x=x, y=random_output(shape, rng, layout), logarithm=logarithm)
    expected = onnx_run("LogSoftmax" if logarithm else "Softmax", [x.array], axis=2)
    np.testing.assert_allclose(got["y"], expected, **TOLERANCES["log_softmax" if logarithm else "softmax"])


@pytest.mark.parametrize("backend", ALL_BACKENDS)
@pytest.mark.parametrize("shape", [(1, 20, 4100), (6, 4200, 1)], ids=str)
def test_many_rows_and_long_ones(backend: str, shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(2).standard_normal((1, *shape), np.float32)
    got = run_kernel("softmax", backend, x=Lanes(x), y=Out(shape), logarithm=0)["y"]
    np.testing.assert_allclose(got, onnx_run("Softmax", [x], axis=2), **TOLERANCES["softmax"])


@pytest.mark.parametrize("backend", ALL_BACKENDS)
@pytest.mark.parametrize("shape", [(1, 40, 1), (1, 2, 40)], ids=str)
def test_softmax_of_special_values(backend: str, shape: tuple[int, ...]) -> None:
    x = np.zeros((1, *shape), np.float32)
    x[0, 0, 0] = -np.inf
    x[0, 0, 1] = 1e30
    got = run_kernel("softmax", backend, x=Lanes(x), y=Out(shape), logarithm=0)["y"]
    np.testing.assert_array_equal(got[0, 0, 0], 0)
    np.testing.assert_array_equal(got[0, 0, 1], 1)
    x[0, 0, 1, 0] = np.nan
    got = run_kernel("softmax", backend, x=Lanes(x), y=Out(shape), logarithm=0)["y"]
    assert np.isnan(got[0, 0, :, 0]).all()
    assert not np.isnan(got[0, 0, :, 1:]).any()


@pytest.mark.parametrize("strides", [None, (0, 0, 1, 0, 0, 50)], ids=["along", "across"])
def test_bits_do_not_depend_on_company(strides: tuple[int, ...] | None) -> None:
    x = random_input((1, 1, 50, 1, 1, 333), 4, np.random.default_rng(0), "dense").array
    arguments = {"operator": Reduce.SUM, "y": Out((1, 1, 50))}
    together = run_kernel("reduce", "cpu", lanes=4, x=Lanes(x, strides=strides), **arguments)["y"]
    for lane in range(4):
        alone = run_kernel("reduce", "cpu", x=Lanes(x[[lane]], strides=strides), **arguments)["y"]
        assert alone.tobytes() == together[lane].tobytes()
