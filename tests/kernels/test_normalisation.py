"""normalize against NumPy in float64, for every operand that may be absent, strided or repeated."""

from __future__ import annotations

import numpy as np
import pytest

from .harness import Constant, Lanes, Out, run_kernel
from .layouts import ALL_BACKENDS, LANES, random_input, random_output

SHAPES = ((1, 1, 1, 528), (2, 3, 1, 7), (3, 2, 4, 33), (1, 5, 2, 1500), (2, 2, 3, 1))


def expected(
    x: np.ndarray, scale: np.ndarray | float, bias: np.ndarray | float, epsilon: float, centred: int
) -> tuple[np.ndarray, ...]:
    wide = x.astype(np.float64)
    mean = wide.mean((-2, -1), keepdims=True) * centred
    inverse = 1 / np.sqrt(((wide - mean) ** 2).mean((-2, -1), keepdims=True) + epsilon)
    return (wide - mean) * inverse * scale + bias, mean[..., 0, 0], inverse[..., 0, 0]


@pytest.mark.parametrize("backend", ALL_BACKENDS)
@pytest.mark.parametrize("layout", ["dense", "shuffled"])
@pytest.mark.parametrize("centred", [0, 1])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("lanes", LANES)
def test_values(lanes: int, shape: tuple[int, ...], centred: int, layout: str, backend: str) -> None:
    rng = np.random.default_rng(1)
    x = random_input(shape, lanes, rng, layout, (3 + rng.standard_normal((lanes, *shape))).astype(np.float32))
    scale, bias = (random_input(shape, lanes, rng, layout) for _ in range(2))
    made = run_kernel(
        "normalize",
        backend,
        lanes=lanes,
        x=x,
        scale=scale,
        bias=bias,
        y=random_output(shape, rng, layout),
        mean=Out(shape[:2]),
        inverse=Out(shape[:2]),
        epsilon=1e-3,
        centred=centred,
    )
    y, mean, inverse = expected(x.array, scale.array, bias.array, 1e-3, centred)
    np.testing.assert_allclose(made["y"], y, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(made["mean"], mean, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(made["inverse"], inverse, rtol=1e-5)


@pytest.mark.parametrize("backend", ALL_BACKENDS)
@pytest.mark.parametrize("scaled", [None, (0, 0, 0, 1), (0, 1, 0, 0)])
@pytest.mark.parametrize("shifted", [None, (0, 0, 0, 1), (0, 1, 0, 0)])
def test_what_repeats_or_is_absent(scaled: tuple | None, shifted: tuple | None, backend: str) -> None:
    rng = np.random.default_rng(2)
    shape = (2, 3, 2, 37)
    x = rng.standard_normal((1, *shape)).astype(np.float32)

    def repeated(strides: tuple[int, ...] | None) -> np.ndarray | None:
        if strides is None:
            return None
        kept = [size if stride else 1 for size, stride in zip(shape, strides, strict=True)]
        return np.broadcast_to(rng.standard_normal(kept).astype(np.float32), shape).copy()

    scale, bias = repeated(scaled), repeated(shifted)
    tensors = {"scale": (scale, scaled), "bias": (bias, shifted)}
    made = run_kernel(
        "normalize",
        backend,
        lanes=1,
        x=Lanes(x),
        y=Out(shape),
        epsilon=1e-5,
        centred=1,
        **{key: Lanes(array[None], strides=strides) for key, (array, strides) in tensors.items() if array is not None},
    )["y"]
    y, _, _ = expected(x, 1.0 if scale is None else scale, 0.0 if bias is None else bias, 1e-5, 1)
    np.testing.assert_allclose(made, y, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("backend", ALL_BACKENDS)
def test_a_large_mean_does_not_hide_the_variance(backend: str) -> None:
    x = (1e4 + np.random.default_rng(3).standard_normal((1, 1, 1, 1, 4096))).astype(np.float32)
    made = run_kernel("normalize", backend, x=Constant(x[0]), y=Out(x.shape[1:]), epsilon=0.0, centred=1)["y"]
    y, _, _ = expected(x, 1.0, 0.0, 0.0, 1)
    np.testing.assert_allclose(made, y, rtol=0, atol=2e-3)  # half a last place of 1e4
