"""Quantisation against exact decimal arithmetic: ties go to even, limits hold, and broadcast rows are all alike."""

from __future__ import annotations

import numpy as np
import pytest

from tests.kernels.harness import Constant, Lanes, Out, run_kernel
from tests.kernels.layouts import ALL_BACKENDS

LANES = 2
SHAPE = (1, 1, 1, 2, 3, 37)
SPREADS = {
    "tensor": (0, 0, 0, 0, 0, 0),
    "channel": (0, 0, 0, 0, 1, 0),
    "column": (0, 0, 0, 0, 0, 1),
}


def spread(values: np.ndarray, kind: str) -> np.ndarray:
    """[*SHAPE] with a value of its own for each channel or column, or one for all."""
    index = {"tensor": np.zeros(SHAPE, int), "channel": np.indices(SHAPE)[4], "column": np.indices(SHAPE)[5]}[kind]
    return values[index]


def stored(values: np.ndarray, kind: str) -> Lanes:
    """The same as an operand: zero strides where a value is repeated."""
    return Lanes(np.stack([spread(values, kind)] * LANES), strides=SPREADS[kind])


@pytest.mark.parametrize("backend", ALL_BACKENDS)
@pytest.mark.parametrize("kind", SPREADS)
@pytest.mark.parametrize("dense", [True, False])
def test_quantize_and_back(backend: str, kind: str, dense: bool) -> None:
    generator = np.random.default_rng(1)
    scale = generator.uniform(0.01, 0.3, 37).astype(np.float32)
    zero = generator.integers(100, 150, 37).astype(np.float32)
    x = (generator.standard_normal((LANES, *SHAPE)) * 20).astype(np.float32)
    # Exact ties: half a step, on both sides of an even number.
    x[0, 0, 0, 0, 0, :, :6] = spread(scale, kind)[0, 0, 0, 0, :, :6] * np.array([0.5, 1.5, 2.5, -0.5, -1.5, 3.5])
    strides = None if dense else (1, 1, 1, 3 * 37, 1, 3)
    y, restored = (
        run_kernel(
            "quantize",
            backend,
            lanes=LANES,
            x=Lanes(x, strides=strides),
            scale=stored(scale, kind),
            zero_point=stored(zero, kind),
            y=Out(SHAPE, strides=strides),
            low=0.0,
            high=255.0,
            restored=restored,
        )["y"]
        for restored in (0, 1)
    )
    # A quotient of float32 is the float64 one rounded: there are digits enough for it to be rounded twice.
    quotient = (x.astype(np.float64) / spread(scale, kind)).astype(np.float32)
    expected = [
        min(max(round(float(q)) + int(z), 0), 255)
        for q, z in zip(quotient.flat, np.stack([spread(zero, kind)] * LANES).flat, strict=True)
    ]
    np.testing.assert_array_equal(y.ravel(), expected)

    back = run_kernel(
        "dequantize",
        backend,
        lanes=LANES,
        x=Lanes(y, strides=strides),
        scale=stored(scale, kind),
        zero_point=stored(zero, kind),
        y=Out(SHAPE, strides=strides),
    )["y"]
    np.testing.assert_array_equal(back, (y - spread(zero, kind)) * spread(scale, kind))
    np.testing.assert_array_equal(restored, back)


@pytest.mark.parametrize("backend", ALL_BACKENDS)
@pytest.mark.parametrize(("low", "high"), [(-128, 127), (-8, 7), (0, 3), (0, 65535), (-32768, 32767)])
def test_limits(backend: str, low: int, high: int) -> None:
    x = np.array([-np.inf, -1e30, low - 1, low, high, high + 1, 1e30, np.inf], np.float32).reshape(1, 1, 1, 1, 1, 1, 8)
    one, none = np.ones((1,) * 5 + (8,), np.float32), np.zeros((1,) * 5 + (8,), np.float32)
    y = run_kernel(
        "quantize",
        backend,
        x=Lanes(x),
        scale=Constant(one),
        zero_point=Constant(none),
        y=Out(x.shape[1:]),
        low=float(low),
        high=float(high),
        restored=0,
    )["y"]
    np.testing.assert_array_equal(y.ravel(), [low, low, low, low, high, high, high, high])


@pytest.mark.parametrize("backend", ALL_BACKENDS)
@pytest.mark.parametrize(("low", "high"), [(0.0, 255.0), (-128.0, 127.0)])
def test_what_is_no_number(low: float, high: float, backend: str) -> None:
    """NaN becomes the least integer, as onnxruntime has it on x86; infinities are limited."""
    x = np.resize(np.array([np.nan, np.inf, -np.inf, 2], np.float32), (1, *SHAPE))
    one, zero = (Lanes(np.full((1, *SHAPE), value, np.float32)) for value in (1, 3))
    y = run_kernel(
        "quantize",
        backend,
        lanes=1,
        x=Lanes(x),
        scale=one,
        zero_point=zero,
        y=Out(SHAPE),
        low=low,
        high=high,
        restored=0,
    )["y"]
    np.testing.assert_array_equal(y.ravel(), np.resize([low, high, low, 5], x.size))
