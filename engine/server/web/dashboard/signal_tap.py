"""What one audio or feature stream is sent and gives, kept for a few seconds for those who look at it."""

from __future__ import annotations

import asyncio
import base64
from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np

from ....session import ImageResult
from ...served import SessionOutput
from .spectrum import BANDS, COLUMNS_PER_SECOND, LOWEST_HZ, Spectrum

KEPT_S = 10
"""Of columns and values: what a page gets that has just begun to look."""
MAX_WAITING_S = 2.0
"""Of a signal that nobody has asked for yet; what is older is dropped."""


class SignalTap:
    """Samples are only put aside when they pass; spectra are computed when somebody asks, and beside the event loop."""

    def __init__(self, sample_rate_hz: int, frames_per_second: float) -> None:
        """0 Hz: a signal of feature frames, of which only the values are shown."""
        self._rate_hz = sample_rate_hz
        self._sides = {side: _Side(sample_rate_hz) for side in ("sent", "answered")} if sample_rate_hz else {}
        self._frames_per_second = frames_per_second
        self._values: dict[str, _Values] = {}
        self._reading = asyncio.Lock()

    def sent(self, chunk: np.ndarray, /) -> None:
        """See `Tap`."""
        if self._sides:
            self._sides["sent"].put(chunk)

    def answered(self, output: SessionOutput, /) -> None:
        """See `Tap`."""
        if self._sides and output.samples is not None:
            self._sides["answered"].put(output.samples)
        for name, array in output.values.items():
            if array.size and array.size == len(array):  # one number a frame
                values = self._values.setdefault(name, _Values(max(1, round(self._frames_per_second * KEPT_S))))
                values.put(array)

    def part_done(self, z: int, y: int, x: int, pixels: np.ndarray, result: ImageResult, /) -> None:
        """No images come here."""

    async def read(self, since: Mapping[str, int]) -> dict[str, Any]:
        """All that came after given positions, and the next positions; columns are bytes in base64, low bands first.

        A column or value that was dropped is missing: the first position may be beyond what was asked for.
        """
        async with self._reading:
            for side in self._sides.values():
                await side.fold()
        return {
            "columns_per_second": COLUMNS_PER_SECOND,
            "bands": BANDS,
            "lowest_hz": LOWEST_HZ,
            "highest_hz": self._rate_hz / 2,
            "columns": {name: side.read(since.get(name, 0)) for name, side in self._sides.items() if side.used},
            "values_per_second": self._frames_per_second,
            "values": {name: values.read(since.get(f"values.{name}", 0)) for name, values in self._values.items()},
        }


class _Side:
    """One direction's signal."""

    def __init__(self, sample_rate_hz: int) -> None:
        self._spectrum = Spectrum(sample_rate_hz)
        self._most_samples = int(MAX_WAITING_S * sample_rate_hz)
        self._waiting: deque[np.ndarray] = deque()
        self._waiting_samples = 0
        self._columns: deque[bytes] = deque(maxlen=KEPT_S * COLUMNS_PER_SECOND)
        self._next = 0
        self.used = False

    def put(self, samples: np.ndarray) -> None:
        self.used = True
        self._waiting.append(samples)
        self._waiting_samples += len(samples)
        while self._waiting_samples > self._most_samples:
            self._waiting_samples -= len(self._waiting.popleft())

    async def fold(self) -> None:
        """Make columns of what waits, of its first channel."""
        blocks = [self._waiting.popleft() for _ in range(len(self._waiting))]
        self._waiting_samples -= sum(map(len, blocks))
        one_channel = [block if block.ndim == 1 else block[:, 0] for block in blocks]
        for column in await asyncio.to_thread(self._spectrum.columns, one_channel):
            self._columns.append(column.tobytes())
            self._next += 1

    def read(self, since: int) -> dict[str, Any]:
        first = max(since, self._next - len(self._columns))
        new = list(self._columns)[len(self._columns) - (self._next - first) :] if first < self._next else []
        return {"first": first, "next": self._next, "data": base64.b64encode(b"".join(new)).decode()}


class _Values:
    def __init__(self, kept: int) -> None:
        self._numbers: deque[float] = deque(maxlen=kept)
        self._next = 0

    def put(self, array: np.ndarray) -> None:
        self._numbers.extend(np.nan_to_num(array).ravel().tolist())
        self._next += array.size

    def read(self, since: int) -> dict[str, Any]:
        numbers = list(self._numbers)
        first = max(since, self._next - len(numbers))
        return {"first": first, "next": self._next, "data": numbers[len(numbers) - (self._next - first) :]}
