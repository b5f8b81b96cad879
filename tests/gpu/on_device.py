"""A plugin for pytest: problems of CUDA, in each of its ways, run on this machine's card, not on the processor."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from wavetile.kernels.cuda.cupy_device import CupyDevice
from wavetile.kernels.cuda.lanes import LANES_BYTES

from .device_runner import DeviceRunner

if TYPE_CHECKING:
    import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Raises DeviceError: there is no card."""
    from tests.kernels import harness
    from tests.kernels.cuda import host

    device = CupyDevice()
    host.compiler_is_here = lambda: True  # nothing is compiled for the processor
    held = replace(device.limits, shared_hidden=1)  # problems are small
    streamed = replace(held, shared_bytes=LANES_BYTES)
    for backend, together in (("cuda", None), ("cuda_held", held), ("cuda_streamed", streamed)):
        harness.RUNNERS[backend] = partial(DeviceRunner, device=device, together=together)
