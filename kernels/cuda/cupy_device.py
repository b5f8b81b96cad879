"""A card as CuPy drives it: the only file that imports CuPy."""

from __future__ import annotations

import threading
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np

from .device import DeviceError, DeviceMemory, Facts, Function
from .limits import Limits
from .source import Entry, source
from .structures import Parameters

OPTIONS = ("-std=c++17",)
"""For NVRTC, beside those of CuPy's own, -ftz=true among them: denormals of float32 count as zero."""

EXTRAS = "pip install 'wavetile[cuda]' (CUDA 13) or 'wavetile[cuda12]' (CUDA 12)"


def _cupy() -> Any:
    try:
        return import_module("cupy")
    except ImportError as error:
        raise DeviceError(
            f"the back end 'cuda' needs CuPy, which can not be imported ({error}); {EXTRAS} would work"
        ) from None
    except OSError as error:  # it makes its folder at once
        raise _unkept(error) from None


def _unkept(error: OSError) -> DeviceError:
    return DeviceError(
        f"CuPy can not keep what it compiles: {error}; CUPY_CACHE_DIR would work, set to a folder that can be written"
    )


class CupyDevice:
    """The card of a number. Safe from several threads."""

    def __init__(self, number: int = 0) -> None:
        """Raises DeviceError: CuPy is not here, or no driver, or no such card."""
        cupy = _cupy()
        self._cupy = cupy
        self._runtime = cupy.cuda.runtime
        try:
            count = self._runtime.getDeviceCount()
        except self._runtime.CUDARuntimeError as error:
            raise DeviceError(f"the back end 'cuda' needs an NVIDIA card and its driver: {error}") from None
        if number >= count:
            raise DeviceError(f"there is no card number {number}; of {count} the last one is number {count - 1}")
        self._number = number
        self._here = threading.local()
        self._compiling = threading.RLock()
        self._functions: dict[Entry | frozenset[str], _Function] = {}
        self.enter()
        self._pool = cupy.cuda.MemoryPool()
        self.facts = self._read_facts()
        self.limits = Limits(multiprocessors=self.facts.multiprocessors, shared_bytes=self.facts.shared_bytes)

    def enter(self) -> None:
        """Let the calling thread use the card; what its other methods and its queues do first."""
        if not getattr(self._here, "entered", False):
            self._runtime.setDevice(self._number)
            self._runtime.free(0)  # makes the context current, which calls of the driver take for granted
            self._here.entered = True

    def _read_facts(self) -> Facts:
        runtime = self._runtime
        properties = runtime.getDeviceProperties(self._number)
        return Facts(
            properties["name"].decode(),
            (properties["major"], properties["minor"]),
            properties["multiProcessorCount"],
            runtime.deviceGetAttribute(runtime.cudaDevAttrMaxSharedMemoryPerBlockOptin, self._number),
        )

    def memory_bytes(self) -> tuple[int, int]:
        """Free, and in all."""
        self.enter()
        free, total = self._runtime.memGetInfo()
        return free + self._pool.free_bytes(), total

    def allocate(self, size_bytes: int) -> DeviceMemory:
        """Memory of undefined content. Raises DeviceError."""
        self.enter()
        try:
            return _Memory(self._pool.malloc(size_bytes))
        except self._cupy.cuda.memory.OutOfMemoryError:
            free, total = self.memory_bytes()
            raise DeviceError(f"{size_bytes} bytes of device memory wanted; {free} of {total} are free") from None

    def host_array(self, size_bytes: int) -> np.ndarray:
        """[size_bytes] uint8, zeros, page-locked, at one address for host and card. Raises DeviceError."""
        self.enter()
        flags = self._runtime.hostAllocMapped | self._runtime.hostAllocPortable
        try:
            memory = self._cupy.cuda.PinnedMemory(size_bytes, flags)
        except self._runtime.CUDARuntimeError as error:
            raise DeviceError(f"{size_bytes} bytes of page-locked memory of the host wanted: {error}") from None
        array = np.frombuffer(self._cupy.cuda.PinnedMemoryPointer(memory, 0), np.uint8, size_bytes)
        array[:] = 0
        return array

    def interpreter(self, kernels: frozenset[str]) -> Function:
        """The resident interpreter of these kernels."""
        return self._compiled(kernels, "walk", lambda: source(kernels, alone=False))

    def instruction(self, entry: Entry) -> Function:
        """The function that runs one instruction."""
        return self._compiled(entry, entry.function, lambda: source([entry.kernel], resident=False))

    def _compiled(self, key: Entry | frozenset[str], name: str, code: Callable[[], str]) -> Function:
        with self._compiling:
            function = self._functions.get(key)
            if function is None:
                self.enter()
                module = self._cupy.RawModule(code=code(), options=OPTIONS)
                try:
                    kernel = module.get_function(name)
                    function = self._functions[key] = _Function(kernel, self.facts.shared_bytes)
                except (self._cupy.cuda.compiler.CompileException, RuntimeError) as error:  # or there is no compiler
                    raise DeviceError(f"the CUDA kernel {name!r} can not be compiled and loaded: {error}") from None
                except OSError as error:
                    raise _unkept(error) from None
            return function

    def queue(self) -> CupyQueue:
        """A queue more."""
        self.enter()
        return CupyQueue(self, self._cupy)


class _Memory:
    """A block of the pool; it goes back when this is collected."""

    __slots__ = ("__weakref__", "_pointer", "address")

    def __init__(self, pointer: Any) -> None:
        self._pointer = pointer
        self.address = int(pointer.ptr)


class _Function:
    """A compiled kernel, which may have all the shared memory that there is."""

    def __init__(self, kernel: Any, shared_bytes: int) -> None:
        self._kernel = kernel  # keeps its module loaded
        self.address = int(kernel.kernel.ptr)
        self.shared_bytes = int(kernel.shared_size_bytes)
        self.most_threads = int(kernel.max_threads_per_block)
        kernel.max_dynamic_shared_size_bytes = shared_bytes - self.shared_bytes


class CupyQueue:
    """A stream of its own."""

    def __init__(self, device: CupyDevice, cupy: Any) -> None:
        self._device, self._cupy = device, cupy
        self._runtime, self._driver = cupy.cuda.runtime, import_module("cupy_backends.cuda.api.driver")
        self._stream = cupy.cuda.Stream(non_blocking=True)
        self._pointer = self._stream.ptr

    def launch(
        self,
        function: Any,
        blocks: tuple[int, int],
        threads: int,
        shared_bytes: int,
        parameters: Parameters,
        *,
        cooperative: bool = False,
    ) -> None:
        """Run a function on blocks[0] x blocks[1] blocks, all at the same time if `cooperative`."""
        self._device.enter()
        grid = function.address, blocks[0], blocks[1], 1, threads, 1, 1
        if cooperative:
            self._driver.launchCooperativeKernel(*grid, shared_bytes, self._pointer, parameters.address)
        else:
            self._driver.launchKernel(*grid, shared_bytes, self._pointer, parameters.address, 0)

    def copy(self, target: int, source: int, size_bytes: int) -> None:
        """Copy bytes; which side is the card's, their addresses say."""
        self._device.enter()
        self._runtime.memcpyAsync(target, source, size_bytes, self._runtime.memcpyDefault, self._pointer)

    def copy_rows(self, target: tuple[int, int], source: tuple[int, int], row_bytes: int, rows: int) -> None:
        """Copy rows; likewise."""
        self._device.enter()
        self._runtime.memcpy2DAsync(*target, *source, row_bytes, rows, self._runtime.memcpyDefault, self._pointer)

    def fill(self, target: int, byte: int, size_bytes: int) -> None:
        """Set bytes."""
        self._device.enter()
        self._runtime.memsetAsync(target, byte, size_bytes, self._pointer)

    def record(self, work: Callable[[], None]) -> Any:
        """Capture a CUDA graph."""
        self._device.enter()
        self._stream.begin_capture()
        try:
            work()
        finally:
            graph = self._stream.end_capture()
        return graph

    def replay(self, graph: Any) -> None:
        """Launch a graph."""
        self._device.enter()
        graph.launch(self._stream)

    def wait(self) -> None:
        """Until all is done, without the GIL."""
        self._device.enter()
        self._runtime.streamSynchronize(self._pointer)

    def milliseconds(self, work: Callable[[], None], repeats: int) -> float:
        """How long the card takes: the least of several times."""
        self._device.enter()
        cuda = self._cupy.cuda
        start, end = cuda.Event(), cuda.Event()
        times = []
        for _ in range(repeats):
            start.record(self._stream)
            work()
            end.record(self._stream)
            end.synchronize()
            times.append(cuda.get_elapsed_time(start, end))
        return min(times)
