"""What the kernels compute that look at bits."""

from __future__ import annotations

import numpy as np

from .execute import definition


@definition
def bits(x: np.ndarray, y: np.ndarray) -> None:
    """The 32 bits of float32 as a signed integer, or the float32 whose bits an integer's low 32 are.

    Args:
        x: [LOOP_RANK axes] float32 or int64.
        y: [LOOP_RANK axes] int64 or float32: the other one.

    Source: ONNX BitCast.
    """
    y[...] = x.view(np.int32) if x.dtype == np.float32 else x.astype(np.int32).view(np.float32)
