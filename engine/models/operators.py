"""The signal operators of model cards: what each reads, its options, and the graph nodes that it becomes.

Values have one of three shapes in a step: a frame `[1, samples]`, a spectrum `[1, bins, 2]` (real, imaginary), or
one number a bin, `[1, bins]`. A value of another shape but the right number of elements is reshaped.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import CardError
from .composer import Composer
from .operators_bands import decibels, erb_gains, erb_power, exponential_mean_norm, exponential_unit_norm
from .operators_frames import deep_filter, delay, low_bins, planes, replace_low_bins
from .table import Table

WINDOWS: dict[str, Callable[[int], np.ndarray]] = {
    # Periodic, as for spectral analysis: at a hop of half a frame, squares of sqrt_hann add up to 1 exactly.
    "hann": lambda n: 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n),
    "sqrt_hann": lambda n: np.sin(np.pi * np.arange(n) / n),
    # Of the Vorbis I specification, section 1.3.2: so do its squares.
    "vorbis": lambda n: np.sin(np.pi / 2 * np.sin(np.pi * (np.arange(n) + 0.5) / n) ** 2),
}


@dataclass(frozen=True, slots=True)
class Operator:
    """A signal operator of the card language."""

    values: tuple[str, ...]
    """Keys whose text is the name of a value."""
    options: Mapping[str, Callable[[Table, str], Any]]
    """Key -> how it is read from the card."""
    lower: Callable[..., str]
    """(composer, *names of values, **options) -> name of the result in the graph."""


def _window(composer: Composer, frame: str, *, shape: str) -> str:
    samples = composer.frame_samples
    frame = composer.reshape(frame, (1, samples))
    window = composer.constant(f"{shape}_{samples}", WINDOWS[shape](samples).astype(np.float32))
    return composer.node("Mul", (frame, window), (1, samples))


def _real_fft(composer: Composer, frame: str, *, norm: str) -> str:
    samples = composer.frame_samples
    frame = composer.reshape(frame, (1, samples))
    if norm == "forward":
        scale = composer.constant("one_sample", np.array([1 / samples], np.float32))
        frame = composer.node("Mul", (frame, scale), (1, samples))
    return composer.stream_node("RealFft", frame, (1, composer.bins, 2))


def _magnitude(composer: Composer, spectrum: str) -> str:
    spectrum = composer.reshape(spectrum, (1, composer.bins, 2))
    return composer.node("ReduceL2", (spectrum,), (1, composer.bins), axes=[-1], keepdims=0)


def _log_power(composer: Composer, spectrum: str, *, floor: float) -> str:
    shape = (1, composer.bins)
    spectrum = composer.reshape(spectrum, (*shape, 2))
    power = composer.node("ReduceSumSquare", (spectrum,), shape, axes=[-1], keepdims=0)
    floored = composer.node("Max", (power, composer.constant("floor", np.array([floor], np.float32))), shape)
    natural = composer.node("Log", (floored,), shape)
    scale = composer.constant("log10_e", np.array([1 / math.log(10)], np.float32))
    return composer.node("Mul", (natural, scale), shape)


def _clip(composer: Composer, value: str, **limits: float) -> str:
    if limits["min"] > limits["max"]:
        raise CardError(f"clip: min is {limits['min']}, above max, {limits['max']}")
    bounds = [composer.constant(f"clip_{key}", np.array(limits[key], np.float32)) for key in ("min", "max")]
    return composer.node("Clip", (value, *bounds), composer.shape(value))


def _gain(composer: Composer, spectrum: str, gains: str) -> str:
    spectrum = composer.reshape(spectrum, (1, composer.bins, 2))
    gains = composer.reshape(gains, (1, composer.bins, 1))
    return composer.node("Mul", (spectrum, gains), (1, composer.bins, 2))


def _inverse_real_fft(composer: Composer, spectrum: str, *, norm: str) -> str:
    samples = composer.frame_samples
    spectrum = composer.reshape(spectrum, (1, composer.bins, 2))
    frame = composer.stream_node("InverseRealFft", spectrum, (1, samples), length=samples)
    if norm == "forward":
        scale = composer.constant("samples", np.array([samples], np.float32))
        frame = composer.node("Mul", (frame, scale), (1, samples))
    return frame


def _overlap_add(composer: Composer, frame: str) -> str:
    hop = composer.hop_samples
    frame = composer.reshape(frame, (1, composer.frame_samples))
    result = composer.stream_node("OverlapAdd", frame, (1, hop), hop=hop)
    composer.lag(result, composer.frame_samples - hop)
    return result


def _number(table: Table, key: str) -> float:
    return table.number(key, least=-math.inf)


def _count(table: Table, key: str) -> int:
    return table.integer(key)


def _decay(table: Table, key: str) -> float:
    return table.number(key, least=0, most=1)


def _norm(table: Table, key: str) -> str:
    return table.text(key, "backward", options=("backward", "forward"))


def _range(table: Table, key: str) -> tuple[float, float]:
    """Two numbers, the first band's and the last one's."""
    numbers = table.list(key, float, "number with a point")
    if len(numbers) != 2:
        raise CardError(
            f"{table.where}: {key} is {numbers}; two numbers, the first band's and the last one's, would work"
        )
    return numbers[0], numbers[1]


_BANDS: dict[str, Callable[[Table, str], Any]] = {"bands": _count, "min_bins": _count}


OPERATORS: dict[str, Operator] = {
    # frame -> frame: times a window of the frame's length
    "window": Operator(("input",), {"shape": lambda t, key: t.text(key, options=WINDOWS)}, _window),
    # frame -> spectrum; norm "forward": divided by the frame's length, as numpy.fft has it
    "real_fft": Operator(("input",), {"norm": _norm}, _real_fft),
    # spectrum -> a number a bin: absolute value
    "magnitude": Operator(("input",), {}, _magnitude),
    # spectrum -> a number a bin: log10(max(|x|^2, floor))
    "log_power": Operator(("input",), {"floor": lambda t, key: t.number(key, least=1e-38)}, _log_power),
    # any value, each number limited to min .. max
    "clip": Operator(("input",), {"min": _number, "max": _number}, _clip),
    # spectrum times a number a bin
    "gain": Operator(("input", "gains"), {}, _gain),
    # spectrum -> frame; norm "forward": of a spectrum that was divided by the frame's length
    "inverse_real_fft": Operator(("input",), {"norm": _norm}, _inverse_real_fft),
    # frames -> the next hop of audio: sums frames, each a hop after the one before
    "overlap_add": Operator(("input",), {}, _overlap_add),
    # spectrum -> a number a band: mean of |x|^2 over the bins of each ERB band
    "erb_power": Operator(("input",), _BANDS, erb_power),
    # a number an ERB band -> a number a bin
    "erb_gains": Operator(("input",), _BANDS, erb_gains),
    # any value: 10 log10(x + offset)
    "decibels": Operator(("input",), {"offset": lambda t, key: t.number(key, least=1e-38)}, decibels),
    # any value: scale (x - m), m its exponential mean over the frames, which begins with `start` (first, last)
    "exponential_mean_norm": Operator(
        ("input",), {"decay": _decay, "start": _range, "scale": _number}, exponential_mean_norm
    ),
    # spectrum -> spectrum: x / sqrt(m), m the exponential mean of |x| over the frames
    "exponential_unit_norm": Operator(("input",), {"decay": _decay, "start": _range}, exponential_unit_norm),
    # a number, or two, a bin: the lowest `count` bins
    "low_bins": Operator(("input",), {"count": _count}, low_bins),
    # spectrum, its lowest bins replaced by others
    "replace_low_bins": Operator(("input", "low"), {}, replace_low_bins),
    # spectrum -> real parts, then imaginary parts
    "planes": Operator(("input",), {}, planes),
    # any value, as it was `frames` frames before
    "delay": Operator(("input",), {"frames": _count}, delay),
    # spectrum filtered along the frames, bin by bin, by the newest coefficients
    "deep_filter": Operator(
        ("input", "coefficients"),
        {"order": _count, "lookahead": lambda t, key: t.integer(key, 0, least=0)},
        deep_filter,
    ),
}
