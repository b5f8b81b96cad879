"""Where packed weights lie: each constant once, of one program or of all that are made of the same network."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np

from ...kernels.contract import Space
from ...kernels.table import align, aligned_bytes
from .constants import Constants
from .view import Buffer


class WeightMemory:
    """The memory that programs read their weights from. Thread-safe.

    Programs made of one network, such as the steps of a stream, read mostly the same: what one has is there for all.
    """

    def __init__(self, room: int = 1) -> None:
        """`room`: bytes to reserve for each byte of the first program; they cost nothing until they are written."""
        self._room = room
        self._lock = threading.Lock()
        self._block = aligned_bytes(0)
        self._end = 0
        self._constants = Constants()

    def place(self, buffers: Sequence[Buffer]) -> np.ndarray:
        """Say where each buffer of a program lies; new ones follow each other in the order in which they are given.

        Returns:
            The memory that they all lie in, and others perhaps: [bytes] uint8, read-only. One that has no room for the
            new ones is left to the programs that read it, and another one begun.
        """
        with self._lock:
            missing = [buffer for buffer in buffers if self._constants.find(buffer.phantom) is None]
            if sum(align(buffer.nbytes) for buffer in missing) > len(self._block) - self._end:
                self._constants, self._end = Constants(), 0
                self._block = aligned_bytes(self._room * sum(align(buffer.nbytes) for buffer in buffers))
            for buffer in buffers:
                buffer.offset_bytes = self._kept(buffer.phantom).start_bytes
            memory = self._block[: self._end]
            memory.flags.writeable = False
            return memory

    def _kept(self, data: np.ndarray) -> Buffer:
        """The buffer in this memory with these elements."""
        kept = self._constants.find(data)
        if kept is None:
            kept = Buffer(Space.WEIGHTS, self._block[self._end :][: data.nbytes].view(data.dtype))
            kept.phantom[:] = data
            kept.offset_bytes = self._end
            self._end += align(data.nbytes)
            self._constants.add(kept)
        return kept
