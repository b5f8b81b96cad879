"""The back end of one card: what programs on it share, and which executor each of them gets."""

from __future__ import annotations

import threading
import weakref
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np

from ..errors import KernelError
from ..schemas import KERNELS
from ..table import Arena, Choice, Executable, StateMemory
from .budget import Budget, in_bytes
from .device import LEAST_CAPABILITY, Device, DeviceError
from .executors import (
    RESIDENT_THREADS,
    Executor,
    GraphExecutor,
    Placed,
    ResidentExecutor,
    check_lanes,
    interpreter,
    shared_arena_bytes,
)
from .limits import MOST_LANES
from .memory import DeviceArena, DeviceStates, DeviceTable, DeviceWeights, PortWindows
from .source import check

MOST_RESIDENT_MULTIPLY_ADDS = 50_000_000
MOST_RESIDENT_ARENA_BYTES = 1 << 20
"""Of a lane and step: more belong on several multiprocessors, and even to measure them on one would take long."""

TIMED_STEPS = 6
"""Of which the fastest counts: the first one records, and warms caches."""
GRAPH = "graph of a kernel an instruction"


class CudaProgram:
    """A program on a card. `run` allocates nothing once a number of lanes has come before."""

    def __init__(self, placed: Placed, executors: Sequence[Executor], choices: Sequence[Choice]) -> None:
        """`executors`: of each choice."""
        self.choices = choices
        self.slots = placed.slots
        self._placed, self._wait = placed, placed.queue.wait
        self._executors = list(dict.fromkeys(executors))
        least = [choice.lanes for choice in choices]
        self._enqueue = [executors[bisect_left(least, lanes)].enqueue for lanes in range(placed.lanes + 1)]
        """By the number of lanes."""

    def run(self, lanes: int) -> None:
        """Execute the table once for lanes 0 .. lanes - 1. Raises KernelError: more lanes than the memory has."""
        check_lanes(lanes, self._placed.lanes)
        self._enqueue[lanes](lanes)
        self._wait()

    def input(self, name: str) -> np.ndarray:
        """The named input: [lanes, *shape], page-locked."""
        return self._placed.inputs.view(name)

    def output(self, name: str) -> np.ndarray:
        """The named output: [lanes, *shape], page-locked."""
        return self._placed.outputs.view(name)

    def poison(self) -> None:
        """Fill the arena with NaN, and the host's side of the ports."""
        for executor in self._executors:
            executor.poison()
        self._placed.inputs.poison()
        self._placed.outputs.poison()


class CudaBackend:
    """One card. Safe from several threads."""

    def __init__(self, device: Device, memory_bytes: int | None = None) -> None:
        """`memory_bytes`: what models may take; None: a share of what is free.

        Raises DeviceError: the card is too old.
        """
        capability = device.facts.compute_capability
        if capability < LEAST_CAPABILITY:
            raise DeviceError(
                f"{device.facts.name} has compute capability {_dotted(capability)}; {_dotted(LEAST_CAPABILITY)} "
                "(Turing) or a later one would work"
            )
        self.card = f"{device.facts.name}, compute capability {_dotted(capability)}"
        self.device = device
        self.budget = Budget(device, memory_bytes)
        self._weights = DeviceWeights(device, self.budget)
        self._binding = threading.Lock()
        """One program after the other is compiled and measured."""
        self._chosen: dict[tuple[int, int], tuple[Choice, ...]] = {}
        """Number of a table, and lanes -> what was measured, for all workspaces."""

    def states(self, program: Executable, slots: int) -> DeviceStates:
        """Make slots. Raises DeviceError: there is no room."""
        return DeviceStates(program, slots, self.device, self.budget)

    def arena(self, lanes: int, lane_bytes: int) -> DeviceArena:
        """Make an arena. Raises DeviceError: there is no room."""
        return DeviceArena(lanes, lane_bytes, self.budget)

    def bind(self, program: Executable, lanes: int, states: StateMemory, arena: Arena | None = None) -> CudaProgram:
        """Bind a program: each number of lanes on the executor that is fastest for it.

        Raises:
            KernelError: a kernel is not there, the slots or the arena are another back end's, or there are more lanes
                than a launch takes.
            DeviceError: there is no room.
        """
        check(KERNELS[kernel_id].name for kernel_id in program.table.kernels)
        if lanes > MOST_LANES:
            raise KernelError(f"{lanes} lanes are too many for one launch; up to {MOST_LANES} would work")
        if arena is None:
            arena = self.arena(lanes, program.arena_bytes)
        if not isinstance(states, DeviceStates) or not isinstance(arena, DeviceArena):
            raise KernelError("the slots of its streams have to lie on the card")
        with self._binding:
            return self._bind(program, lanes, states, arena)

    def _bind(self, program: Executable, lanes: int, states: DeviceStates, arena: DeviceArena) -> CudaProgram:
        device, budget, queue = self.device, self.budget, self.device.queue()
        slots = device.host_array(8 * lanes).view(np.int64)
        slots[:] = states.spare  # what is measured belongs to nobody
        placed = Placed(
            program.table,
            lanes,
            device,
            queue,
            DeviceTable(program.table, queue, budget),
            self._weights.of(program),
            states,
            PortWindows(program.inputs, lanes, device, queue, budget),
            PortWindows(program.outputs, lanes, device, queue, budget),
            slots,
        )
        ruled_out = _why_not_resident(program)
        ways: dict[str, Callable[[], Executor]] = {} if ruled_out else _resident(placed, program.arena_bytes, arena)
        ways[GRAPH] = partial(GraphExecutor, placed, arena, budget)
        key = id(program.table), lanes
        choices = self._chosen.get(key)
        if choices is None:
            choices = self._chosen[key] = _measured(placed, {title: make() for title, make in ways.items()}, ruled_out)
            weakref.finalize(program.table, self._chosen.pop, key, None)
        made = {title: ways[title]() for title in {choice.executor for choice in choices}}
        return CudaProgram(placed, [made[choice.executor] for choice in choices], choices)


def _measured(placed: Placed, executors: Mapping[str, Executor], ruled_out: str) -> tuple[Choice, ...]:
    """The fastest executor of 1 lane, 2, 4 and so on, and of all."""
    choices = []
    for lanes in sorted({*(1 << power for power in range(placed.lanes.bit_length())), placed.lanes}):
        step_us = {
            title: 1000 * placed.queue.milliseconds(partial(executor.enqueue, lanes), TIMED_STEPS)
            for title, executor in executors.items()
        }
        best = min(step_us, key=lambda title: step_us[title])
        choices.append(Choice(best, lanes, step_us, ruled_out))
    return tuple(choices)


def _why_not_resident(program: Executable) -> str:
    """Why the interpreter is not even measured; "" if it is."""
    if program.multiply_adds > MOST_RESIDENT_MULTIPLY_ADDS:
        count, most = (number // 1_000_000 for number in (program.multiply_adds, MOST_RESIDENT_MULTIPLY_ADDS))
        return f"{count} million multiply-adds a step are too many for one block; up to {most} are tried"
    if program.arena_bytes > MOST_RESIDENT_ARENA_BYTES:
        sizes = in_bytes(program.arena_bytes), in_bytes(MOST_RESIDENT_ARENA_BYTES)
        return f"{sizes[0]} of activations are too many for one block; up to {sizes[1]} are tried"
    return ""


def _resident(placed: Placed, arena_bytes: int, arena: DeviceArena) -> dict[str, Callable[[], Executor]]:
    """The interpreter with as many threads as there are choices."""
    function = interpreter(placed.table, placed.device)
    shared_bytes = shared_arena_bytes(placed.device, function, arena_bytes)
    fitting = [threads for threads in RESIDENT_THREADS if threads <= function.most_threads] or [function.most_threads]
    return {
        f"resident interpreter, {threads} threads a stream": partial(
            ResidentExecutor, placed, function, threads, shared_bytes, None if shared_bytes else arena
        )
        for threads in fitting
    }


def _dotted(capability: tuple[int, int]) -> str:
    return ".".join(map(str, capability))
