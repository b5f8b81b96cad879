"""Definition of interpolation along one axis."""

from __future__ import annotations

import numpy as np

from .execute import definition


@definition
def interpolate(x: np.ndarray, positions: np.ndarray, weights: np.ndarray, y: np.ndarray) -> None:
    """y[o, j, i] = sum over t of weights[j, t] x[o, positions[j, t], i].

    Args:
        x: [outer, size, inner].
        positions: [output size, taps], each within x.
        weights: [output size, taps].
        y: [outer, output size, inner].
    """
    # x[:, positions] is [outer, output size, taps, inner].
    y[...] = (x[:, positions].astype(np.float64) * weights[:, :, None]).sum(2)
