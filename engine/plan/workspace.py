"""Running programs: slots that hold what streams keep, and workspaces that execute steps."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import NamedTuple

import numpy as np

from ...kernels.errors import KernelError
from ...kernels.table import Arena, Choice
from ..errors import BackendError, CapacityError, WavetileError
from .backends import named_backend
from .program import Program


@contextmanager
def _refusals_of(program: Program) -> Iterator[None]:
    """Let what a back end refuses name the program."""
    try:
        yield
    except KernelError as error:
        raise BackendError(f"{program.name}: {error}") from None


class Slot(NamedTuple):
    """The right to a place of a StatePool, from acquire to release."""

    place: int
    """Where the state is: what a workspace's `slots` take."""
    generation: int
    """Which of the place's owners this is."""


class StatePool:
    """Places for the state of one program's streams; each belongs to one stream from acquire to release.

    Who holds a slot that was released can neither see nor change what the place's next owner keeps there. Thread-safe.
    """

    def __init__(self, program: Program, capacity: int, backend: str = "cpu") -> None:
        """Make the slots where `backend` computes.

        Raises:
            BackendError: the back end is not there, or its device has no room for so many.
        """
        self.capacity = capacity
        self.backend = named_backend(backend)
        with _refusals_of(program):
            self.memory = self.backend.states(program, capacity)
        self._size = program.state_bytes
        self._free = dict.fromkeys(range(capacity - 1, -1, -1))
        self._generations = [0] * capacity
        """Of each place's owner, or of its next one while it is free."""
        self._lock = threading.Lock()

    @property
    def free(self) -> int:
        """Slots that are not taken."""
        return len(self._free)

    def acquire(self) -> Slot:
        """Take a slot; its state is the program's initial state.

        Raises:
            CapacityError: every slot is taken.
        """
        with self._lock:
            if not self._free:
                raise CapacityError(f"all {self.capacity} state slots are taken; close a stream or raise the capacity")
            index, _ = self._free.popitem()
            slot = Slot(index, self._generations[index])
        self.reset(slot)
        return slot

    def release(self, slot: Slot) -> None:
        """Give a slot back.

        Raises:
            WavetileError: the slot is not this owner's (it was released before, say).
        """
        with self._lock:
            self._check(slot)
            self._generations[slot.place] += 1
            self._free[slot.place] = None

    def reset(self, slot: Slot) -> None:
        """Put a slot back to the initial state. Raises WavetileError as `release`."""
        self._check(slot)
        self.memory.reset(slot.place)

    def read(self, slot: Slot) -> bytes:
        """The state of a slot: the same bytes on every back end. Raises WavetileError as `release`."""
        self._check(slot)
        return self.memory.read(slot.place)

    def write(self, slot: Slot, state: bytes) -> None:
        """Put a state that `read` gave into a slot. Raises WavetileError as `release`; ValueError: it does not fit."""
        self._check(slot)
        if len(state) != self._size:
            raise ValueError(f"a state of {len(state)} bytes; one of {self._size} would fit")
        self.memory.write(slot.place, state)

    def _check(self, slot: Slot) -> None:
        index, generation = slot
        if not 0 <= index < self.capacity or index in self._free or self._generations[index] != generation:
            raise WavetileError(f"state slot {index} does not belong to its owner number {generation} (any more)")


class Workspace:
    """An arena for a number of lanes, bound to a program. Used by one thread at a time.

    Write inputs through `input`, say which slot each lane works on in `slots`, call `run`, read through `output`.
    """

    def __init__(
        self,
        program: Program,
        backend: str = "cpu",
        lanes: int = 1,
        pool: StatePool | None = None,
        arena: Arena | None = None,
    ) -> None:
        """Bind the program.

        Args:
            program: what runs.
            backend: one of BACKENDS.
            lanes: how many streams run together at most.
            pool: where their slots are, on the same back end; None: a slot of its own for each lane.
            arena: an arena of that back end, at least program.arena_bytes a lane, that several workspaces share which
                never run at the same time; None: an arena of its own.

        Raises:
            BackendError: the back end or a kernel is not there, or its device has no room.
        """
        self.program = program
        self.lanes = lanes
        own = pool is None
        self._pool = StatePool(program, lanes, backend) if pool is None else pool
        with _refusals_of(program):
            self._bound = named_backend(backend).bind(program, lanes, self._pool.memory, arena)
        self.slots = self._bound.slots
        """[lanes] int64. Without a pool each lane has a slot of its own, at the initial state."""
        if own:
            self.slots[:] = [self._pool.acquire().place for _ in range(lanes)]
        self.choices = self._bound.choices
        """Which executor runs how many lanes, where the back end has several."""
        self.run = self._bound.run
        """run(lanes): one step of the first `lanes` lanes, in one native call."""

    @property
    def choice(self) -> Choice | None:
        """Which executor runs all lanes; None where the back end has one only."""
        return self.choices[-1] if self.choices else None

    @cached_property
    def _inputs(self) -> dict[str, np.ndarray]:
        return {name: self._bound.input(name) for name in self.program.inputs}

    @cached_property
    def _outputs(self) -> dict[str, np.ndarray]:
        return {name: self._bound.output(name) for name in self.program.outputs}

    def poison(self) -> None:
        """Fill the arena with NaN: whoever reads what no one has written spreads it, and is found out."""
        self._bound.poison()

    def input(self, name: str) -> np.ndarray:
        """The named input: [lanes, *shape] of its carrier, a live view."""
        return self._inputs[name]

    def output(self, name: str) -> np.ndarray:
        """The named output: [lanes, *shape] of its carrier, a live view that the next `run` overwrites."""
        return self._outputs[name]


class SharedArena:
    """Workspaces of one lane whose programs run one after the other, in one arena. Used by one thread at a time."""

    def __init__(self, backend: str = "cpu") -> None:
        self._backend = backend
        self._memory: Arena | None = None
        self._workspaces: dict[int, Workspace] = {}

    def has_room(self, program: Program) -> bool:
        """Whether binding a program leaves other workspaces as they are.

        If not, the arena is about to be replaced by a larger one; who lets go of the workspaces frees it before.
        """
        return self._memory is not None and program.arena_bytes <= self._memory.lane_bytes

    def bind(self, program: Program) -> Workspace:
        """The program's workspace: another one than before if the arena had to grow meanwhile."""
        workspace = self._workspaces.get(id(program))  # it keeps its program, so that the number stays its own
        if workspace is None:
            if not self.has_room(program):
                self._workspaces.clear()
                self._memory = None  # gone before the larger one is there
                with _refusals_of(program):
                    self._memory = named_backend(self._backend).arena(1, program.arena_bytes)
            workspace = self._workspaces[id(program)] = Workspace(program, self._backend, arena=self._memory)
        return workspace
