"""What data movement does: copy, fill, gather."""

from __future__ import annotations

import numpy as np

from .execute import definition


@definition
def copy(x: np.ndarray, y: np.ndarray) -> None:
    """y = x.

    Args:
        x: [LOOP_RANK axes] float32; zero strides repeat.
        y: [LOOP_RANK axes] float32; may begin before x in the same memory, with the same strides.

    Source: ONNX Expand, Transpose and Concat, what of them is not a view.
    """
    y[...] = x


@definition
def fill(y: np.ndarray, value: float) -> None:
    """y = value, rounded to float32.

    Args:
        y: [LOOP_RANK axes] float32.
        value: the number.

    Source: ONNX Pad, mode constant.
    """
    y[...] = np.float32(value)


@definition
def gather(x: np.ndarray, indices: np.ndarray, y: np.ndarray) -> None:
    """y[o, i, n] = x[o, indices[i], n], and 0 where the index is below 0.

    Args:
        x: [outer, axis, inner] float32.
        indices: [count] int32, below the length of the axis.
        y: [outer, count, inner] float32.

    Source: ONNX Gather; that an index below 0 gives 0 is for windows that reach over an edge.
    """
    for target, index in enumerate(indices.tolist()):
        y[:, target] = x[:, index] if index >= 0 else 0
