"""Fourier transforms on both back ends against numpy.fft in float64: lengths, views, lanes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from wavetile.kernels.contract import Space
from wavetile.kernels.errors import KernelError
from wavetile.kernels.packing_spectrum import complex_fft_tables, fft_tables, radices

from .harness import Constant, Lanes, Out, run_kernel
from .layouts import ALL_BACKENDS
from .tolerances import fft_tolerance

LENGTHS = (
    *range(1, 129),
    160,
    200,
    240,
    256,
    320,
    400,
    441,
    480,
    512,
    640,
    768,
    882,
    960,
    1000,
    1009,
    1024,
    1764,
    2048,
)


def pairs(spectrum: np.ndarray) -> np.ndarray:
    """complex [...] -> float32 [..., 2]."""
    return np.stack([np.real(spectrum), np.imag(spectrum)], -1).astype(np.float32)


def signal(*shape: int) -> np.ndarray:
    return np.random.default_rng(shape[-1]).standard_normal(shape).astype(np.float32)


def forward(backend: str, x: np.ndarray, changed: dict[str, Any] | None = None) -> np.ndarray:
    """x [lanes, rows, n] -> [lanes, rows, n // 2 + 1, 2]."""
    lanes, rows, n = x.shape
    operands = {"x": Lanes(x), "tables": Constant(fft_tables(n)), "y": Out((rows, n // 2 + 1, 2))}
    return run_kernel("real_fft", backend, lanes=lanes, **(operands | (changed or {})))["y"]


def inverse(backend: str, spectrum: np.ndarray, n: int, changed: dict[str, Any] | None = None) -> np.ndarray:
    """[lanes, rows, n // 2 + 1, 2] -> [lanes, rows, n]."""
    lanes, rows = spectrum.shape[:2]
    operands = {"x": Lanes(spectrum), "tables": Constant(fft_tables(n)), "y": Out((rows, n))}
    return run_kernel("inverse_real_fft", backend, lanes=lanes, **(operands | (changed or {})))["y"]


def transform(backend: str, x: np.ndarray, inverse: int, changed: dict[str, Any] | None = None) -> np.ndarray:
    """[lanes, rows, n, 2] -> [lanes, rows, n, 2]."""
    lanes, rows, n = x.shape[:3]
    operands = {"x": Lanes(x), "tables": Constant(complex_fft_tables(n)), "y": Out((rows, n, 2)), "inverse": inverse}
    return run_kernel("complex_fft", backend, lanes=lanes, **(operands | (changed or {})))["y"]


def check(got: np.ndarray, expected: np.ndarray, n: int) -> None:
    rms = np.sqrt(np.mean(np.square(expected, dtype=np.float64)))
    assert np.abs(got - expected).max() <= fft_tolerance(n) * rms


@pytest.mark.parametrize("backend", ALL_BACKENDS)
@pytest.mark.parametrize("n", LENGTHS)
def test_equals_numpy(backend: str, n: int) -> None:
    x = signal(1, 2, n)
    spectrum = np.fft.rfft(x.astype(np.float64))
    check(forward(backend, x), pairs(spectrum), n)
    check(inverse(backend, pairs(spectrum), n), x, n)


@pytest.mark.parametrize("backend", ALL_BACKENDS)
@pytest.mark.parametrize("n", [1, 2, 15, 16, 33, 34, 320, 512])
def test_views_and_lanes(backend: str, n: int) -> None:
    bins = n // 2 + 1
    x = signal(3, 2, n)
    expected = pairs(np.fft.rfft(x.astype(np.float64)))
    # Pairs apart from each other: the spectrum of a frame is one column of [bins, frames, 2].
    apart = (2, 2 * 2, 1)
    for changed in (
        {"x": Lanes(x, strides=(n + 3, 1))},
        {"x": Lanes(x, Space.STATE)},
        {"y": Out((2, bins, 2), strides=apart)},
        {"y": Out((2, bins, 2), strides=(1, 2, 2 * bins))},  # real and imaginary parts in planes
    ):
        check(forward(backend, x, changed), expected, n)
    for changed in (
        {"x": Lanes(expected, strides=apart)},
        {"y": Out((2, n), strides=(n + 5, 1))},
        {"y": Out((2, n), Space.STATE)},
    ):
        check(inverse(backend, expected, n, changed), x, n)


@pytest.mark.parametrize("backend", ALL_BACKENDS)
@pytest.mark.parametrize("n", LENGTHS)
def test_complex_equals_numpy(backend: str, n: int) -> None:
    x = signal(1, 2, 2 * n).reshape(1, 2, n, 2)
    wide = x[..., 0] + 1j * x[..., 1].astype(np.float64)
    check(transform(backend, x, 0), pairs(np.fft.fft(wide)), n)
    check(transform(backend, x, 1), pairs(np.fft.ifft(wide)), n)


@pytest.mark.parametrize("backend", ALL_BACKENDS)
@pytest.mark.parametrize("n", [1, 7, 12, 64, 320])
def test_complex_views_and_lanes(backend: str, n: int) -> None:
    x = signal(3, 2, 2 * n).reshape(3, 2, n, 2)
    wide = x[..., 0] + 1j * x[..., 1].astype(np.float64)
    apart = (2, 2 * 2, 1)
    for changed in (
        {"x": Lanes(x, strides=apart)},
        {"x": Lanes(x, Space.STATE)},
        {"y": Out((2, n, 2), strides=apart)},
        {"y": Out((2, n, 2), Space.STATE)},
    ):
        check(transform(backend, x, 0, changed), pairs(np.fft.fft(wide)), n)
        check(transform(backend, x, 1, changed), pairs(np.fft.ifft(wide)), n)


@pytest.mark.parametrize("n", [8, 40, 320, 512])
def test_a_lane_has_the_same_bits_alone_and_among_others(n: int) -> None:
    x = signal(5, 1, n)
    together = forward("cpu", x)
    back = inverse("cpu", together, n)
    for lane in range(5):
        assert forward("cpu", x[lane : lane + 1]).tobytes() == together[lane].tobytes()
        assert inverse("cpu", together[lane : lane + 1], n).tobytes() == back[lane].tobytes()
        for turn in (0, 1):
            alone = transform("cpu", together[lane : lane + 1], turn)
            assert alone.tobytes() == transform("cpu", together, turn)[lane].tobytes()


@pytest.mark.parametrize("backend", ALL_BACKENDS)
@pytest.mark.parametrize("n", [1, 2, 7, 12, 64, 320])
def test_inverse_ignores_imaginary_parts_of_real_bins(backend: str, n: int) -> None:
    x = signal(1, 1, n)
    spectrum = pairs(np.fft.rfft(x.astype(np.float64)))
    spectrum[..., 0, 1] = np.nan
    if n % 2 == 0:
        spectrum[..., -1, 1] = np.inf
    check(inverse(backend, spectrum, n), x, n)


@pytest.mark.parametrize("backend", ALL_BACKENDS)
@pytest.mark.parametrize("n", [7, 12, 64, 320])
def test_nan_reaches_all_bins_of_its_row_alone(backend: str, n: int) -> None:
    x = signal(1, 2, n)
    x[0, 1, n // 2] = np.nan
    got = forward(backend, x)
    assert np.isnan(got[0, 1, 1:-1]).all()
    check(got[0, 0], pairs(np.fft.rfft(x[0, 0].astype(np.float64))), n)


def test_pure_tones_fall_into_their_bins() -> None:
    n = 512
    t = np.arange(n)
    for k in (0, 1, 37, 255, 256):
        x = np.cos(2 * np.pi * k * t / n).astype(np.float32)
        expected = np.zeros((n // 2 + 1, 2), np.float32)
        expected[k, 0] = n if k in (0, n // 2) else n / 2
        assert np.abs(forward("cpu", x[None, None])[0, 0] - expected).max() < 2e-4


@pytest.mark.parametrize("n", [4, 10, 12, 20, 30, 32])
def test_what_cancels_in_a_short_row_cancels_exactly(n: int) -> None:
    """Bins of a ramp from 0 sum up to its first sample: whole numbers that leave nothing."""
    spectrum = np.zeros((1, 1, n // 2 + 1, 2), np.float32)
    spectrum[0, 0, :, 0] = -n
    spectrum[0, 0, 0, 0] = n * (n - 1)
    assert inverse("cpu", spectrum, n)[0, 0, 0] == 0.0


@pytest.mark.parametrize("n", [2, 3, 4, 5, 6, 10, 15, 20, 25])
def test_short_inverse_rows_have_the_bits_of_numpy(n: int) -> None:
    """NumPy's inverse is in single precision and takes these radices in the same order; ONNX's cases hold its bits."""
    x = signal(1, 3, 2 * n).reshape(1, 3, n, 2)
    assert np.array_equal(transform("cpu", x, 1), pairs(np.fft.ifft(x[..., 0] + np.complex64(1j) * x[..., 1])))


@pytest.mark.parametrize("length", [1, 2, 96, 121, 480, 1009, 2 * 31 * 37])
def test_radices_multiply_to_the_length(length: int) -> None:
    assert np.prod(radices(length), dtype=int) == length


@pytest.mark.parametrize("n", [0, -4, 1 << 25])
def test_impossible_lengths_are_named(n: int) -> None:
    with pytest.raises(KernelError, match=str(n)):
        fft_tables(n)
    with pytest.raises(KernelError, match=str(n)):
        complex_fft_tables(n)
