"""Where values lie: buffers, and strided views of them that cost nothing.

NumPy does the stride arithmetic: a view holds an array over its buffer's *phantom*, memory that nobody reads or
writes, so slicing, transposing and reshaping a view are NumPy's own operations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any

import numpy as np

from ...kernels.contract import ElementType, Space, TensorRef


@cache
def type_name(dtype: np.dtype) -> str:
    """What NumPy calls an element type; it works that out anew each time."""
    return dtype.name


@dataclass(eq=False)
class Buffer:
    """One block of a memory space; its place is decided when all instructions are known."""

    space: Space
    phantom: np.ndarray
    """1-D. In the weights it is the data itself."""
    pinned: bool = False
    """Not to be shared over time: inputs, outputs, state."""
    offset_bytes: int | None = None

    @property
    def elements(self) -> int:
        """How many elements it holds."""
        return self.phantom.size

    @property
    def nbytes(self) -> int:
        """Its size, without the alignment that layout adds."""
        return self.phantom.nbytes

    def byte_range(self) -> slice:
        """The bytes of its space that it was given.

        Raises:
            RuntimeError: memory has not been laid out yet.
        """
        return slice(self.start_bytes, self.start_bytes + self.nbytes)

    @property
    def start_bytes(self) -> int:
        """The first byte of its space that it was given.

        Raises:
            RuntimeError: memory has not been laid out yet.
        """
        if self.offset_bytes is None:
            raise RuntimeError("a buffer was used before memory was laid out")
        return self.offset_bytes


@dataclass(frozen=True, eq=False)
class View:
    """A strided window on a buffer."""

    buffer: Buffer
    array: np.ndarray = field(repr=False)

    @classmethod
    def whole(cls, buffer: Buffer, shape: Sequence[int]) -> View:
        """All of a buffer, dense in C order: [*shape]."""
        return cls(buffer, buffer.phantom.reshape(tuple(shape)))

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of the axes."""
        return self.array.shape

    @property
    def rank(self) -> int:
        """Number of axes."""
        return self.array.ndim

    @property
    def dtype(self) -> np.dtype:
        """What the elements are: a carrier, or int32 for a table of indices."""
        return self.array.dtype

    @property
    def size(self) -> int:
        """Number of elements that it shows; one shown twice counts twice."""
        return self.array.size

    @cached_property
    def strides(self) -> tuple[int, ...]:
        """In elements; 0 where an axis has at most one element."""
        item = self.array.itemsize
        return tuple(
            stride // item if size > 1 else 0 for size, stride in zip(self.shape, self.array.strides, strict=True)
        )

    @cached_property
    def offset(self) -> int:
        """Element of the buffer at which the first element lies."""
        start = self.array.__array_interface__["data"][0] - self.buffer.phantom.__array_interface__["data"][0]
        return start // self.array.itemsize

    def __getitem__(self, index: Any) -> View:
        """Basic indexing: integers, slices, None, Ellipsis."""
        index = index if isinstance(index, tuple) else (index,)
        if Ellipsis not in index:
            index = (*index, Ellipsis)  # without it, integers for all axes give a copied scalar and no view
        return View(self.buffer, self.array[index])

    def transpose(self, axes: Sequence[int]) -> View:
        """The axes in another order, as `numpy.transpose`."""
        return View(self.buffer, self.array.transpose(tuple(axes)))

    def swap(self, first: int, second: int) -> View:
        """Two axes exchanged, as `numpy.swapaxes`."""
        return View(self.buffer, self.array.swapaxes(first, second))

    def broadcast(self, shape: Sequence[int]) -> View:
        """Repeated to [*shape] by strides of 0, as `numpy.broadcast_to`."""
        return View(self.buffer, np.broadcast_to(self.array, tuple(shape)))

    def reshape(self, shape: Sequence[int]) -> View | None:
        """The same elements in another shape, or None where strides can not express it."""
        try:
            return View(self.buffer, np.reshape(self.array, tuple(shape), copy=False))
        except ValueError:
            return None

    def strided(self, offset: int, shape: Sequence[int], strides: Sequence[int]) -> View:
        """Any window on the same buffer: offset and strides in elements of the buffer."""
        array = np.lib.stride_tricks.as_strided(
            self.buffer.phantom.view(self.dtype)[offset:],
            tuple(shape),
            [stride * self.array.itemsize for stride in strides],
        )
        return View(self.buffer, array)

    def covers_buffer(self) -> bool:
        """Whether the view holds every element of its buffer exactly once, in any order of axes, none reversed."""
        if self.size != self.buffer.elements:
            return False
        expected = 1
        axes = [(stride, size) for size, stride in zip(self.shape, self.strides, strict=True) if size > 1]
        for stride, size in sorted(axes):
            if stride != expected:
                return False
            expected *= size
        return True

    def ref(self) -> TensorRef:
        """The view as an operand; its buffer must have been given its place.

        Raises:
            RuntimeError: the view reaches outside its buffer: a rule or a pass has made a mistake.
        """
        reach = [(size - 1) * stride for size, stride in zip(self.shape, self.strides, strict=True)]
        first = self.offset + sum(step for step in reach if step < 0)
        last = self.offset + sum(step for step in reach if step > 0)
        if self.size and not 0 <= first <= last < self.buffer.elements:
            raise RuntimeError(f"a view of elements {first} to {last} of a buffer with {self.buffer.elements}")
        offset = self.buffer.start_bytes + self.offset * self.array.itemsize
        element = ElementType.INT64 if self.dtype == np.uint64 else ElementType[type_name(self.dtype).upper()]
        return TensorRef(self.buffer.space, offset, self.shape, self.strides, element)
