"""A program as back ends see it: the instruction table, the memories it works on, and the face of a back end."""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np

from .contract import ALIGNMENT_BYTES

HUGE_PAGE_BYTES = 1 << 21

# Shared by default: a forked process would write into its parent's streams, and shared memory gets no huge pages.
_PRIVATE = {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if hasattr(mmap, "MAP_PRIVATE") else {}

WHOLE = -1
"""The part of an instruction that is not cut into parts."""


@dataclass(frozen=True)
class Table:
    """Instructions in the order in which they run."""

    kernels: np.ndarray
    """[instructions] int64: index into `schemas.KERNELS`."""
    operands: np.ndarray
    """[words] int64: the operand words of all instructions, end to end."""
    starts: np.ndarray
    """[instructions + 1] int64: where each instruction's operands start; the last entry is the end."""
    parts: np.ndarray | None = None
    """[instructions] int64: the thread that may run each beside its neighbours, or WHOLE. None: all are whole.

    A part 0, 1 ... does not wait for the parts before it, up to the last part 0; everything else waits for all."""

    def instructions(self) -> Iterator[tuple[int, list[int]]]:
        """The kernel of each, as `kernels` has it, and its operand words."""
        words = self.operands.tolist()
        for kernel_id, (start, end) in zip(self.kernels.tolist(), pairwise(self.starts.tolist()), strict=True):
            yield kernel_id, words[start:end]

    @property
    def threads(self) -> int:
        """Threads that have something to do."""
        return 1 if self.parts is None else max(1, int(self.parts.max(initial=WHOLE)) + 1)


@dataclass(frozen=True)
class Memory:
    """The three spaces of a running program. All are aligned to ALIGNMENT_BYTES."""

    weights: np.ndarray
    """[bytes] uint8, read-only."""
    arena: np.ndarray
    """[lanes, bytes] uint8."""
    state: np.ndarray
    """[slots, bytes] uint8."""


class Runner(Protocol):
    """A table bound to memories by one back end. Used by one thread at a time."""

    slots: np.ndarray
    """[lanes] int64: the state slot that each lane works on; written by the caller before `run`."""

    def run(self, lanes: int) -> None:
        """Execute the table once for lanes 0 .. lanes - 1."""
        ...


@dataclass(frozen=True)
class Port:
    """A named input or output: a dense tensor of a carrier at a fixed place in every lane's arena."""

    name: str
    shape: tuple[int, ...]
    offset_bytes: int
    dtype: np.dtype

    @property
    def size_bytes(self) -> int:
        """Of a lane."""
        return self.dtype.itemsize * int(np.prod(self.shape, dtype=np.int64))


class Executable(Protocol):
    """What a back end needs of a program."""

    @property
    def name(self) -> str:
        """What errors call it."""
        ...

    @property
    def table(self) -> Table:
        """The instructions."""
        ...

    @property
    def weights(self) -> np.ndarray:
        """[bytes] uint8, read-only; programs of one network may be given more and more of the same memory."""
        ...

    @property
    def arena_bytes(self) -> int:
        """A lane."""
        ...

    @property
    def initial_state(self) -> np.ndarray:
        """[bytes] uint8: what a fresh slot holds."""
        ...

    @property
    def multiply_adds(self) -> int:
        """A lane and step."""
        ...

    @property
    def inputs(self) -> Mapping[str, Port]:
        """By name."""
        ...

    @property
    def outputs(self) -> Mapping[str, Port]:
        """By name."""
        ...


class StateMemory(Protocol):
    """Slots of a program's streams, in the memory that its kernels work on; what they hold is the same on all."""

    def read(self, slot: int) -> bytes:
        """What a slot holds."""
        ...

    def write(self, slot: int, state: bytes) -> None:
        """Put a state of the program's size into a slot."""
        ...

    def reset(self, slot: int) -> None:
        """Put the program's initial state into a slot."""
        ...


class Arena(Protocol):
    """Memory for the activations of some lanes."""

    @property
    def lane_bytes(self) -> int:
        """Of each lane."""
        ...


@dataclass(frozen=True)
class Choice:
    """Which of its ways to run so many lanes of a program a back end has chosen, and why."""

    executor: str
    lanes: int
    step_us: Mapping[str, float]
    """Executor -> what was measured for a step of these lanes, transfers included: the least of several times."""
    ruled_out: str
    """Why another one was not measured; "" if all were."""


class BoundProgram(Runner, Protocol):
    """A program bound to its memories, and the host's view of its ports."""

    choices: Sequence[Choice]
    """The more lanes the later; of a number between two, the later one counts. None where nothing is to be chosen."""

    def input(self, name: str) -> np.ndarray:
        """The named input: [lanes, *shape] of its carrier, a live view for `run` to read."""
        ...

    def output(self, name: str) -> np.ndarray:
        """The named output, likewise, for `run` to write."""
        ...

    def poison(self) -> None:
        """Fill the arena with NaN."""
        ...


class Backend(Protocol):
    """Where programs run."""

    card: str
    """Which card computes, in words; "" for the host's processors."""

    def states(self, program: Executable, slots: int) -> StateMemory:
        """Make slots. What they hold is undefined until they are written or reset."""
        ...

    def arena(self, lanes: int, lane_bytes: int) -> Arena:
        """Make an arena."""
        ...

    def bind(self, program: Executable, lanes: int, states: StateMemory, arena: Arena | None = None) -> BoundProgram:
        """Bind a program to slots and to an arena of at least its size and lanes; None: one of its own."""
        ...


def align(size_bytes: int) -> int:
    """Bytes rounded up to the alignment of every buffer."""
    return -(-size_bytes // ALIGNMENT_BYTES) * ALIGNMENT_BYTES


def aligned_bytes(*shape: int) -> np.ndarray:
    """Zeroed uint8 memory whose first byte is aligned; the last axis should be a multiple of ALIGNMENT_BYTES.

    Large blocks ask for huge pages: a step reads all weights once, and with small pages the look-up of their
    addresses costs as much as the reading.
    """
    size = int(np.prod(shape, dtype=np.int64))
    alignment = HUGE_PAGE_BYTES if size >= HUGE_PAGE_BYTES // 2 else ALIGNMENT_BYTES
    if alignment == ALIGNMENT_BYTES:
        raw = np.zeros(size + alignment, np.uint8)
    else:
        block = mmap.mmap(-1, -(-size // alignment) * alignment + alignment, **_PRIVATE)
        if hasattr(mmap, "MADV_HUGEPAGE"):
            block.madvise(mmap.MADV_HUGEPAGE)
        raw = np.frombuffer(block, np.uint8)
    start = -raw.ctypes.data % alignment
    return raw[start : start + size].reshape(shape)
