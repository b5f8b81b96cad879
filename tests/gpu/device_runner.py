"""Runs a table on a card over memories of the host, which go there and come back: for problems, and to time kernels."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise

import numpy as np

from wavetile.kernels.cuda.device import Device, DeviceMemory
from wavetile.kernels.cuda.launch import Launch, launch
from wavetile.kernels.cuda.source import check
from wavetile.kernels.cuda.structures import Parameters, Spaces, Walk
from wavetile.kernels.schemas import KERNELS
from wavetile.kernels.table import Memory, Table


class DeviceRunner:
    """A table on a card. Each run is made twice, by the interpreter and an instruction at a time: the same bits."""

    def __init__(self, table: Table, memory: Memory, device: Device) -> None:
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
        starts_of = table.starts.tolist()
        self._parameters = [Parameters(ctypes.c_void_p(words + 8 * first), self._spaces) for first in starts_of[:-1]]
        operands = [table.operands[first:last].tolist() for first, last in pairwise(starts_of)]
        self._launches = [
            [launch(kernel, given, limits) for kernel, given in zip(kernels, operands, strict=True)]
            for limits in (device.limits, replace(device.limits, smallest_tiled=1))
        ]
        """As they would be, and in tiles wherever there are any: problems are small."""

    def run(self, lanes: int) -> None:
        """Execute the table once for lanes 0 .. lanes - 1. Raises AssertionError where the two ways differ."""
        walked = self._done(partial(self.walk, lanes))
        for launches in self._launches:
            stepped = self._done(partial(self.step, lanes, launches))
            for one, other in zip(walked, stepped, strict=True):
                assert one.tobytes() == other.tobytes(), f"{self._names}: the interpreter gives other numbers"
        self._memory.arena[...], self._memory.state[...] = walked

    def walk(self, lanes: int) -> None:
        """Put the interpreter into the queue."""
        function = self._device.interpreter(frozenset(self._names))
        self._queue.launch(function, (1, lanes), min(256, function.most_threads), 0, self._walk)

    def step(self, lanes: int, launches: Sequence[Launch]) -> None:
        """Put the instructions into the queue, one after the other."""
        for one, parameters in zip(launches, self._parameters, strict=True):
            function = self._device.instruction(one.entry)
            self._queue.launch(function, (one.blocks, lanes), one.threads, one.shared_bytes, parameters)

    def compute(self, lanes: int) -> None:
        """Execute the table an instruction at a time only, as programs of large layers are run."""
        self._memory.arena[...], self._memory.state[...] = self._done(partial(self.step, lanes, self._launches[0]))

    def microseconds(self, lanes: int, replays: int) -> Callable[[], float]:
        """What a replay of the instructions takes on the card by its events, as a mean of `replays` in a row."""
        self._give()
        graph = self._queue.record(lambda: self.step(lanes, self._launches[0]))

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
