"""Checks a chunk before anything of it is taken."""

from __future__ import annotations

import numpy as np
from numpy import ndarray, vdot

from ..errors import SignalError

FULL_SCALE = 32768.0
"""int16 full scale: what float32 1.0 stands for."""

LARGEST_SAMPLE = 2.0**20
"""Of audio, whose full scale is 1.0: 120 dB above it, beyond int16 that was not scaled (2^15) and short of int32.

What a network does with such a sample passes. Squared once or twice, as spectra, energies and norms do, a sample of
1e19 is infinite, and a state that has seen infinity is NaN for the rest of its stream.
"""

LARGEST_FEATURE = 2.0**50
"""Of feature frames. Power spectra of int16, the largest features in use, reach 2^48 with windows of 1024 samples; and
the squares that a norm sums, 2^100 each, stay finite in float32 (2^128)."""

FLOAT32 = np.dtype(np.float32)
_INT16 = np.dtype(np.int16)


def check_audio(chunk: np.ndarray, channels: int) -> np.ndarray:
    """Return audio as float32, `[samples]` or `[samples, channels]`; one channel may come in either shape.

    Raises:
        SignalError: not an array of float32 or int16, of another shape, or with a sample that is not finite
            or beyond LARGEST_SAMPLE.
    """
    if not isinstance(chunk, ndarray):
        raise _no_array(chunk)
    if chunk.ndim == 1 == channels:
        pass
    elif chunk.ndim == 2 and chunk.shape[1] == channels:
        if channels == 1:
            chunk = chunk[:, 0]
    else:
        wanted = "[samples]" if channels == 1 else f"[samples, {channels}]"
        raise SignalError(
            f"a chunk of shape {list(chunk.shape)} does not fit a stream of {channels} channel{'s'[: channels > 1]}; "
            f"{wanted} would"
        )
    if chunk.dtype == FLOAT32:
        check_range(chunk, LARGEST_SAMPLE, "sample")
        return chunk
    if chunk.dtype == _INT16:
        return chunk * np.float32(1 / FULL_SCALE)
    raise SignalError(
        f"a chunk of {chunk.dtype} can not be used; float32 (full scale 1.0) or int16 would work, "
        "such as chunk.astype(numpy.float32)"
    )


def check_features(chunk: np.ndarray, feature_count: int) -> np.ndarray:
    """Return feature frames, `[frames, features]` float32.

    Raises:
        SignalError: not an array of float32, of another shape, or with a value that is not finite or beyond
            LARGEST_FEATURE.
    """
    if not isinstance(chunk, ndarray):
        raise _no_array(chunk)
    if chunk.ndim != 2 or chunk.shape[1] != feature_count:
        raise SignalError(
            f"a chunk of shape {list(chunk.shape)} does not fit a stream of feature frames; "
            f"[frames, {feature_count}] would"
        )
    if chunk.dtype != FLOAT32:
        raise SignalError(f"feature frames of {chunk.dtype} can not be used; float32 would work")
    check_range(chunk, LARGEST_FEATURE, "frame")
    return chunk


def check_range(chunk: np.ndarray, largest: float, unit: str) -> None:
    """Raise SignalError unless all float32 values are from -largest to largest; `unit` is what the first axis counts.

    One pass without a temporary: where the sum of squares is no more than largest squared, no value is larger. The
    reverse fails for long and loud chunks, whose values are looked at one by one. (`chunk.dot` would warn of infinity.)
    """
    if not vdot(chunk, chunk) <= largest * largest:
        _check_each(chunk, largest, unit)


def _no_array(chunk: object) -> SignalError:
    return SignalError(f"a chunk is a NumPy array, not {type(chunk).__name__}; numpy.asarray makes one of it")


def _check_each(chunk: np.ndarray, largest: float, unit: str) -> None:
    fits = np.abs(chunk) <= largest
    if not fits.all():
        position = tuple(np.argwhere(~fits)[0].tolist())
        where = f"{unit} {position[0]}" + (f", column {position[1]}" if len(position) > 1 else "")
        raise SignalError(
            f"the chunk holds {chunk[position]!s} at {where}; finite values from {-largest:.7g} to {largest:.7g} would "
            "work" + ("" if unit == "frame" else ", of which 1.0 is full scale")
        )
