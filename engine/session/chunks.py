"""Checks a chunk before anything of it is taken."""

from __future__ import annotations

from math import isfinite

import numpy as np
from numpy import ndarray, vdot

from ..errors import SignalError

FULL_SCALE = 32768.0
"""int16 full scale: what float32 1.0 stands for."""

FLOAT32 = np.dtype(np.float32)
_INT16 = np.dtype(np.int16)


def check_audio(chunk: np.ndarray, channels: int) -> np.ndarray:
    """Return audio as float32, `[samples]` or `[samples, channels]`; one channel may come in either shape.

    Raises:
        SignalError: not an array of float32 or int16, of another shape, or with a sample that is not finite.
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
        # One pass without a temporary: a sum of squares is finite only if every number is. The reverse fails for
        # numbers beyond 1e19, so they are looked at one by one. (`chunk.dot` would warn of those.)
        if not isfinite(vdot(chunk, chunk)):
            _check_each(chunk, "sample")
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
        SignalError: not an array of float32, of another shape, or with a value that is not finite.
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
    if not isfinite(vdot(chunk, chunk)):
        _check_each(chunk, "frame")
    return chunk


def _no_array(chunk: object) -> SignalError:
    return SignalError(f"a chunk is a NumPy array, not {type(chunk).__name__}; numpy.asarray makes one of it")


def _check_each(chunk: np.ndarray, unit: str) -> None:
    finite = np.isfinite(chunk)
    if not finite.all():
        position = tuple(np.argwhere(~finite)[0].tolist())
        where = f"{unit} {position[0]}" + (f", column {position[1]}" if len(position) > 1 else "")
        raise SignalError(f"the chunk holds {chunk[position]} at {where}; every value must be finite")
