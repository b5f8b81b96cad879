"""Signal operators on bands and levels: band powers, decibels, exponential normalisation, gains a band.

The normalisations follow libDF, the signal processing of DeepFilterNet (Schroeter et al., "DeepFilterNet: A low
complexity speech enhancement framework for full-band audio based on deep filtering", ICASSP 2022, section 2.3).
"""

from __future__ import annotations

import math

import numpy as np

from ..errors import CardError
from .composer import Composer
from .erb import erb_band_widths


def erb_power(composer: Composer, spectrum: str, *, bands: int, min_bins: int) -> str:
    """Mean of |x|^2 over the bins of each ERB band: [1, bins, 2] -> [1, bands]."""
    shape = (1, composer.bins)
    spectrum = composer.reshape(spectrum, (*shape, 2))
    power = composer.node("ReduceSumSquare", (spectrum,), shape, axes=[-1], keepdims=0)
    membership = _membership(composer, bands, min_bins)
    means = composer.constant("band_means", (membership / membership.sum(axis=1, keepdims=True)).T.copy())
    return composer.node("MatMul", (power, means), (1, bands))


def erb_gains(composer: Composer, gains: str, *, bands: int, min_bins: int) -> str:
    """Each bin gets the gain of its ERB band: [1, bands] -> [1, bins]."""
    gains = composer.reshape(gains, (1, bands))
    # A product with ones and zeros: each sum has one term, so it is exact.
    spread = composer.constant("band_spread", _membership(composer, bands, min_bins))
    return composer.node("MatMul", (gains, spread), (1, composer.bins))


def decibels(composer: Composer, power: str, *, offset: float) -> str:
    """10 log10(x + offset)."""
    shape = composer.shape(power)
    raised = composer.node("Add", (power, composer.constant("offset", np.array([offset], np.float32))), shape)
    natural = composer.node("Log", (raised,), shape)
    return composer.node(
        "Mul", (natural, composer.constant("decibels", np.array([10 / math.log(10)], np.float32))), shape
    )


def exponential_mean_norm(
    composer: Composer, value: str, *, decay: float, start: tuple[float, float], scale: float
) -> str:
    """scale (x - m), where m is the exponential mean of x over the frames: m = decay m + (1 - decay) x."""
    shape = composer.shape(value)
    mean = _exponential_mean(composer, value, decay, start)
    centred = composer.node("Sub", (value, mean), shape)
    return composer.node("Mul", (centred, composer.constant("norm_scale", np.array([scale], np.float32))), shape)


def exponential_unit_norm(composer: Composer, spectrum: str, *, decay: float, start: tuple[float, float]) -> str:
    """x / sqrt(m), where m is the exponential mean of |x| over the frames: a spectrum of about unit magnitude."""
    shape = composer.shape(spectrum)
    if len(shape) != 3 or shape[2] != 2:
        raise CardError(f"exponential_unit_norm: value {spectrum!r} has shape {list(shape)}; [1, bins, 2] would work")
    magnitude = composer.node("ReduceL2", (spectrum,), shape[:2], axes=[-1], keepdims=0)
    mean = _exponential_mean(composer, magnitude, decay, start)
    root = composer.node("Sqrt", (mean,), shape[:2])
    return composer.node("Div", (spectrum, composer.reshape(root, (*shape[:2], 1))), shape)


def _exponential_mean(composer: Composer, value: str, decay: float, start: tuple[float, float]) -> str:
    """The mean after this frame; before the first, it runs straight from `start[0]` to `start[1]` over the bands."""
    shape = composer.shape(value)
    first = np.linspace(*start, math.prod(shape)).astype(np.float32).reshape(shape)
    before = composer.state("exponential_mean", first)
    kept = composer.node("Mul", (before, composer.constant("decay", np.array([decay], np.float32))), shape)
    rest = composer.constant("decay_rest", np.array([1 - decay], np.float32))
    mean = composer.node("Add", (composer.node("Mul", (value, rest), shape), kept), shape)
    composer.carry(before, mean)
    return mean


def _membership(composer: Composer, bands: int, min_bins: int) -> np.ndarray:
    """[bands, bins] float32: 1 where the bin is in the band."""
    if not composer.sample_rate_hz:
        raise CardError("ERB bands need a signal of kind 'audio', which has a sample rate")
    widths = erb_band_widths(composer.sample_rate_hz, composer.frame_samples, bands, min_bins)
    return np.repeat(np.eye(bands, dtype=np.float32), widths, axis=1)
