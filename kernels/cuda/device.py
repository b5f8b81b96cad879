"""A card: what it has to do for programs. `CupyDevice` drives real ones; tests have one that is the processor."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np

from ..errors import KernelError
from .limits import Limits
from .source import Entry
from .structures import Parameters

LEAST_CAPABILITY = (7, 5)
"""Compute capability of the oldest cards that the kernels are compiled for."""


class DeviceError(KernelError):
    """A device is missing, or too small."""


class Facts(NamedTuple):
    """What a card is."""

    name: str
    compute_capability: tuple[int, int]
    multiprocessors: int
    shared_bytes: int
    """Shared memory that a block may have if it asks for it."""


class DeviceMemory(Protocol):
    """Memory on the card, freed with the object."""

    @property
    def address(self) -> int:
        """Where it begins: a multiple of 256."""
        ...


class Function(Protocol):
    """A function that can be launched."""

    @property
    def shared_bytes(self) -> int:
        """Shared memory that it declares."""
        ...

    @property
    def most_threads(self) -> int:
        """Of a block, as its registers allow."""
        ...


class Graph(Protocol):
    """What a queue has recorded."""


class Queue(Protocol):
    """Work that a card does one after the other, beside that of other queues. Used by one thread at a time.

    Addresses are of the card's memory or of page-locked arrays of the host; of other arrays where `wait` comes next.
    """

    def launch(
        self,
        function: Function,
        blocks: tuple[int, int],
        threads: int,
        shared_bytes: int,
        parameters: Parameters,
        *,
        cooperative: bool = False,
    ) -> None:
        """Run a function on blocks[0] x blocks[1] blocks, all at the same time if `cooperative`."""
        ...

    def copy(self, target: int, source: int, size_bytes: int) -> None:
        """Copy bytes."""
        ...

    def copy_rows(self, target: tuple[int, int], source: tuple[int, int], row_bytes: int, rows: int) -> None:
        """Copy rows; of each side, the address of the first one and the bytes from one to the next."""
        ...

    def fill(self, target: int, byte: int, size_bytes: int) -> None:
        """Set bytes."""
        ...

    def record(self, work: Callable[[], None]) -> Graph:
        """Keep what `work` puts into this queue, instead of doing it; with the values that parameters have now."""
        ...

    def replay(self, graph: Graph) -> None:
        """Do what was recorded."""
        ...

    def wait(self) -> None:
        """Until all is done; other Python threads run meanwhile."""
        ...

    def milliseconds(self, work: Callable[[], None], repeats: int) -> float:
        """How long the card takes for what `work` puts into this queue: the least of several times."""
        ...


class Device(Protocol):
    """One card. Safe from several threads."""

    facts: Facts
    limits: Limits
    """Of one instruction's launch."""

    def memory_bytes(self) -> tuple[int, int]:
        """Free, and in all."""
        ...

    def allocate(self, size_bytes: int) -> DeviceMemory:
        """Memory of undefined content. Raises DeviceError: there is not so much."""
        ...

    def host_array(self, size_bytes: int) -> np.ndarray:
        """[size_bytes] uint8, zeros: page-locked memory of the host at one address for the host and the card."""
        ...

    def interpreter(self, kernels: frozenset[str]) -> Function:
        """The resident interpreter of these kernels, compiled. Raises KernelError: one of them is not there."""
        ...

    def instruction(self, entry: Entry) -> Function:
        """The function that runs one instruction, compiled."""
        ...

    def queue(self) -> Queue:
        """A queue more."""
        ...
