"""Interpolation along one axis against SciPy-free sums in exact float64 order, for long and short inner axes."""

from __future__ import annotations

import numpy as np
import pytest

from tests.kernels.harness import Constant, Lanes, Out, run_kernel
from tests.kernels.layouts import ALL_BACKENDS
from wavetile.kernels.contract import Space


@pytest.mark.parametrize("backend", ALL_BACKENDS)
@pytest.mark.parametrize("inner", [1, 3, 8, 64, 131])
@pytest.mark.parametrize("taps", [1, 4, 9])
def test_equals_the_matrix_of_its_weights(backend: str, inner: int, taps: int) -> None:
    generator = np.random.default_rng(inner * taps)
    x = generator.standard_normal((2, 3, 10, inner), np.float32)
    positions = generator.integers(0, 10, (17, taps)).astype(np.int32)
    weights = generator.standard_normal((17, taps), np.float32)
    matrix = np.zeros((17, 10))
    np.add.at(matrix, (np.arange(17)[:, None], positions), weights)
    expected = matrix @ x.astype(np.float64)
    for source, target in (
        (Lanes(x), Out((3, 17, inner))),
        (Lanes(x, strides=(10 * inner, 1, 10)), Out((3, 17, inner), strides=(17 * inner, 1, 17))),
        (Lanes(x, Space.STATE), Out((3, 17, inner), Space.STATE)),
    ):
        y = run_kernel(
            "interpolate",
            backend,
            lanes=2,
            x=source,
            positions=Constant(positions),
            weights=Constant(weights),
            y=target,
        )["y"]
        np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)


def test_a_lane_has_the_same_bits_alone_and_among_others() -> None:
    x = np.random.default_rng(0).standard_normal((3, 2, 10, 37), np.float32)
    positions = np.arange(24, dtype=np.int32).reshape(6, 4) % 10
    constants = {"positions": Constant(positions), "weights": Constant(np.full((6, 4), 0.3, np.float32))}
    together = run_kernel("interpolate", "cpu", lanes=3, x=Lanes(x), y=Out((2, 6, 37)), **constants)["y"]
    for lane in range(3):
        one = x[lane : lane + 1]
        alone = run_kernel("interpolate", "cpu", lanes=1, x=Lanes(one), y=Out((2, 6, 37)), **constants)["y"]
        assert alone.tobytes() == together[lane].tobytes()
