"""What normalisation computes, in float64, rounded once to float32."""

from __future__ import annotations

import numpy as np

from .execute import definition


@definition
def normalize(
    x: np.ndarray,
    scale: np.ndarray | None,
    bias: np.ndarray | None,
    y: np.ndarray,
    mean: np.ndarray | None,
    inverse: np.ndarray | None,
    epsilon: float,
    centred: int,
) -> None:
    """y = (x - mean) / sqrt(variance + epsilon) * scale + bias, over the last two axes.

    Args:
        x, y: [2 kept, 2 normalised] float32.
        scale, bias: [2 kept, 2 normalised] float32, or None for 1 and 0; zero strides repeat.
        mean: [2 kept] float32, or None.
        inverse: [2 kept] float32: 1 / sqrt(variance + epsilon), or None.
        epsilon: added to the variance.
        centred: 0 takes the mean for 0 and the mean square for the variance.

    Source: ONNX LayerNormalization, InstanceNormalization and RMSNormalization.
    """
    wide = x.astype(np.float64)
    with np.errstate(all="ignore"):
        middle = wide.mean((2, 3), keepdims=True) if centred else np.zeros((*x.shape[:2], 1, 1))
        factor = 1 / np.sqrt(np.square(wide - middle).mean((2, 3), keepdims=True) + epsilon)
        y[...] = (wide - middle) * factor * (1 if scale is None else scale) + (0 if bias is None else bias)
    if mean is not None:
        mean[...] = middle[:, :, 0, 0]
    if inverse is not None:
        inverse[...] = factor[:, :, 0, 0]
