"""The pools against ONNX Runtime: padding, strides, dilation, ceil mode, divisors."""

from __future__ import annotations

import numpy as np
import pytest

from wavetile.kernels.schemas.window import window_operands

from .convolution_problems import onnx_node
from .harness import Lanes, Out, run_kernel
from .layouts import ALL_BACKENDS, random_input, random_output
from .tolerances import TOLERANCES


def run_pool(
    kernel: str, backend: str, x: Lanes, y: Out, window: dict[str, tuple[int, ...]], include: int = 0
) -> np.ndarray:
    return run_kernel(
        kernel,
        backend,
        lanes=x.array.shape[0],
        x=x,
        y=y,
        **window_operands(window["kernel"], window["stride"], window["dilation"], window["pads"][:2]),
        pad_bottom=window["pads"][2],
        pad_right=window["pads"][3],
        count_include_pad=include,
    )["y"]


def random_window(rng: np.random.Generator, size: tuple[int, int]) -> dict[str, tuple[int, ...]]:
    """A window that fits into the image, with padding below the kernel's size as ONNX wants it."""
    kernel = tuple(int(rng.integers(1, min(4, n) + 1)) for n in size)
    dilation = tuple(int(rng.integers(1, 3)) if (k - 1) * 2 < n else 1 for k, n in zip(kernel, size, strict=True))
    return {
        "kernel": kernel,
        "stride": tuple(int(rng.integers(1, 4)) for _ in range(2)),
        "dilation": dilation,
        "pads": tuple(int(rng.integers(0, k)) for k in kernel * 2),
    }


@pytest.mark.parametrize("backend", ALL_BACKENDS)
@pytest.mark.parametrize("layout", ["dense", "shuffled"])
@pytest.mark.parametrize("kernel", ["max_pool", "average_pool"])
@pytest.mark.parametrize("seed", range(10))
def test_pools(kernel: str, backend: str, layout: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for width in (1, 4, 17, int(rng.integers(20, 70))):
        size = int(rng.integers(1, 9)), width
        window = random_window(rng, size)
        lanes, include, ceil = int(rng.choice([1, 2])), int(rng.integers(0, 2)), int(rng.integers(0, 2))
        x = random_input((2, 3, *size), lanes, rng, layout)
        attributes = {
            "kernel_shape": window["kernel"],
            "strides": window["stride"],
            "dilations": window["dilation"],
            "pads": window["pads"],
            "ceil_mode": ceil,
        }
        if kernel == "average_pool":
            attributes["count_include_pad"] = include
        name = {"max_pool": "MaxPool", "average_pool": "AveragePool"}[kernel]
        expected = onnx_node(name, [x.array.reshape(-1, 3, *size)], **attributes)
        y = random_output((2, *expected.shape[1:]), rng, layout)
        got = run_pool(kernel, backend, x, y, window, include)
        np.testing.assert_allclose(got, expected.reshape(got.shape), **TOLERANCES[kernel], err_msg=f"{attributes}")


@pytest.mark.parametrize("kernel", ["max_pool", "average_pool"])
@pytest.mark.parametrize("width", [31, 32, 33, 34, 66, 100])
@pytest.mark.parametrize("height", [(1, 1), (2, 0), (3, 1)], ids=str)
def test_windows_that_halve_an_image(kernel: str, width: int, height: tuple[int, int]) -> None:
    rows, pad = height
    window = {"kernel": (rows, 2), "stride": (rows, 2), "dilation": (1, 1), "pads": (min(pad, rows - 1), 0, 0, 0)}
    x = random_input((2, 3, 7, width), 2, np.random.default_rng(width), "dense")
    attributes = {"kernel_shape": window["kernel"], "strides": window["stride"], "pads": window["pads"]}
    name = {"max_pool": "MaxPool", "average_pool": "AveragePool"}[kernel]
    expected = onnx_node(name, [x.array.reshape(-1, 3, 7, width)], **attributes)
    got = run_pool(kernel, "cpu", x, Out((2, *expected.shape[1:])), window)
    np.testing.assert_allclose(got, expected.reshape(got.shape), **TOLERANCES[kernel])


@pytest.mark.parametrize("backend", ALL_BACKENDS)
def test_max_pool_keeps_nan(backend: str) -> None:
    x = np.arange(8, dtype=np.float32).reshape(1, 1, 1, 1, 8)
    x[..., [0, 3]] = np.nan
    window = {"kernel": (1, 2), "stride": (1, 2), "dilation": (1, 1), "pads": (0, 0, 0, 0)}
    got = run_pool("max_pool", backend, Lanes(x), Out((1, 1, 1, 4)), window)
    np.testing.assert_array_equal(got.ravel(), [np.nan, np.nan, 5, 7])
