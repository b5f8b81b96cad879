"""What the kernels at arriving positions compute."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..opcodes_indexing import Scatter
from ..schemas.indexing import NOWHERE
from .execute import definition


def _counted(indices: np.ndarray, size: int) -> np.ndarray:
    """Positions from the start of an axis; what is outside it is below 0."""
    return np.where((indices >= -size) & (indices < size), indices % max(size, 1), -1)


@definition
def flat_positions(indices: np.ndarray, sizes: np.ndarray, y: np.ndarray) -> None:
    """y[i] = the row-major number of the element at indices[i, :] of a box; NOWHERE where it is outside.

    Args:
        indices: [count, axes] int64; negative ones count from the end.
        sizes: [axes] int32, of the box.
        y: [count] int64.

    Source: ONNX GatherND and ScatterND.
    """
    number, inside = np.zeros(len(indices), np.int64), np.ones(len(indices), bool)
    for axis, size in enumerate(sizes.tolist()):
        counted = _counted(indices[:, axis], size)
        number = number * size + counted
        inside &= counted >= 0
    y[...] = np.where(inside, number, NOWHERE)


@definition
def gather_at(x: np.ndarray, indices: np.ndarray, y: np.ndarray) -> None:
    """y[h, i, n] = x[h, indices[h, i], n], and 0 where the index is outside the axis.

    Args:
        x: [4 heads, axis, inner] any carrier.
        indices: [4 heads, count] int64; negative ones count from the end.
        y: [4 heads, count, inner] of x's type.

    Source: ONNX Gather, GatherElements and GatherND.
    """
    counted = _counted(indices, x.shape[-2])[..., None]
    y[...] = np.where(counted >= 0, np.take_along_axis(x, np.maximum(counted, 0), axis=-2), 0)


_REDUCE: dict[Scatter, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    Scatter.NONE: lambda old, new: new,
    Scatter.ADD: np.add,
    Scatter.MUL: np.multiply,
    Scatter.MAX: np.maximum,
    Scatter.MIN: np.minimum,
}


@definition
def scatter_at(reduction: Scatter, indices: np.ndarray, updates: np.ndarray, y: np.ndarray) -> None:
    """y[h, indices[h, i], n] = reduction(itself, updates[h, i, n]), one i after the other; outside the axis: nothing.

    Args:
        reduction: how an update meets what is there; integers wrap.
        indices: [4 heads, count] int64; negative ones count from the end.
        updates: [4 heads, count, inner] any carrier; zero strides repeat.
        y: [4 heads, axis, inner] of updates' type, read and written.

    Source: ONNX ScatterElements and ScatterND.
    """
    counted = _counted(indices, y.shape[-2])
    combine = _REDUCE[reduction]
    with np.errstate(over="ignore"):
        for place in np.ndindex(*indices.shape):
            if counted[place] >= 0:
                target = (*place[:-1], counted[place])
                y[target] = combine(y[target], updates[place])


@definition
def non_zero(x: np.ndarray, y: np.ndarray, count: np.ndarray) -> None:
    """y = the positions of x's elements that are not 0, ascending, then NOWHERE.

    Args:
        x: [n] any carrier.
        y: [n] int64.
        count: [1] int64: how many there are.

    Source: ONNX NonZero.
    """
    found = np.flatnonzero(x)
    y[...] = NOWHERE
    y[: len(found)] = found
    count[0] = len(found)
