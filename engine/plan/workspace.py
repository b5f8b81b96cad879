"""Running programs: slots that hold what streams keep, and workspaces that execute steps."""

from __future__ import annotations

import threading
from typing import NamedTuple

import numpy as np

from ...kernels.contract import ALIGNMENT_BYTES
from ...kernels.table import Memory, Runner, Table, aligned_bytes
from ..errors import BackendError, CapacityError, WavetileError
from .program import Port, Program

BACKENDS = ("cpu", "reference")


def bind(backend: str, table: Table, memory: Memory) -> Runner:
    """Bind a table to memories on a back end.

    Raises:
        BackendError: the back end is not there.
    """
    if backend == "cpu":
        from ...kernels.cpu.runner import CpuRunner
        from ...kernels.cpu.team import TeamRunner

        return (CpuRunner if table.threads == 1 else TeamRunner)(table, memory)
    if backend == "reference":
        from ...kernels.reference.runner import ReferenceRunner

        return ReferenceRunner(table, memory)
    raise BackendError(f"there is no back end {backend!r}; choose one of {', '.join(BACKENDS)}")


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

    def __init__(self, program: Program, capacity: int) -> None:
        self.capacity = capacity
        self._initial = program.initial_state
        stride = max(len(self._initial), ALIGNMENT_BYTES)
        self.memory = aligned_bytes(capacity, stride)
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
        self.view(slot)[:] = self._initial

    def view(self, slot: Slot) -> np.ndarray:
        """The state of a slot: [state_bytes] uint8, live. Raises WavetileError as `release`."""
        self._check(slot)
        return self.memory[slot.place, : len(self._initial)]

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
        arena: np.ndarray | None = None,
    ) -> None:
        """Bind the program.

        Args:
            program: what runs.
            backend: one of BACKENDS.
            lanes: how many streams run together at most.
            pool: where their slots are; None: a slot of its own for each lane.
            arena: [lanes, at least program.arena_bytes] uint8, aligned, that several workspaces share which never run
                at the same time; None: an arena of its own.
        """
        self.program = program
        self.lanes = lanes
        own = pool is None
        self._pool = StatePool(program, lanes) if pool is None else pool
        self._arena = aligned_bytes(lanes, program.arena_bytes) if arena is None else arena
        self._runner = bind(backend, program.table, Memory(program.weights, self._arena, self._pool.memory))
        self.slots = self._runner.slots
        """[lanes] int64. Without a pool each lane has a slot of its own, at the initial state."""
        if own:
            self.slots[:] = [self._pool.acquire().place for _ in range(lanes)]
        self._views: dict[Port, np.ndarray] = {}
        self.run = self._runner.run
        """run(lanes): one step of the first `lanes` lanes, in one native call."""

    def poison(self) -> None:
        """Fill the arena with NaN: whoever reads what no one has written spreads it, and is found out."""
        self._arena[:, : self._arena.shape[1] // 4 * 4].view(np.float32)[:] = np.nan

    def input(self, name: str) -> np.ndarray:
        """The named input: [lanes, *shape] of its carrier, a live view."""
        return self._port(self.program.inputs[name])

    def output(self, name: str) -> np.ndarray:
        """The named output: [lanes, *shape] of its carrier, a live view that the next `run` overwrites."""
        return self._port(self.program.outputs[name])

    def _port(self, port: Port) -> np.ndarray:
        view = self._views.get(port)
        if view is None:
            size = port.dtype.itemsize * int(np.prod(port.shape, dtype=np.int64))
            window = self._arena[:, port.offset_bytes : port.offset_bytes + size]
            view = self._views[port] = window.view(port.dtype).reshape(self.lanes, *port.shape)
        return view


class SharedArena:
    """Workspaces of one lane whose programs run one after the other, in one arena. Used by one thread at a time."""

    def __init__(self, backend: str = "cpu") -> None:
        self._backend = backend
        self._memory = aligned_bytes(1, 0)
        self._workspaces: dict[int, Workspace] = {}

    def has_room(self, program: Program) -> bool:
        """Whether binding a program leaves other workspaces as they are.

        If not, the arena is about to be replaced by a larger one; who lets go of the workspaces frees it before.
        """
        return program.arena_bytes <= self._memory.shape[1]

    def bind(self, program: Program) -> Workspace:
        """The program's workspace: another one than before if the arena had to grow meanwhile."""
        workspace = self._workspaces.get(id(program))  # it keeps its program, so that the number stays its own
        if workspace is None:
            if not self.has_room(program):
                self._workspaces.clear()
                self._memory = aligned_bytes(1, 0)  # gone before the larger one is there
                self._memory = aligned_bytes(1, program.arena_bytes)
            workspace = self._workspaces[id(program)] = Workspace(program, self._backend, arena=self._memory)
        return workspace
