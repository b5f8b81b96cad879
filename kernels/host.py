"""Back ends whose kernels work on the host's memory: ports are views of the arena, slots rows of an array."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from .contract import ALIGNMENT_BYTES
from .errors import KernelError
from .table import Arena, Choice, Executable, Memory, Port, Runner, StateMemory, Table, aligned_bytes

MakeRunner = Callable[[Table, Memory], Runner]


class HostStates:
    """Slots side by side: [slots, bytes] uint8. Memory is touched only by those that are used."""

    def __init__(self, program: Executable, slots: int) -> None:
        self._initial = program.initial_state
        self.array = aligned_bytes(slots, max(len(self._initial), ALIGNMENT_BYTES))

    def read(self, slot: int) -> bytes:
        """What a slot holds."""
        return self.array[slot, : len(self._initial)].tobytes()

    def write(self, slot: int, state: bytes) -> None:
        """Put a state into a slot."""
        self.array[slot, : len(self._initial)] = np.frombuffer(state, np.uint8)

    def reset(self, slot: int) -> None:
        """Put the initial state into a slot."""
        self.array[slot, : len(self._initial)] = self._initial


class HostArena:
    """[lanes, lane_bytes] uint8."""

    def __init__(self, lanes: int, lane_bytes: int) -> None:
        self.array = aligned_bytes(lanes, lane_bytes)
        self.lane_bytes = lane_bytes


class HostProgram:
    """A program on a runner that works on the host's memory."""

    choices: Sequence[Choice] = ()

    def __init__(self, make: MakeRunner, program: Executable, lanes: int, states: HostStates, arena: HostArena) -> None:
        self.arena = arena.array
        self._lanes, self._program = lanes, program
        runner = make(program.table, Memory(program.weights, self.arena, states.array))
        self.slots = runner.slots
        self.run = runner.run
        """run(lanes): the runner's own, without a call between."""

    def input(self, name: str) -> np.ndarray:
        """The named input: [lanes, *shape]."""
        return self._view(self._program.inputs[name])

    def output(self, name: str) -> np.ndarray:
        """The named output: [lanes, *shape]."""
        return self._view(self._program.outputs[name])

    def poison(self) -> None:
        """Fill the arena with NaN."""
        self.arena[:, : self.arena.shape[1] // 4 * 4].view(np.float32)[:] = np.nan

    def _view(self, port: Port) -> np.ndarray:
        window = self.arena[: self._lanes, port.offset_bytes : port.offset_bytes + port.size_bytes]
        return window.view(port.dtype).reshape(self._lanes, *port.shape)


class HostBackend:
    """A back end that its runner makes."""

    card = ""

    def __init__(self, make: MakeRunner) -> None:
        self._make = make

    def states(self, program: Executable, slots: int) -> HostStates:
        """Make slots, full of zeros."""
        return HostStates(program, slots)

    def arena(self, lanes: int, lane_bytes: int) -> HostArena:
        """Make an arena, full of zeros."""
        return HostArena(lanes, lane_bytes)

    def bind(self, program: Executable, lanes: int, states: StateMemory, arena: Arena | None = None) -> HostProgram:
        """Bind a program. Raises KernelError: the slots or the arena are another back end's."""
        if arena is None:
            arena = self.arena(lanes, program.arena_bytes)
        if not isinstance(states, HostStates) or not isinstance(arena, HostArena):
            raise KernelError(f"{program.name}: its slots and its arena have to lie in the host's memory")
        return HostProgram(self._make, program, lanes, states, arena)
