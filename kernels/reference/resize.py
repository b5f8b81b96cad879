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

    x: [batch, channels, height, width]. rows: [output height, 2]; row_weights: [output height], the second row's.
    columns, column_weights: alike; `near` changes no number. y: [batch, channels, output height, output width].
    """
    wide = x[..., columns[:, 0]] * (1 - column_weights) + x[..., columns[:, 1]] * column_weights
    w = row_weights[:, None]
    y[...] = wide[:, :, rows[:, 0]] * (1 - w) + wide[:, :, rows[:, 1]] * w
