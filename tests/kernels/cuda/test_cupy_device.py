"""What a card that CuPy drives says where something is missing; here CuPy is made up, and has no card."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from wavetile.kernels.cuda import cupy_device
from wavetile.kernels.cuda.cupy_device import CupyDevice
from wavetile.kernels.cuda.device import DeviceError
from wavetile.kernels.cuda.source import Entry, Team

FREE, TOTAL, POOLED = 1000, 2000, 50


class CallError(RuntimeError):
    """What CuPy's calls of the runtime raise."""


class CompileError(Exception):
    """What its compiler raises."""


class NoRoomError(MemoryError):
    """What its pool raises."""


def failing(error: Exception) -> Callable[..., Any]:
    def fail(*_: object, **__: object) -> Any:
        raise error

    return fail


def made_up_cupy() -> SimpleNamespace:
    runtime = SimpleNamespace(
        CUDARuntimeError=CallError,
        getDeviceCount=lambda: 1,
        setDevice=lambda number: None,
        free=lambda address: None,
        memGetInfo=lambda: (FREE, TOTAL),
        getDeviceProperties=lambda number: {"name": b"a card", "major": 9, "minor": 0, "multiProcessorCount": 132},
        cudaDevAttrMaxSharedMemoryPerBlockOptin=97,
        deviceGetAttribute=lambda attribute, number: 232448,
        hostAllocMapped=2,
        hostAllocPortable=1,
    )
    pool = SimpleNamespace(free_bytes=lambda: POOLED, malloc=failing(NoRoomError()))
    cuda = SimpleNamespace(
        runtime=runtime,
        MemoryPool=lambda: pool,
        PinnedMemory=failing(CallError("no more pages can be locked")),
        memory=SimpleNamespace(OutOfMemoryError=NoRoomError),
        compiler=SimpleNamespace(CompileException=CompileError),
    )
    return SimpleNamespace(cuda=cuda)


@pytest.fixture
def cupy(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    made_up = made_up_cupy()
    monkeypatch.setitem(sys.modules, "cupy", made_up)
    return made_up


def test_what_the_card_is(cupy: SimpleNamespace) -> None:
    device = CupyDevice()
    assert device.facts == ("a card", (9, 0), 132, 232448)
    assert (device.limits.multiprocessors, device.limits.shared_bytes) == (132, 232448)
    assert device.memory_bytes() == (FREE + POOLED, TOTAL)


def test_no_driver(cupy: SimpleNamespace) -> None:
    cupy.cuda.runtime.getDeviceCount = failing(CallError("cudaErrorNoDevice"))
    with pytest.raises(DeviceError, match="needs an NVIDIA card and its driver: cudaErrorNoDevice"):
        CupyDevice()


def test_no_folder_for_what_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cupy_device, "import_module", failing(PermissionError("/home is read-only")))
    with pytest.raises(DeviceError, match="can not keep what it compiles: /home is read-only; CUPY_CACHE_DIR would"):
        CupyDevice()


def test_no_such_card(cupy: SimpleNamespace) -> None:
    with pytest.raises(DeviceError, match="there is no card number 3; of 1 the last one is number 0"):
        CupyDevice(3)


def test_too_little_memory(cupy: SimpleNamespace) -> None:
    device = CupyDevice()
    with pytest.raises(DeviceError, match="4096 bytes of device memory wanted; 1050 of 2000 are free"):
        device.allocate(4096)
    with pytest.raises(DeviceError, match="4096 bytes of page-locked memory of the host wanted: no more pages"):
        device.host_array(4096)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (CompileError("expected a ;"), "the CUDA kernel 'copy_grid' can not be compiled and loaded: expected a ;"),
        (RuntimeError("no NVRTC"), "the CUDA kernel 'copy_grid' can not be compiled and loaded: no NVRTC"),
        (PermissionError("/home is read-only"), "can not keep what it compiles: /home is read-only; CUPY_CACHE_DIR"),
    ],
)
def test_what_can_not_be_compiled(cupy: SimpleNamespace, error: Exception, said: str) -> None:
    cupy.RawModule = lambda **_: SimpleNamespace(get_function=failing(error))
    with pytest.raises(DeviceError, match=said):
        CupyDevice().instruction(Entry("copy", Team.GRID))
