"""Whether two runtimes give the same for a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import ml_dtypes
import numpy as np

TOLERANCE = 2e-5
"""Of float32, relative to the largest number of an output, or to 1: as `tests.plan.networks.assert_matches`."""

ULPS = 2
"""Of types that are rougher than float32."""


def difference(ours: Mapping[str, np.ndarray], theirs: Sequence[np.ndarray]) -> str:
    """What of the outputs is not the same, in a few words; "" if all is."""
    for (name, mine), other in zip(ours.items(), theirs, strict=True):
        if mine.dtype != other.dtype or mine.shape != other.shape:
            return f"{name} is {mine.dtype}{list(mine.shape)}, theirs {other.dtype}{list(other.shape)}"
        if words := _numbers(mine, other):
            return f"{name} {words}"
    return ""


def _numbers(mine: np.ndarray, other: np.ndarray) -> str:
    try:
        rounding = float(ml_dtypes.finfo(mine.dtype).eps)
    except ValueError:  # whole numbers
        wrong = np.count_nonzero(mine != other)
        return f"has {wrong} of {mine.size} other numbers" if wrong else ""
    a, b = mine.astype(np.float64), other.astype(np.float64)
    finite = np.isfinite(a) & np.isfinite(b)
    if not np.array_equal(a[~finite], b[~finite], equal_nan=True):
        return "is not finite in other places"
    worst = float(np.abs(a[finite] - b[finite]).max(initial=0.0))
    scale = max(1.0, float(np.abs(b[finite]).max(initial=0.0)))
    if worst > max(TOLERANCE, ULPS * rounding) * scale:
        return f"differs by {worst:.3g} of {scale:.3g}"
    return ""
