"""Runs a table on a card over memories of the host, which go there and come back: for problems, and to time kernels."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from wavetile.kernels.contract import ElementType, TensorRef
from wavetile.kernels.cuda.device import Device, DeviceMemory
from wavetile.kernels.cuda.launch import Launch, launch, most_arrivals
from wavetile.kernels.cuda.limits import Limits
from wavetile.kernels.cuda.source import check
from wavetile.kernels.cuda.structures import Parameters, Spaces, Walk
from wavetile.kernels.schemas import KERNELS
from wavetile.kernels.table import Memory, Table

NEAR = {"rtol": 1e-5, "atol": 1e-5}
"""Of two ways to run a table of floats: which product and sum become one operation the compiler decides for each of its
functions, and tensor cores add in an order of their own. Whole numbers are the same."""


class DeviceRunner:
    """A table on a card. Each run is made several times, by the interpreter and an instruction at a time: NEAR.

    With `together`, limits that take lanes together, whose sums have an order of their own, both are of an instruction
    at a time.
    """

    def __init__(self, table: Table, memory: Memory, device: Device, together: Limits | None = None) -> None:
        """Raises KernelError: CUDA lacks a kernel of the table. DeviceError: there is no room."""
        kernels = [KERNELS[kernel_id] for kernel_id in table.kernels]
        self._names = [kernel.name for kernel in kernels]
        check(self._names)
        self.slots = np.zeros(max(1, memory.arena.shape[0]), np.int64)
        self._memory, self._device, self._queue = memory, device, device.queue()
        self._there: list[DeviceMemory] = []
        numbers = np.concatenate([table.kernels, table.starts, table.operands])
        table_address = self._upload(numbers)
        starts, words = (table_address + 8 * count for count in (len(kernels), 2 * len(kernels) + 1))
        self._arena, self._state, self._slots = (
            self._room(array.nbytes) for array in (memory.arena, memory.state, self.slots)
        )
        self._spaces = Spaces(
            self._upload(memory.weights),
            self._arena,
            self._state,
            memory.arena.shape[1],
            memory.state.shape[1],
            self._slots,
        )
        self._walk = Parameters(Walk(table_address, starts, words, len(kernels)), self._spaces)
        self._parameters = [
            Parameters(ctypes.c_void_p(words + 8 * first), self._spaces) for first in table.starts.tolist()[:-1]
        ]
        self._instructions = [(KERNELS[kernel_id], operands) for kernel_id, operands in table.instructions()]
        self._together = together
        arrivals = most_arrivals(self._launches(memory.arena.shape[0], device.limits), device.limits)
        self._spaces.arrivals = self._upload(np.zeros(arrivals, np.uint32))

    def run(self, lanes: int) -> None:
        """Execute the table once for lanes 0 .. lanes - 1. Raises AssertionError where the two ways differ."""
        first, *others = self._ways(lanes)
        expected = self._done(first)
        for way in others:
            for one, other in zip(expected, self._done(way), strict=True):
                assert self._alike(one, other), f"{self._names}: two ways to run it give other numbers"
        self._memory.arena[...], self._memory.state[...] = expected

    def _alike(self, one: np.ndarray, other: np.ndarray) -> bool:
        if one.tobytes() == other.tobytes():
            return True
        values = [value for kernel, words in self._instructions for value in kernel.decode(words).values()]
        elements = {value.element for value in values if isinstance(value, TensorRef)}
        if ElementType.INT64 in elements:
            return False
        numbers = np.float64 if ElementType.FLOAT64 in elements else np.float32
        return np.allclose(one.view(numbers), other.view(numbers), equal_nan=True, **NEAR)

    def _ways(self, lanes: int) -> list[Callable[[], None]]:
        if self._together is not None:
            return 2 * [partial(self.step, lanes, self._together)]
        # As they would be, and in tiles wherever there are any: problems are small.
        apart = replace(self._device.limits, together=False)
        by_limits = [partial(self.step, lanes, limits) for limits in (apart, replace(apart, smallest_tiled=1))]
        return [partial(self.walk, lanes), *by_limits]

    def walk(self, lanes: int) -> None:
        """Put the interpreter into the queue."""
        function = self._device.interpreter(frozenset(self._names))
        self._queue.launch(function, (1, lanes), min(256, function.most_threads), 0, self._walk)

    def step(self, lanes: int, limits: Limits) -> None:
        """Put the instructions into the queue, one after the other."""
        self._spaces.lanes = lanes
        for one, parameters in zip(self._launches(lanes, limits), self._parameters, strict=True):
            function = self._device.instruction(one.entry)
            self._queue.launch(
                function, one.grid, one.threads, one.shared_bytes, parameters, cooperative=one.cooperative
            )

    def _launches(self, lanes: int, limits: Limits) -> list[Launch]:
        return [launch(kernel, operands, lanes, limits) for kernel, operands in self._instructions]

    def compute(self, lanes: int) -> None:
        """Execute the table an instruction at a time only, as programs of large layers are run."""
        self._memory.arena[...], self._memory.state[...] = self._done(partial(self.step, lanes, self._device.limits))

    def microseconds(self, lanes: int, replays: int) -> Callable[[], float]:
        """What a replay of the instructions takes on the card by its events, as a mean of `replays` in a row."""
        self._done(partial(self.step, lanes, self._device.limits))  # nothing is compiled while it is recorded
        graph = self._queue.record(lambda: self.step(lanes, self._device.limits))

        def replay() -> None:
            for _ in range(replays):
                self._queue.replay(graph)

        return lambda: 1000 * self._queue.milliseconds(replay, 1) / replays

    def _done(self, work: Callable[[], None]) -> tuple[np.ndarray, np.ndarray]:
        """Arena and state after the work, which begins with what the host has."""
        self._give()
        work()
        return self._taken(self._arena, self._memory.arena), self._taken(self._state, self._memory.state)

    def _give(self) -> None:
        for address, array in ((self._arena, self._memory.arena), (self._state, self._memory.state),
                               (self._slots, self.slots)):  # fmt: skip
            self._queue.copy(address, array.ctypes.data, array.nbytes)
        self._queue.wait()

    def _taken(self, address: int, like: np.ndarray) -> np.ndarray:
        taken = np.empty_like(like)
        self._queue.copy(taken.ctypes.data, address, taken.nbytes)
        self._queue.wait()
        return taken

    def _room(self, size_bytes: int) -> int:
        self._there.append(self._device.allocate(max(size_bytes, 1)))
        return self._there[-1].address

    def _upload(self, array: np.ndarray) -> int:
        whole = np.ascontiguousarray(array)
        address = self._room(whole.nbytes)
        self._queue.copy(address, whole.ctypes.data, whole.nbytes)
        self._queue.wait()
        return address
