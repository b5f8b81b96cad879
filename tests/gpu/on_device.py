"""A plugin for pytest: problems of the back end "cuda" run on this machine's card instead of on the processor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wavetile.kernels.cuda.cupy_device import CupyDevice

from .device_runner import DeviceRunner

if TYPE_CHECKING:
    import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Raises DeviceError: there is no card."""
    from tests.kernels import harness
    from tests.kernels.cuda import host

    device = CupyDevice()
    host.compiler_is_here = lambda: True  # nothing is compiled for the processor
    harness.RUNNERS["cuda"] = lambda table, memory: DeviceRunner(table, memory, device)
