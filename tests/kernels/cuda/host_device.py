"""A card that is the processor: what programs do on a device, with the kernels of `host`, and counted."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from wavetile.engine.plan.devices import use_device
from wavetile.kernels.cuda.backend import CudaBackend
from wavetile.kernels.cuda.device import DeviceError, Facts
from wavetile.kernels.cuda.limits import Limits
from wavetile.kernels.cuda.source import Entry, families
from wavetile.kernels.cuda.structures import Parameters
from wavetile.kernels.table import aligned_bytes

from .host import LIMITS, THREADS, HostGrid, function, interpreter, library

_TURN = threading.Lock()
"""The harness has one set of fibers."""


class HostDevice:
    """Its memory is the host's, and full of NaN at first. `prefers` says which executor its clock finds faster.

    "resident", "graph", or "resident up to 2" (lanes).
    """

    def __init__(
        self,
        *,
        prefers: str = "resident",
        total_bytes: int = 1 << 32,
        shared_bytes: int = 99 * 1024,
        compute_capability: tuple[int, int] = (9, 0),
        limits: Limits = LIMITS[0],
    ) -> None:
        self.facts = Facts("the processor", compute_capability, 2, shared_bytes)
        self.limits = limits
        kind, _, lanes = prefers.partition(" up to ")
        self.most_resident = int(lanes or 1 << 20) if kind == "resident" else 0
        self.walked_lanes = 0
        """Of the last launch of the interpreter."""
        self.total_bytes = self.free_bytes = total_bytes
        self.made = 0
        """Allocations, page-locked arrays, functions, queues and graphs so far."""
        self.recorded = 0
        """Graphs of them."""
        self.launched: list[str] = []
        """Functions, in the order of their launches."""

    def memory_bytes(self) -> tuple[int, int]:
        return self.free_bytes, self.total_bytes

    def allocate(self, size_bytes: int) -> _Memory:
        if size_bytes > self.free_bytes:
            raise DeviceError(f"{size_bytes} bytes wanted; {self.free_bytes} are free")
        self.made += 1
        return _Memory(self, size_bytes)

    def host_array(self, size_bytes: int) -> np.ndarray:
        self.made += 1
        return aligned_bytes(size_bytes)

    def interpreter(self, kernels: frozenset[str]) -> _Function:
        for family in families(kernels):
            library(family)
        return self._function("walk", interpreter().host_walk, backwards=False)

    def instruction(self, entry: Entry) -> _Function:
        return self._function(entry.function, function(entry), backwards=True)

    def _function(self, name: str, launch: Callable[..., None], *, backwards: bool) -> _Function:
        self.made += 1
        return _Function(name, launch, backwards)

    def queue(self) -> _Queue:
        self.made += 1
        return _Queue(self)


class _Memory:
    def __init__(self, device: HostDevice, size_bytes: int) -> None:
        self._device, self._size = device, size_bytes
        device.free_bytes -= size_bytes
        self._bytes = aligned_bytes(size_bytes)
        self._bytes[:] = 0xFF
        self.address = self._bytes.ctypes.data

    def __del__(self) -> None:
        self._bytes[:] = 0xFF  # whoever still reads it is found out
        self._device.free_bytes += self._size


class _Function:
    shared_bytes = 8192

    def __init__(self, name: str, launch: Callable[..., None], backwards: bool) -> None:
        self.most_threads = THREADS if name == "walk" else 1024
        self.name, self.launch, self.backwards = name, launch, backwards


class _Queue:
    def __init__(self, device: HostDevice) -> None:
        self._device = device
        self._recorded: list[Callable[[], None]] | None = None

    def _do(self, work: Callable[[], None]) -> None:
        if self._recorded is None:
            work()
        else:
            self._recorded.append(work)

    def launch(
        self,
        function: Any,
        blocks: tuple[int, int],
        threads: int,
        shared_bytes: int,
        parameters: Parameters,
        *,
        cooperative: bool = False,
    ) -> None:
        assert threads <= function.most_threads
        assert shared_bytes + function.shared_bytes <= self._device.facts.shared_bytes or not shared_bytes
        values = [type(value).from_buffer_copy(value) for value in parameters.values]

        def run() -> None:
            self._device.launched.append(function.name)
            if function.name == "walk":
                self._device.walked_lanes = blocks[1]
            grid = HostGrid(*blocks, threads, shared_bytes, cooperative)
            with _TURN:
                function.launch(grid, int(function.backwards), *values)

        self._do(run)

    def copy(self, target: int, source: int, size_bytes: int) -> None:
        self._do(lambda: _move(target, source, size_bytes))

    def copy_rows(self, target: tuple[int, int], source: tuple[int, int], row_bytes: int, rows: int) -> None:
        assert row_bytes <= min(target[1], source[1])
        for row in range(rows):
            self.copy(target[0] + row * target[1], source[0] + row * source[1], row_bytes)

    def fill(self, target: int, byte: int, size_bytes: int) -> None:
        self._do(lambda: _fill(target, byte, size_bytes))

    def record(self, work: Callable[[], None]) -> list[Callable[[], None]]:
        self._device.made += 1
        self._device.recorded += 1
        assert self._recorded is None
        self._recorded = []
        work()
        recorded, self._recorded = self._recorded, None
        return recorded

    def replay(self, graph: Any) -> None:
        for work in graph:
            work()

    def wait(self) -> None:
        assert self._recorded is None

    def milliseconds(self, work: Callable[[], None], repeats: int) -> float:
        before = len(self._device.launched)
        work()
        if "walk" not in self._device.launched[before:]:
            return 2.0
        return 1.0 if self._device.walked_lanes <= self._device.most_resident else 3.0


def _move(target: int, source: int, size_bytes: int) -> None:
    ctypes.memmove(target, source, size_bytes)


def _fill(target: int, byte: int, size_bytes: int) -> None:
    ctypes.memset(target, byte, size_bytes)


@contextmanager
def cuda_on_host(memory_bytes: int | None = None, **options: Any) -> Iterator[CudaBackend]:
    """The back end "cuda" on a HostDevice of these options."""
    with use_device(HostDevice(**options), memory_bytes) as backend:
        yield backend
