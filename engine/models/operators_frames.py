"""Signal operators over several frames, and on a part of the bins: delay, deep filter, the lowest bins."""

from __future__ import annotations

import numpy as np

from ..errors import CardError
from .composer import Composer


def delay(composer: Composer, value: str, *, frames: int) -> str:
    """The value of `frames` frames before; zeros in the first ones."""
    shape = composer.shape(value)
    kept = _kept(composer, value, frames)
    delayed = composer.slice(kept, 0, 0, 1)
    composer.lag(delayed, frames * composer.hop_samples)
    return composer.reshape(delayed, shape)


def low_bins(composer: Composer, value: str, *, count: int) -> str:
    """The lowest bins: [1, bins, ...] -> [1, count, ...]."""
    shape = composer.shape(value)
    if len(shape) < 2 or shape[1] < count:
        raise CardError(f"low_bins: value {value!r} has shape {list(shape)}, which has no {count} bins")
    return composer.slice(value, 1, 0, count)


def replace_low_bins(composer: Composer, spectrum: str, low: str) -> str:
    """A spectrum [1, bins, 2] whose lowest bins are replaced by those of `low`, [1, count, 2]."""
    shape = (1, composer.bins, 2)
    count = composer.shape(low)[1] if len(composer.shape(low)) == 3 else 0
    if not 0 < count <= composer.bins or composer.shape(low) != (1, count, 2):
        raise CardError(
            f"replace_low_bins: low {low!r} has shape {list(composer.shape(low))}; [1, count, 2] would work"
        )
    if count == composer.bins:
        return low
    high = composer.slice(composer.reshape(spectrum, shape), 1, count, composer.bins)
    return composer.node("Concat", (low, high), shape, axis=1)


def planes(composer: Composer, spectrum: str) -> str:
    """Real parts, then imaginary parts, as convolutions take them: [1, bins, 2] -> [1, 2, bins]."""
    shape = composer.shape(spectrum)
    if len(shape) != 3 or shape[2] != 2:
        raise CardError(f"planes: value {spectrum!r} has shape {list(shape)}; [1, bins, 2] would work")
    return composer.node("Transpose", (spectrum,), (1, 2, shape[1]), perm=[0, 2, 1])


def deep_filter(composer: Composer, spectrum: str, coefficients: str, *, order: int, lookahead: int) -> str:
    """Filter each bin along the frames, with complex coefficients of its own that are new in each frame.

    y[t - lookahead, f] = sum over i < order of c[t, f, i] x[t - order + 1 + i, f], products of complex numbers; frames
    before the first are zeros. Source: Mack and Habets, "Deep filtering: Signal extraction and reconstruction using
    complex time-frequency filters", IEEE Signal Processing Letters 27, 2020; as in DeepFilterNet, Schroeter et al.,
    ICASSP 2022, equation 4.

    Args:
        spectrum: [1, bins, 2].
        coefficients: [1, bins, order, 2], the oldest frame's first.
        order: frames that are read, the newest among them.
        lookahead: how many frames the filtered one lies before the newest.

    Returns:
        [1, bins, 2].
    """
    shape = composer.shape(spectrum)
    if len(shape) != 3 or shape[2] != 2:
        raise CardError(f"deep_filter: value {spectrum!r} has shape {list(shape)}; [1, bins, 2] would work")
    if lookahead >= order:
        raise CardError(f"deep_filter: lookahead is {lookahead}; less than order, {order}, would work")
    bins = shape[1]
    frames = _kept(composer, spectrum, order - 1)
    coefficients = composer.reshape(coefficients, (bins, order, 2))
    by_frame = composer.node("Transpose", (coefficients,), (order, bins, 2), perm=[1, 0, 2])
    x = [composer.slice(frames, 2, part, part + 1) for part in (0, 1)]
    c = [composer.slice(by_frame, 2, part, part + 1) for part in (0, 1)]
    products = [[composer.node("Mul", (a, b), (order, bins, 1)) for b in c] for a in x]
    real = composer.node("Sub", (products[0][0], products[1][1]), (order, bins, 1))
    imaginary = composer.node("Add", (products[0][1], products[1][0]), (order, bins, 1))
    both = composer.node("Concat", (real, imaginary), (order, bins, 2), axis=2)
    axes = composer.constant("frames_axis", np.array([0], np.int64))
    filtered = composer.node("ReduceSum", (both, axes), shape, keepdims=1, noop_with_empty_axes=0)
    composer.lag(filtered, lookahead * composer.hop_samples)
    return filtered


def _kept(composer: Composer, value: str, frames: int) -> str:
    """The last frames of before, then this one, along the first axis."""
    shape = composer.shape(value)
    if shape[0] != 1:
        value = composer.reshape(value, (1, *shape))
        shape = composer.shape(value)
    if not frames:
        return value
    return composer.stream_node("Keep", value, (frames + 1, *shape[1:]), axis=0, count=frames)
