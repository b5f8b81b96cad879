"""Arrays that arrive piece by piece along one of their axes, and leave in pieces of another length."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

import numpy as np

from ..errors import SignalError


class ArrayQueue:
    """What has arrived of several inputs and has not been taken; each has its own streaming dimension."""

    def __init__(
        self, shapes: Mapping[str, tuple[int, ...]], dims: Mapping[str, int], dtypes: Mapping[str, np.dtype]
    ) -> None:
        """Expect inputs of these shapes, of any length along `dims`."""
        self._shapes, self._dims, self._dtypes = dict(shapes), dict(dims), dict(dtypes)
        self._pieces: dict[str, deque[np.ndarray]] = {name: deque() for name in shapes}
        self._taken = 0  # elements of the first piece that are gone
        self.length = 0
        """Elements that wait."""

    def append(self, inputs: Mapping[str, np.ndarray]) -> None:
        """Take the next elements of every input; nothing is taken if one of them does not fit.

        Raises:
            SignalError: an input is missing or unknown, of another type or shape, or longer than another one.
        """
        if not isinstance(inputs, Mapping):
            raise SignalError(
                f"the inputs are one {type(inputs).__name__}; arrays by name, {', '.join(self._shapes)}, would work"
            )
        if inputs.keys() != self._shapes.keys():
            raise SignalError(f"the inputs are {', '.join(inputs) or 'none'}; {', '.join(self._shapes)} would work")
        arrays = {name: self._checked(name, array) for name, array in inputs.items()}
        lengths = {name: array.shape[self._dims[name]] for name, array in arrays.items()}
        (length, *others) = set(lengths.values())
        if others:
            raise SignalError(f"the inputs' lengths along the stream differ: {lengths}; the same for all would work")
        if length:
            for name, array in arrays.items():
                self._pieces[name].append(array)
            self.length += length

    def peek(self, count: int) -> dict[str, np.ndarray]:
        """The oldest `count` elements of every input."""
        return {name: self._front(name, count) for name in self._shapes}

    def drop(self, count: int) -> None:
        """Let the oldest `count` elements go."""
        self.length -= count
        rest = 0
        for name, pieces in self._pieces.items():
            rest = self._taken + count
            while pieces and rest >= pieces[0].shape[self._dims[name]]:
                rest -= pieces.popleft().shape[self._dims[name]]
        self._taken = rest

    def take(self, count: int) -> dict[str, np.ndarray]:
        """The oldest `count` elements of every input, which go."""
        taken = self.peek(count)
        self.drop(count)
        return taken

    def _front(self, name: str, count: int) -> np.ndarray:
        dim = self._dims[name]
        before = (slice(None),) * dim
        parts, start = [], self._taken
        for piece in self._pieces[name]:
            if count <= 0:
                break
            part = piece[(*before, slice(start, start + count))]
            count -= part.shape[dim]
            start = 0
            parts.append(part)
        if not parts:
            shape = self._shapes[name]
            return np.zeros((*shape[:dim], 0, *shape[dim + 1 :]), self._dtypes[name])
        return parts[0] if len(parts) == 1 else np.concatenate(parts, dim)

    def _checked(self, name: str, array: np.ndarray) -> np.ndarray:
        """A copy: the caller may go on writing to the array."""
        array = np.array(array)
        dim, shape = self._dims[name], self._shapes[name]
        if array.ndim != len(shape) or any(
            size != want for index, (size, want) in enumerate(zip(array.shape, shape, strict=True)) if index != dim
        ):
            wanted = [str(size) if index != dim else "any" for index, size in enumerate(shape)]
            raise SignalError(f"input {name!r} has shape {list(array.shape)}; [{', '.join(wanted)}] would work")
        if array.dtype != self._dtypes[name]:
            raise SignalError(f"input {name!r} is {array.dtype}; {self._dtypes[name]} would work")
        return array
