"""Definition of interpolation along one axis."""

from __future__ import annotations

import numpy as np

from .execute import definition


@definition
def interpolate(x: np.ndarray, positions: np.ndarray, weights: np.ndarray, y: np.ndarray) -> None:
    """y[o, j, i] = sum over t of weights[j, t] x[o, positions[j, t], i].

    Args:
        x: [outer, size, inner] float32.
        positions: [output size, taps] int32, each within x.
        weights: [output size, taps] float32.
        y: [outer, output size, inner] float32.

    Source: ONNX Resize, along one of its axes.
    """
    # x[:, positions] is [outer, output size, taps, inner].
    y[...] = (x[:, positions].astype(np.float64) * weights[:, :, None]).sum(2)
