"""Looks at a network bound to a much longer signal: what short bindings have in common need not hold there.

A slice that ends at a fixed element keeps everything of a short signal; a comparison of the length with a number comes
out alike for all short ones. Both show when the signal is long enough, and here it is as long as limits allow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...errors import ModelError, UnsupportedError
from ...graph import Graph
from .bindings import WORKS

if TYPE_CHECKING:
    from .timeline import Timeline

FACTORS = (256, 64, 16, 4)
"""How much longer than the short bindings; the first that the limits of networks allow is taken."""


def check_far(timeline: Timeline) -> None:
    """Compare a long binding with what the timeline's rules say of it.

    Raises:
        UnsupportedError: an output has another length, or a constant another value, than the short bindings promise.
    """
    length, far = _bound(timeline)
    if far is None:
        return
    bindings, axis = timeline.bindings, timeline.axis
    counts = timeline.moment(length, ended=True).counts
    for name in bindings.graph.outputs:
        dim = bindings.dims[name][axis]
        if dim is not None and far.types[name].shape[dim] != counts[name]:
            raise UnsupportedError(
                f"output {name!r} is {far.types[name].shape[dim]} long when {timeline.name!r} is {length}, where short "
                f"signals promise {counts[name]}: the network treats long signals in another way; {WORKS}"
            )
    short, grown = bindings.graph, bindings.grown[axis]
    for name, array in short.constants.items():
        others = grown.constants.get(name), far.constants.get(name)
        if others[0] is None or others[1] is None or array.shape != others[1].shape:
            continue
        if _same(array, others[0]) and not _same(array, others[1]):
            raise UnsupportedError(
                f"constant {name!r} has another value when {timeline.name!r} is {length}: the network treats long "
                f"signals in another way; {WORKS}"
            )


def _bound(timeline: Timeline) -> tuple[int, Graph | None]:
    """A binding that is far longer along the axis, and its length; None if limits allow none."""
    bindings = timeline.bindings
    lengths = [bindings.bound_length(axis) for axis in range(len(bindings.axes))]
    more = bindings.bound_length(timeline.axis, grown=True) - lengths[timeline.axis]
    for factor in FACTORS:
        longer = [length + (factor - 1) * more * (axis == timeline.axis) for axis, length in enumerate(lengths)]
        try:
            return longer[timeline.axis], bindings.bind(longer)
        except ModelError:
            continue
    return 0, None


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    return one is other or (one.shape == other.shape and np.array_equal(one, other, equal_nan=one.dtype.kind == "f"))
