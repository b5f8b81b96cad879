"""The two ways to run a program on a card: a resident interpreter, and a graph of one kernel an instruction."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ..errors import KernelError
from ..schemas import KERNELS
from ..table import Table
from .budget import Budget
from .device import Device, DeviceMemory, Function, Graph, Queue
from .launch import Launch, launch, most_arrivals
from .memory import DeviceArena, DeviceStates, DeviceTable, PortWindows
from .structures import Parameters, Spaces, Walk

RESIDENT_THREADS = (128, 256, 512, 1024)
"""Of a block of the interpreter; which is best is measured."""

MOST_RECORDED = 1 << 15
"""Kernels in all graphs of a program: a graph takes about 10 KB for each, which no budget counts."""


@dataclass(frozen=True)
class Placed:
    """A program with its memories on a card, and a queue of its own."""

    table: Table
    lanes: int
    device: Device
    queue: Queue
    instructions: DeviceTable
    weights: DeviceMemory
    states: DeviceStates
    inputs: PortWindows
    outputs: PortWindows
    slots: np.ndarray
    """[lanes] int64, page-locked."""

    def spaces(self, arena: DeviceArena | None, slots: int) -> Spaces:
        """What kernels are given; `slots` is an address."""
        places = (0, 0) if arena is None else (arena.memory.address, arena.lane_bytes)
        state = self.states
        return Spaces(self.weights.address, places[0], state.memory.address, places[1], state.stride, slots)


class Executor(Protocol):
    """One way to run a program."""

    def enqueue(self, lanes: int) -> None:
        """Put a step of lanes 0 .. lanes - 1 into the program's queue."""
        ...

    def poison(self) -> None:
        """Fill the arena with NaN."""
        ...


def shared_arena_bytes(device: Device, function: Function, arena_bytes: int) -> int:
    """Bytes of an arena if it fits into a block's shared memory beside what the function has there; else 0."""
    return arena_bytes if arena_bytes + function.shared_bytes <= device.facts.shared_bytes else 0


def interpreter(table: Table, device: Device) -> Function:
    """The resident interpreter of a table's kernels. Raises KernelError: one of them is not there."""
    return device.interpreter(frozenset(KERNELS[kernel_id].name for kernel_id in table.kernels))


class ResidentExecutor:
    """One launch a step: a block takes a lane and walks the table.

    It reads its lane's inputs from the host's memory and writes its outputs there itself, so that they cross the bus
    once, while other blocks compute. The arena is in the block's shared memory, or where it is given in the card's.
    """

    def __init__(
        self, placed: Placed, function: Function, threads: int, shared_bytes: int, arena: DeviceArena | None
    ) -> None:
        self._placed, self._function, self._threads = placed, function, threads
        self._shared_bytes, self._arena = shared_bytes, arena
        table = placed.instructions
        self._walk = Walk(
            table.kernels,
            table.starts,
            table.words,
            table.instructions,
            placed.inputs.structure(),
            placed.outputs.structure(),
            shared_bytes,
            0,
        )
        self._parameters = Parameters(self._walk, placed.spaces(arena, placed.slots.ctypes.data))

    def enqueue(self, lanes: int) -> None:
        """Put a step of lanes 0 .. lanes - 1 into the program's queue."""
        queue = self._placed.queue
        queue.launch(self._function, (1, lanes), self._threads, self._shared_bytes, self._parameters)
        self._walk.poisoned = 0

    def poison(self) -> None:
        """Fill the arena with NaN: shared memory when the next step begins."""
        if self._arena is None:
            self._walk.poisoned = 1
        else:
            _poison(self._placed.queue, self._arena)


class GraphExecutor:
    """A kernel an instruction. What a number of lanes takes is recorded when it first comes, and replayed.

    Where very many numbers have come, further ones are launched kernel by kernel. Inputs are copied from the host's
    memory before, outputs back to it behind; nothing else is.
    """

    def __init__(self, placed: Placed, arena: DeviceArena, budget: Budget) -> None:
        """Raises DeviceError: there is no room."""
        self._placed, self._arena = placed, arena
        self._slots = budget.allocate(8 * placed.lanes, "its slots")
        # An instruction is launched in one way up to some number of lanes, and in another from there on.
        widest = self._launches(placed.lanes)
        for one in (*self._launches(1), *widest):
            placed.device.instruction(one.entry)
        arrivals = most_arrivals(widest, placed.device.limits)
        self._arrivals = budget.allocate(4 * arrivals, "what its blocks wait for")
        placed.queue.fill(self._arrivals.address, 0, 4 * arrivals)
        placed.queue.wait()  # or the memory may have another owner when it is done
        self._spaces = placed.spaces(arena, self._slots.address)
        self._spaces.arrivals = self._arrivals.address
        self._parameters = [
            Parameters(ctypes.c_void_p(placed.instructions.operands(index)), self._spaces)
            for index in range(len(widest))
        ]
        self._graphs: dict[int, Graph] = {}
        self._most_graphs = max(1, MOST_RECORDED // max(1, len(widest)))

    def enqueue(self, lanes: int) -> None:
        """Put a step of lanes 0 .. lanes - 1 into the program's queue."""
        graph = self._graphs.get(lanes)
        if graph is None:
            if len(self._graphs) >= self._most_graphs:
                self._step(lanes)
                return
            graph = self._graphs[lanes] = self._placed.queue.record(lambda: self._step(lanes))
        self._placed.queue.replay(graph)

    def poison(self) -> None:
        """Fill the arena with NaN."""
        _poison(self._placed.queue, self._arena)

    def _step(self, lanes: int) -> None:
        queue = self._placed.queue
        queue.copy(self._slots.address, self._placed.slots.ctypes.data, 8 * lanes)
        self._move(self._placed.inputs, lanes, to_arena=True)
        self._spaces.lanes = lanes
        for one, parameters in zip(self._launches(lanes), self._parameters, strict=True):
            function = self._placed.device.instruction(one.entry)
            queue.launch(function, one.grid, one.threads, one.shared_bytes, parameters, cooperative=one.cooperative)
        self._move(self._placed.outputs, lanes, to_arena=False)

    def _launches(self, lanes: int) -> list[Launch]:
        limits = self._placed.device.limits
        instructions = self._placed.table.instructions()
        return [launch(KERNELS[kernel_id], words, lanes, limits) for kernel_id, words in instructions]

    def _move(self, windows: PortWindows, lanes: int, *, to_arena: bool) -> None:
        for port, offset in zip(windows.ports, windows.offsets, strict=False):
            inside = self._arena.memory.address + port.offset_bytes, self._arena.lane_bytes
            outside = windows.array.ctypes.data + offset, windows.stride
            target, source = (inside, outside) if to_arena else (outside, inside)
            if not port.size_bytes:
                continue
            if lanes == 1:
                self._placed.queue.copy(target[0], source[0], port.size_bytes)
            else:
                self._placed.queue.copy_rows(target, source, port.size_bytes, lanes)


def _poison(queue: Queue, arena: DeviceArena) -> None:
    """All bits set are a NaN, in float32 as in float64."""
    queue.fill(arena.memory.address, 0xFF, arena.lanes * arena.lane_bytes)


def check_lanes(lanes: int, most: int) -> None:
    """Raise KernelError: more lanes than the memory has."""
    if lanes > most:
        raise KernelError(f"{lanes} lanes asked of a runner with {most}")
