"""Definition of the linear resize."""

from __future__ import annotations

import numpy as np

from .execute import definition


@definition
def resize_linear(
    x: np.ndarray,
    rows: np.ndarray,
    row_weights: np.ndarray,
    columns: np.ndarray,
    column_weights: np.ndarray,
    near: int,
    y: np.ndarray,
    scratch: np.ndarray,
) -> None:
    """Blend two columns, then two rows, of each output.

    Args:
        x: [batch, channels, height, width] float32.
        rows: [output height, 2] int32.
        row_weights: [output height] float32: the second row's.
        columns: [output width, 2] int32.
        column_weights: [output width] float32: the second column's.
        near: changes no number; see `schemas.resize`.
        y: [batch, channels, output height, output width] float32.
        scratch: of the native kernel.

    Source: ONNX Resize, mode linear.
    """
    wide = x[..., columns[:, 0]] * (1 - column_weights) + x[..., columns[:, 1]] * column_weights
    w = row_weights[:, None]
    y[...] = wide[:, :, rows[:, 0]] * (1 - w) + wide[:, :, rows[:, 1]] * w
