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
from .table import Table

WINDOWS: dict[str, Callable[[int], np.ndarray]] = {
    # Periodic, as for spectral analysis: at a hop of half a frame, squares of sqrt_hann add up to 1 exactly.
    "hann": lambda n: 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n),
    "sqrt_hann": lambda n: np.sin(np.pi * np.arange(n) / n),
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


def _real_fft(composer: Composer, frame: str) -> str:
    samples = composer.frame_samples
    return composer.stream_node("RealFft", composer.reshape(frame, (1, samples)), (1, composer.bins, 2))


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


def _inverse_real_fft(composer: Composer, spectrum: str) -> str:
    samples = composer.frame_samples
    spectrum = composer.reshape(spectrum, (1, composer.bins, 2))
    return composer.stream_node("InverseRealFft", spectrum, (1, samples), length=samples)


def _overlap_add(composer: Composer, frame: str) -> str:
    hop = composer.hop_samples
    frame = composer.reshape(frame, (1, composer.frame_samples))
    result = composer.stream_node("OverlapAdd", frame, (1, hop), hop=hop)
    composer.overlapped.add(result)
    return result


def _number(table: Table, key: str) -> float:
    return table.number(key, least=-math.inf)


OPERATORS: dict[str, Operator] = {
    # frame -> frame: times a window of the frame's length
    "window": Operator(("input",), {"shape": lambda t, key: t.text(key, options=WINDOWS)}, _window),
    # frame -> spectrum
    "real_fft": Operator(("input",), {}, _real_fft),
    # spectrum -> a number a bin: absolute value
    "magnitude": Operator(("input",), {}, _magnitude),
    # spectrum -> a number a bin: log10(max(|x|^2, floor))
    "log_power": Operator(("input",), {"floor": lambda t, key: t.number(key, least=1e-38)}, _log_power),
    # any value, each number limited to min .. max
    "clip": Operator(("input",), {"min": _number, "max": _number}, _clip),
    # spectrum times a number a bin
    "gain": Operator(("input", "gains"), {}, _gain),
    # spectrum -> frame
    "inverse_real_fft": Operator(("input",), {}, _inverse_real_fft),
    # frames -> the next hop of audio: sums frames, each a hop after the one before
    "overlap_add": Operator(("input",), {}, _overlap_add),
}
