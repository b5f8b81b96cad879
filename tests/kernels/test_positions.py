"""Pooling that keeps positions against ONNX Runtime, and placing against a loop."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper

from wavetile.kernels.contract import ElementType

from .harness import Lanes, Out, run_kernel
from .layouts import ALL_BACKENDS, random_input, random_output

AXES, SIDES = ("depth", "height", "width"), ("front", "top", "left")


def max_pool_on_onnxruntime(x: np.ndarray, **attributes: Any) -> list[np.ndarray]:
    node = helper.make_node("MaxPool", ["x"], ["y", "i"], **attributes)
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    outputs.append(helper.make_tensor_value_info("i", TensorProto.INT64, None))
    graph = helper.make_graph([node], "one", [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)], outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return [np.asarray(value) for value in session.run(None, {"x": x})]


def run_pool(backend: str, x: Lanes, y: Out, positions: Out, column_major: int, **window: tuple[int, ...]) -> dict:
    geometry = {
        f"{what}_{axis}": window[what][i] for what in ("kernel", "stride", "dilation") for i, axis in enumerate(AXES)
    }
    pads = {f"pad_{side}": window["pads"][i] for i, side in enumerate(SIDES)}
    lanes = x.array.shape[0]
    return run_kernel(
        "max_pool_positions",
        backend,
        lanes=lanes,
        x=x,
        y=y,
        positions=positions,
        column_major=column_major,
        **geometry,
        **pads,
    )


@pytest.mark.parametrize("backend", ALL_BACKENDS)
@pytest.mark.parametrize("layout", ["dense", "shuffled"])
@pytest.mark.parametrize("seed", range(8))
def test_random_pools(backend: str, layout: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(3):
        size = tuple(int(rng.integers(1, 8)) for _ in range(3))
        kernel = tuple(int(rng.integers(1, min(3, n) + 1)) for n in size)
        dilation = tuple(int(rng.integers(1, 3)) if (k - 1) * 2 < n else 1 for k, n in zip(kernel, size, strict=True))
        stride = tuple(int(rng.integers(1, 4)) for _ in range(3))
        pads = tuple(int(rng.integers(0, k)) for k in kernel * 2)
        column_major, lanes = int(rng.integers(0, 2)), int(rng.choice([1, 3]))
        # Few different values, so that windows have several largest ones.
        values = rng.integers(0, 4, (lanes, 2, 3, *size)).astype(np.float32)
        x = random_input(values.shape[1:], lanes, rng, layout, values)
        expected, indices = zip(
            *(
                max_pool_on_onnxruntime(
                    lane, kernel_shape=kernel, strides=stride, dilations=dilation, pads=pads, storage_order=column_major
                )
                for lane in values
            ),
            strict=True,
        )
        y = random_output(expected[0].shape, rng, layout)
        positions = Out(y.shape, strides=y.strides, element=ElementType.INT64)
        got = run_pool(
            backend, x, y, positions, column_major, kernel=kernel, stride=stride, dilation=dilation, pads=pads
        )
        np.testing.assert_array_equal(got["y"], np.stack(expected))
        np.testing.assert_array_equal(got["positions"], np.stack(indices))


@pytest.mark.parametrize("backend", ALL_BACKENDS)
def test_nan_is_the_largest_and_nothing_is_nowhere(backend: str) -> None:
    x = np.arange(8, dtype=np.float32)
    x[[2, 3, 5]] = np.nan, np.nan, -np.inf
    window = {"kernel": (1, 1, 2), "stride": (1, 1, 2), "dilation": (1, 1, 1), "pads": (0, 0, 2)}
    out = Out((1, 1, 1, 1, 5)), Out((1, 1, 1, 1, 5), element=ElementType.INT64)
    got = run_pool(backend, Lanes(x.reshape(1, 1, 1, 1, 1, 8)), *out, 0, **window)
    np.testing.assert_array_equal(got["y"].ravel(), [-np.inf, 1, np.nan, 4, 7])
    assert got["positions"].ravel().tolist() == [-1, 1, 2, 4, 7]


@pytest.mark.parametrize("backend", ALL_BACKENDS)
@pytest.mark.parametrize(("count", "elements"), [(30, 20), (1500, 900)])
def test_place(backend: str, count: int, elements: int) -> None:
    rng = np.random.default_rng(0)
    x, positions = rng.standard_normal((2, count), np.float32), rng.integers(-3, elements + 5, (2, count))
    expected = np.full((2, elements), np.nan, np.float32)  # what nobody writes stays
    for lane in range(2):
        for value, position in zip(x[lane], positions[lane], strict=True):
            if 0 <= position < elements:
                expected[lane, position] = value
    got = run_kernel("place", backend, lanes=2, x=Lanes(x), positions=Lanes(positions), y=Out((elements,)))["y"]
    np.testing.assert_array_equal(got, expected)
