"""Memories of programs on a card: weights, slots, arenas, tables, and the windows through which the host sees ports."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Mapping

import numpy as np

from ..table import Executable, Port, Table, align
from .budget import Budget
from .device import Device, DeviceMemory, Queue
from .structures import Windows


def room(size_bytes: int) -> int:
    """What so many bytes take: what is empty has an address, too."""
    return align(max(size_bytes, 1))


def uploaded(queue: Queue, budget: Budget, array: np.ndarray, purpose: str) -> DeviceMemory:
    """An array's bytes on the card."""
    whole = np.ascontiguousarray(array)
    memory = budget.allocate(room(whole.nbytes), purpose)
    if whole.nbytes:
        queue.copy(memory.address, whole.ctypes.data, whole.nbytes)
        queue.wait()
    return memory


class DeviceWeights:
    """Weights, each uploaded once for all workspaces and programs that read them. Thread-safe."""

    def __init__(self, device: Device, budget: Budget) -> None:
        self._device, self._budget = device, budget
        self._lock = threading.Lock()
        self._known: dict[int, tuple[int, DeviceMemory]] = {}
        """Number of the host's block -> how many bytes of it are on the card, and where."""

    def of(self, program: Executable) -> DeviceMemory:
        """The program's weights. Raises DeviceError: there is no room."""
        weights = program.weights
        block = weights if weights.base is None else weights.base  # programs of one network read parts of one block
        with self._lock:
            size, memory = self._known.get(id(block), (-1, None))
            if memory is None or size < len(weights):
                if memory is None:
                    weakref.finalize(block, self._known.pop, id(block), None)
                memory = uploaded(self._device.queue(), self._budget, weights, "its weights")
                self._known[id(block)] = len(weights), memory
            return memory


class DeviceStates:
    """A program's slots on a card. Thread-safe.

    Behind them lies the program's initial state, and one slot more that lanes work on which nobody reads.
    """

    def __init__(self, program: Executable, slots: int, device: Device, budget: Budget) -> None:
        self.size_bytes = len(program.initial_state)
        self.stride = room(self.size_bytes)
        self.memory = budget.allocate((slots + 2) * self.stride, f"the states of {slots} streams")
        self.spare = slots
        self._initial = slots + 1
        self._queue = device.queue()
        self._staged = device.host_array(self.stride)
        self._lock = threading.Lock()
        self.write(self._initial, program.initial_state.tobytes())
        self.reset(self.spare)

    def read(self, slot: int) -> bytes:
        """What a slot holds."""
        with self._lock:
            self._copy(self._staged.ctypes.data, self._address(slot))
            return self._staged[: self.size_bytes].tobytes()

    def write(self, slot: int, state: bytes) -> None:
        """Put a state into a slot."""
        with self._lock:
            self._staged[: self.size_bytes] = np.frombuffer(state, np.uint8)
            self._copy(self._address(slot), self._staged.ctypes.data)

    def reset(self, slot: int) -> None:
        """Put the initial state into a slot."""
        with self._lock:
            self._copy(self._address(slot), self._address(self._initial))

    def _copy(self, target: int, source: int) -> None:
        if self.size_bytes:
            self._queue.copy(target, source, self.size_bytes)
            self._queue.wait()

    def _address(self, slot: int) -> int:
        return self.memory.address + slot * self.stride


class DeviceArena:
    """Activations of some lanes on a card."""

    def __init__(self, lanes: int, lane_bytes: int, budget: Budget) -> None:
        self.lanes, self.lane_bytes = lanes, room(lane_bytes)
        self.memory = budget.allocate(lanes * self.lane_bytes, f"activations of {lanes} at a time")


class DeviceTable:
    """A table on a card, for the interpreter and for instructions by themselves."""

    def __init__(self, table: Table, queue: Queue, budget: Budget) -> None:
        self.instructions = len(table.kernels)
        self._starts = table.starts.tolist()
        parts = table.kernels, table.starts, table.operands
        self._memory = uploaded(queue, budget, np.concatenate(parts), "its instructions")
        self.kernels = self._memory.address
        self.starts = self.kernels + 8 * len(table.kernels)
        self.words = self.starts + 8 * len(table.starts)

    def operands(self, instruction: int) -> int:
        """Where the operands of an instruction are."""
        return self.words + 8 * self._starts[instruction]


class PortWindows:
    """The host's view of the ports of one direction: page-locked memory, the ports of a lane side by side."""

    def __init__(self, ports: Mapping[str, Port], lanes: int, device: Device, queue: Queue, budget: Budget) -> None:
        self.ports = list(ports.values())
        self.offsets = np.cumsum([0, *(room(port.size_bytes) for port in self.ports)]).tolist()
        self._lanes, self.stride = lanes, room(self.offsets[-1])
        self.array = device.host_array(lanes * self.stride).reshape(lanes, self.stride)
        rows = [
            (port.offset_bytes, offset, port.size_bytes) for port, offset in zip(self.ports, self.offsets, strict=False)
        ]
        self._places = uploaded(queue, budget, np.array(rows, np.int64), "its ports")
        self._named = {port.name: index for index, port in enumerate(self.ports)}

    def view(self, name: str) -> np.ndarray:
        """[lanes, *shape] of one port."""
        port, offset = self.ports[self._named[name]], self.offsets[self._named[name]]
        window = self.array[:, offset : offset + port.size_bytes]
        return window.view(port.dtype).reshape(self._lanes, *port.shape)

    def structure(self) -> Windows:
        """For the interpreter."""
        return Windows(self._places.address, len(self.ports), self.array.ctypes.data, self.stride)

    def poison(self) -> None:
        """Fill them with NaN."""
        self.array.view(np.float32)[:] = np.nan
