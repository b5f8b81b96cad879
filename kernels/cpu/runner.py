"""Binds a table to native kernels: addresses are looked up once, then a step is one native call."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import numpy as np

from ..contract import Context, Kernel, Space
from ..errors import KernelError
from ..schemas import KERNELS
from ..table import Memory, Table
from .machine_code import address
from .turns import NATIVE_CONTEXT_WORDS

SHARED_OPERANDS = frozenset({"weights", "bias", "slope", "input_weights", "hidden_weights", "peepholes"})
"""Operands that native kernels look up once, for all lanes together."""

_LANES = int(Context.LANES)

_WALK = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
"""Type of the interpreter; a call drops the GIL. It takes one address, for every argument costs 200 ns."""


class CpuRunner:
    """A table on native kernels. `run` allocates nothing and holds no GIL."""

    def __init__(self, table: Table, memory: Memory) -> None:
        self._lanes = max(1, memory.arena.shape[0])
        self._running = 0  # lanes of the last run
        self.slots = np.zeros(self._lanes, np.int64)
        self._memory = memory
        self._operands = np.ascontiguousarray(table.operands)
        addresses = {int(kernel_id): address(KERNELS[kernel_id].name) for kernel_id in set(table.kernels)}
        first = self._operands.ctypes.data
        self._calls = np.empty((len(table.kernels), 2), np.int64)
        self._calls[:, 0] = [addresses[int(kernel_id)] for kernel_id in table.kernels]
        self._calls[:, 1] = first + 8 * table.starts[:-1]
        self._single = self._calls.copy()
        """Address and operands of the kernels that have to be called for each lane by itself."""
        for index, kernel_id in enumerate(table.kernels):
            words = table.operands[table.starts[index] : table.starts[index + 1]].tolist()
            if _differs_by_lane(KERNELS[kernel_id], words):
                self._calls[index] = address("lane_by_lane"), self._single[index].ctypes.data
        self._context = np.zeros(NATIVE_CONTEXT_WORDS, np.int64)
        self._context[Context.WEIGHTS_BASE] = memory.weights.ctypes.data
        self._context[Context.ARENA_BASE] = memory.arena.ctypes.data
        self._context[Context.STATE_BASE] = memory.state.ctypes.data
        self._context[Context.ARENA_STRIDE] = memory.arena.shape[1]
        self._context[Context.STATE_STRIDE] = memory.state.shape[1]
        self._context[Context.SLOTS] = self.slots.ctypes.data
        self._execute = _WALK(address("walk"))
        self._job = np.array([self._calls.ctypes.data, len(self._calls), self._context.ctypes.data, 1], np.int64)
        self._job_address = self._job.ctypes.data

    def run(self, lanes: int) -> None:
        """Execute the table once for lanes 0 .. lanes - 1.

        Raises:
            KernelError: more lanes than the memory has.
        """
        if lanes != self._running:
            self._set_lanes(lanes)
        self._execute(self._job_address)

    def _set_lanes(self, lanes: int) -> None:
        if lanes > self._lanes:
            raise KernelError(f"{lanes} lanes asked of a runner with {self._lanes}")
        self._context[_LANES] = self._running = lanes


def _differs_by_lane(kernel: Kernel, operands: Sequence[int]) -> bool:
    """Whether an operand that the kernel looks up once lies in memory that every lane has for itself."""
    values = kernel.decode(operands)
    shared = (values[name] for name in SHARED_OPERANDS & values.keys())
    return any(tensor is not None and tensor.space is not Space.WEIGHTS for tensor in shared)
