"""The signal operators on bands and over several frames, against NumPy on the whole signal in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.kernels.layouts import BACKENDS
from tests.models.test_operators import BINS, FRAME, HOP, RATE_HZ, apply, as_complex, normal, result
from wavetile.engine.errors import CardError
from wavetile.engine.models.composer import Composer
from wavetile.engine.models.erb import erb_band_widths
from wavetile.engine.models.operators import OPERATORS

# Of erb_fb(48000, 960, 32, 2) in libDF.
LIBDF_WIDTHS = [2] * 13 + [5, 5, 7, 7, 8, 10, 12, 13, 15, 18, 20, 24, 28, 31, 37, 42, 50, 56, 67]
STEPS = 9
NORM = {"decay": 0.9, "start": [-6.0, 3.0]}


def stepped(operator: str, signals: list[np.ndarray], backend: str, **options: Any) -> np.ndarray:
    """What an operator gives frame by frame; each signal is [frames, ...], a frame [1, ...]."""
    workspace = apply(operator, [signal[:1] for signal in signals], backend=backend, **options)
    frames = []
    for step in range(len(signals[0])):
        for index, signal in enumerate(signals):
            workspace.input(f"input_{index}")[0] = signal[step : step + 1]
        frames.append(result(workspace))
    return np.concatenate(frames)


def means(x: np.ndarray, decay: float, first: float, last: float) -> np.ndarray:
    """Exponential mean of `x` [frames, bands] up to each frame, as one weighted sum over all of them."""
    steps = np.arange(len(x))
    weights = np.tril((1 - decay) * decay ** (steps[:, None] - steps).clip(0))
    return weights @ x + decay ** (steps[:, None] + 1) * np.linspace(first, last, x.shape[1])


def test_erb_bands_are_those_of_libdf() -> None:
    assert erb_band_widths(48000, 960, 32, 2).tolist() == LIBDF_WIDTHS


@pytest.mark.parametrize(
    ("rate_hz", "frame", "bands", "least"), [(48000, 960, 32, 1), (16000, 320, 24, 2), (8000, 64, 8, 3)]
)
def test_erb_bands_cover_the_spectrum(rate_hz: int, frame: int, bands: int, least: int) -> None:
    widths = erb_band_widths(rate_hz, frame, bands, least)
    assert (len(widths), widths.sum()) == (bands, frame // 2 + 1)
    assert widths.min() >= least


def test_too_many_erb_bands_are_refused() -> None:
    with pytest.raises(CardError, match=r"16 ERB bands of at least 3 bins need more bins than the 33 of"):
        erb_band_widths(8000, 64, 16, 3)
    composer = Composer("features", frame_samples=42, hop_samples=42)
    with pytest.raises(CardError, match="sample rate"):
        OPERATORS["erb_gains"].lower(composer, composer.input("gains", (1, 6)), bands=6, min_bins=1)


@pytest.mark.parametrize("backend", BACKENDS)
def test_erb_power_and_gains(backend: str) -> None:
    spectrum = normal(1, BINS, 2)
    ends = np.cumsum(erb_band_widths(RATE_HZ, FRAME, 6, 2))[:-1]
    power = [np.mean(np.abs(band) ** 2) for band in np.split(as_complex(spectrum)[0], ends)]
    options = {"backend": backend, "bands": 6, "min_bins": 2}
    np.testing.assert_allclose(result(apply("erb_power", [spectrum], **options))[0], power, rtol=1e-5)
    gains = normal(1, 6)
    each = np.concatenate(
        [np.full(len(band), gain) for band, gain in zip(np.split(np.arange(BINS), ends), gains[0], strict=True)]
    )
    np.testing.assert_array_equal(result(apply("erb_gains", [gains], **options))[0], each)


@pytest.mark.parametrize("backend", BACKENDS)
def test_exponential_mean_norm(backend: str) -> None:
    x = normal(STEPS, 7) - 4
    expected = (x - means(x.astype(np.float64), 0.9, -6, 3)) / 40
    streamed = stepped("exponential_mean_norm", [x], backend, scale=1 / 40, **NORM)
    np.testing.assert_allclose(streamed, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("backend", BACKENDS)
def test_exponential_unit_norm(backend: str) -> None:
    spectra = normal(STEPS, BINS, 2) * np.float32(0.01)
    x = as_complex(spectra)
    expected = x / np.sqrt(means(np.abs(x), 0.99, 0.001, 0.0001))
    streamed = stepped("exponential_unit_norm", [spectra], backend, decay=0.99, start=[0.001, 0.0001])
    np.testing.assert_allclose(as_complex(streamed), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("frames", [1, 3, STEPS + 1])
def test_delay(backend: str, frames: int) -> None:
    x = normal(STEPS, 5, 2)
    expected = np.concatenate([np.zeros((frames, 5, 2)), x])[:STEPS]
    np.testing.assert_array_equal(stepped("delay", [x], backend, frames=frames), expected)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("order", [1, 2, 5])
def test_deep_filter(backend: str, order: int) -> None:
    spectra, filters = normal(STEPS, 6, 2), normal(STEPS, 6, order, 2)
    x, c = as_complex(spectra), as_complex(filters)
    expected = np.zeros_like(x)
    for step in range(STEPS):
        for tap in range(order):
            source = step - order + 1 + tap
            if source >= 0:
                expected[step] += c[step, :, tap] * x[source]
    streamed = stepped("deep_filter", [spectra, filters], backend, order=order)
    np.testing.assert_allclose(as_complex(streamed), expected, rtol=1e-5, atol=1e-5)


def test_delays_add_up_along_the_way() -> None:
    composer = Composer("test", frame_samples=FRAME, hop_samples=HOP)
    spectrum = composer.input("spectrum", (1, BINS, 2))
    coefficients = composer.input("coefficients", (1, 5, 3, 2))
    early = OPERATORS["low_bins"].lower(composer, spectrum, count=5)
    filtered = OPERATORS["deep_filter"].lower(composer, early, coefficients, order=3, lookahead=1)
    late = OPERATORS["delay"].lower(composer, spectrum, frames=2)
    joined = OPERATORS["replace_low_bins"].lower(composer, late, filtered)
    frame = OPERATORS["inverse_real_fft"].lower(composer, joined, norm="backward")
    audio = OPERATORS["overlap_add"].lower(composer, frame)
    lags = [composer.lags.get(value, 0) for value in (early, filtered, late, joined, audio)]
    assert lags == [0, HOP, 2 * HOP, 2 * HOP, 2 * HOP + FRAME - HOP]


@pytest.mark.parametrize(
    ("operator", "shapes", "options", "message"),
    [
        ("low_bins", [(1, 4)], {"count": 5}, "has no 5 bins"),
        ("replace_low_bins", [(1, BINS, 2), (1, BINS + 1, 2)], {}, "would work"),
        ("replace_low_bins", [(1, BINS, 2), (1, 5)], {}, "would work"),
        ("planes", [(1, BINS)], {}, r"\[1, bins, 2\] would work"),
        ("exponential_unit_norm", [(1, BINS)], NORM, r"\[1, bins, 2\] would work"),
        ("exponential_mean_norm", [(1, 5)], {**NORM, "scale": 1, "start": [1.0]}, "two numbers"),
        ("exponential_mean_norm", [(1, 5)], {**NORM, "scale": 1, "decay": 1.5}, "from 0 to 1"),
        ("deep_filter", [(1, 5), (1, 5, 3, 2)], {"order": 3}, r"\[1, bins, 2\] would work"),
        ("deep_filter", [(1, 5, 2), (1, 5, 3, 2)], {"order": 3, "lookahead": 3}, "less than order, 3"),
        ("deep_filter", [(1, 5, 2), (1, 4, 3, 2)], {"order": 3}, "where"),
        ("real_fft", [(1, FRAME)], {"norm": "ortho"}, "backward, forward"),
    ],
)
def test_what_does_not_fit_is_refused(
    operator: str, shapes: list[tuple[int, ...]], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(CardError, match=message):
        apply(operator, [np.zeros(shape, np.float32) for shape in shapes], **options)
