"""The card of this process: opened when the first program asks for it, and shared by all models."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from ...kernels.cuda.backend import CudaBackend
from ...kernels.cuda.budget import MEMORY_VARIABLE, read_bytes
from ...kernels.cuda.device import Device, DeviceError
from ..errors import BackendError


class _Opened:
    """What is opened, and guards it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.backend: CudaBackend | None = None


_OPENED = _Opened()


def cuda() -> CudaBackend:
    """The back end of this process's card. Raises BackendError: what it needs is not here."""
    with _OPENED.lock:
        if _OPENED.backend is None:
            try:
                from ...kernels.cuda.cupy_device import CupyDevice

                limit = os.environ.get(MEMORY_VARIABLE)
                _OPENED.backend = CudaBackend(CupyDevice(), read_bytes(limit) if limit else None)
            except DeviceError as error:
                raise BackendError(str(error)) from None
            except ValueError as error:
                raise BackendError(f"{MEMORY_VARIABLE}: {error}") from None
        return _OPENED.backend


@contextmanager
def use_device(device: Device, memory_bytes: int | None = None) -> Iterator[CudaBackend]:
    """Compute the back end "cuda" on another device than this process's card, as tests do."""
    before = _OPENED.backend
    _OPENED.backend = backend = CudaBackend(device, memory_bytes)
    try:
        yield backend
    finally:
        _OPENED.backend = before
