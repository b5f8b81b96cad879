"""Weights on their way into the order in which a kernel reads them, whether they are constants or arrive.

Packing only moves numbers and fills up with zeros. So the very functions that pack constants say, when they are given
the numbers of the elements instead of the elements, where each packed one comes from: a table for the `gather` kernel.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..builder import Builder
from ..view import View
from .registry import Lowering

_Rearrange = Callable[[np.ndarray], np.ndarray]

_DIGIT = 1 << 12
"""Packing hands on float32, which holds integers up to 2^24 only: the numbers of elements pass in two digits."""


@dataclass(frozen=True)
class Weights:
    """An operand to be packed: its values, or the numbers of its elements from 1 on (0 is a padded zero)."""

    array: np.ndarray
    """float32 values, or int64 numbers of elements in `source`."""
    source: View | None = None
    """[elements], dense; None for constants."""

    @classmethod
    def of(cls, node: Lowering, builder: Builder, index: int) -> Weights:
        """An input of a node, in its own shape."""
        value = node.constant(index)
        return cls(value.astype(np.float32)) if value is not None else cls.from_view(builder, node.view(index))

    @classmethod
    def from_view(cls, builder: Builder, view: View) -> Weights:
        """What arrives, in the shape of the view."""
        numbers = np.arange(1, view.size + 1, dtype=np.int64).reshape(view.shape)
        return cls(numbers, builder.reshape(view, (view.size,)))

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of the axes."""
        return self.array.shape

    def __getitem__(self, index: int) -> Weights:
        """One part along the first axis."""
        return Weights(self.array[index], self.source)

    def rearranged(self, function: _Rearrange) -> Weights:
        """With its elements moved by a function that adds nothing but zeros and keeps the element type."""
        return Weights(function(self.array), self.source)

    def packed(self, builder: Builder, pack: _Rearrange) -> View:
        """Packed for a kernel: in the weights, or in the arena, gathered there at run time.

        Args:
            pack: a function of `kernels.packing*`; the result is as long as what it returns.
        """
        if self.source is None:
            return builder.constant(pack(self.array))
        low = pack(np.where(self.array > 0, (self.array - 1) % _DIGIT + 1, 0)).astype(np.int64)
        high = pack(np.where(self.array > 0, (self.array - 1) // _DIGIT, 0)).astype(np.int64)
        indices = np.where(low > 0, high * _DIGIT + low - 1, -1).astype(np.int32).reshape(-1)
        result = builder.allocate(indices.shape)
        x, table = self.source[None, :, None], builder.constant(indices)
        builder.emit("gather", x=x, indices=table, y=result[None, :, None])
        return result
