"""Runs a table with NumPy: decodes each instruction into array views and calls the definition of its kernel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from ..contract import Space, TensorRef
from ..errors import KernelError
from ..schemas import KERNELS
from ..table import Memory, Table

DEFINITIONS: dict[str, Callable[..., None]] = {}
"""Kernel name -> function that takes the schema's operands by name, arrays as views, and writes outputs in place."""


def definition(function: Callable[..., None]) -> Callable[..., None]:
    """Register a NumPy function as the definition of the kernel of its name."""
    if function.__name__ in DEFINITIONS:
        raise KernelError(f"the kernel {function.__name__!r} is defined twice")
    DEFINITIONS[function.__name__] = function
    return function


class ReferenceRunner:
    """A table on NumPy. Slow, and the specification: all other back ends are held against it."""

    def __init__(self, table: Table, memory: Memory) -> None:
        self.slots = np.zeros(max(1, memory.arena.shape[0]), np.int64)
        self._memory = memory
        self._instructions: list[tuple[str, dict[str, Any]]] = []
        for kernel_id, words in table.instructions():
            kernel = KERNELS[kernel_id]
            self._instructions.append((kernel.name, kernel.decode(words)))

    def run(self, lanes: int) -> None:
        """Execute the table once for lanes 0 .. lanes - 1."""
        for lane in range(lanes):
            for name, operands in self._instructions:
                DEFINITIONS[name](
                    **{
                        key: self._view(value, lane) if isinstance(value, TensorRef) else value
                        for key, value in operands.items()
                    }
                )

    def _view(self, tensor: TensorRef, lane: int) -> np.ndarray:
        memory = self._memory
        if tensor.space is Space.WEIGHTS:
            source = memory.weights
        elif tensor.space is Space.ARENA:
            source = memory.arena[lane]
        else:
            source = memory.state[self.slots[lane]]
        start = source[tensor.offset_bytes :].view(np.uint8)
        element = tensor.element.dtype
        flat = start[: len(start) // element.itemsize * element.itemsize].view(element)
        return as_strided(flat, tensor.shape, [stride * element.itemsize for stride in tensor.strides])
