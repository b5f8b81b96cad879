"""How much of a card's memory models may take."""

from __future__ import annotations

import threading
import weakref

from .device import Device, DeviceError, DeviceMemory

MEMORY_VARIABLE = "WAVETILE_DEVICE_MEMORY"
"""Environment variable: bytes of the card's memory that the models of this process may take; by default a share of
what is free."""

SHARE = 0.8
"""Of the memory that is free at first; the rest is for compiled kernels, other users and what the driver takes."""

_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


class Budget:
    """Gives out a device's memory up to a limit. Thread-safe."""

    def __init__(self, device: Device, limit_bytes: int | None = None) -> None:
        """`limit_bytes`: None for SHARE of what is free now."""
        self._device = device
        self.limit_bytes = int(SHARE * device.memory_bytes()[0]) if limit_bytes is None else limit_bytes
        self.taken_bytes = 0
        self._lock = threading.RLock()  # memory may be collected, and given back, wherever something is allocated

    def allocate(self, size_bytes: int, purpose: str) -> DeviceMemory:
        """Memory that counts until it is collected. Raises DeviceError: there is too little, for what."""
        with self._lock:
            if self.taken_bytes + size_bytes > self.limit_bytes:
                left = self.limit_bytes - self.taken_bytes
                raise DeviceError(
                    f"{purpose} need {in_bytes(size_bytes)} of device memory, and of the {in_bytes(self.limit_bytes)} "
                    f"that models may take {in_bytes(left)} are left; a larger {MEMORY_VARIABLE}, or fewer streams or "
                    "models, would work"
                )
            self.taken_bytes += size_bytes
        try:
            memory = self._device.allocate(size_bytes)
        except BaseException as error:
            self._give_back(size_bytes)
            if isinstance(error, DeviceError):
                raise DeviceError(f"{purpose}: {error}") from None
            raise
        weakref.finalize(memory, self._give_back, size_bytes)
        return memory

    def _give_back(self, size_bytes: int) -> None:
        with self._lock:
            self.taken_bytes -= size_bytes


def read_bytes(text: str) -> int:
    """A number of bytes: 500000000, 500M or 8G (powers of 1024). Raises ValueError."""
    number, factor = (text[:-1], _UNITS[text[-1:]]) if text[-1:] in _UNITS else (text, 1)
    if not number.isdecimal() or not int(number):
        raise ValueError(f"{text!r} is no number of bytes; 8G or 500M would work")
    return int(number) * factor


def in_bytes(count: int) -> str:
    """A number of bytes for people."""
    return f"{count / 2**30:.3g} GiB" if count >= 2**30 else f"{count / 2**20:.3g} MiB"
