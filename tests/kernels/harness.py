"""Runs one kernel on one back end over guarded memory, so that a problem needs to state only its operands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from wavetile.kernels.contract import ElementType, Kernel, Space, Tensor, TensorRef
from wavetile.kernels.cpu.runner import CpuRunner
from wavetile.kernels.reference.runner import ReferenceRunner
from wavetile.kernels.schemas import KERNEL_BY_NAME, KERNEL_IDS
from wavetile.kernels.table import Memory, Table, align, aligned_bytes

from .cuda.host import HELD, STREAMED, HostRunner

RUNNERS = {
    "reference": ReferenceRunner,
    "cpu": CpuRunner,
    "cuda": HostRunner,
    "cuda_held": partial(HostRunner, limits=HELD),
    "cuda_streamed": partial(HostRunner, limits=STREAMED),
}
GUARD_BYTES = 256
CANARY = np.float32(np.nan).tobytes()


@dataclass(frozen=True)
class Constant:
    """A tensor in the weights, one for all lanes: array of the operand's own shape."""

    array: np.ndarray


@dataclass(frozen=True)
class Lanes:
    """A tensor that every lane has: array [lanes, *shape]; `strides` in elements, dense if not given."""

    array: np.ndarray
    space: Space = Space.ARENA
    strides: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Out:
    """A tensor to be written: its shape; filled with NaN before."""

    shape: tuple[int, ...]
    space: Space = Space.ARENA
    strides: tuple[int, ...] | None = None
    element: ElementType = ElementType.FLOAT32


@dataclass(frozen=True)
class Same:
    """A written tensor that is another operand's own memory."""

    operand: str


@dataclass(frozen=True)
class Before:
    """A written tensor of another operand's shape that begins so many elements before it, in the same memory."""

    operand: str
    elements: int


def _element(array: np.ndarray) -> ElementType:
    return ElementType[array.dtype.name.upper()]


def dense_strides(shape: Sequence[int]) -> tuple[int, ...]:
    strides, step = [], 1
    for size in reversed(shape):
        strides.append(step)
        step *= size
    return tuple(reversed(strides))


class _Region:
    """Bytes of one space, allotted end to end with guards between."""

    def __init__(self) -> None:
        self.size = GUARD_BYTES

    def allot(self, size_bytes: int) -> int:
        offset = self.size
        self.size = align(offset + size_bytes + GUARD_BYTES)
        return offset


def run_kernel(name: str, backend: str, *, lanes: int = 1, **operands: Any) -> dict[str, np.ndarray]:
    """Run a kernel and return what it wrote: operand name -> [lanes, *shape]; see `PreparedKernel`."""
    prepared = PreparedKernel(name, backend, lanes, operands)
    prepared.run()
    return prepared.results()


class PreparedKernel:
    """A kernel with its operands in memory, scratch added.

    Every byte that no operand owns is a guard of NaNs and must come back untouched; reading one shows as NaN in the
    result. Lane i works on slot lanes - 1 - i.
    """

    def __init__(self, name: str, backend: str, lanes: int, operands: Mapping[str, Any]) -> None:
        self._title, self._lanes = f"{name} on {backend}", lanes
        self._kernel = KERNEL_BY_NAME[name]
        regions = {space: _Region() for space in Space}
        self._refs = _references(self._kernel, operands, regions)
        self._memory = Memory(
            aligned_bytes(regions[Space.WEIGHTS].size),
            aligned_bytes(lanes, regions[Space.ARENA].size),
            aligned_bytes(lanes, regions[Space.STATE].size),
        )
        self._slots = np.arange(lanes)[::-1]
        for space in self._spaces:
            space.reshape(-1).view(np.float32)[:] = np.nan
        self._owned = [np.zeros(space.shape[-1], bool) for space in self._spaces]
        for key, ref in self._refs.items():
            if isinstance(ref, TensorRef):
                self._fill(ref, operands.get(key))
        words = self._kernel.encode(self._refs)
        table = Table(
            np.array([KERNEL_IDS[name]], np.int64), np.array(words, np.int64), np.array([0, len(words)], np.int64)
        )
        self._runner = RUNNERS[backend](table, self._memory)
        self._runner.slots[:] = self._slots

    def run(self) -> None:
        """Run it once, or once more."""
        self._runner.run(self._lanes)

    def results(self) -> dict[str, np.ndarray]:
        """What it wrote. Raises AssertionError if that was outside its operands."""
        for space, mask in zip(self._spaces, self._owned, strict=True):
            guards = space.reshape(-1, space.shape[-1])[:, ~mask]
            assert guards.tobytes() == CANARY * (guards.size // 4), f"{self._title} wrote outside its operands"
        written = [f.name for f in self._kernel.fields if isinstance(f, Tensor) and f.written]
        return {
            key: np.stack([self._view(self._refs[key], lane).copy() for lane in range(self._lanes)])
            for key in written
            if self._refs.get(key) is not None
        }

    @property
    def _spaces(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return self._memory.weights, self._memory.arena, self._memory.state

    def _fill(self, ref: TensorRef, value: Any) -> None:
        item = ref.element.dtype.itemsize
        start = self._owned[ref.space][ref.offset_bytes :]
        as_strided(start, (*ref.shape, item), [*(item * stride for stride in ref.strides), 1])[...] = True
        for lane in range(self._lanes):
            if isinstance(value, Constant):
                self._view(ref, lane)[...] = value.array
            elif isinstance(value, Lanes):
                self._view(ref, lane)[...] = value.array[lane]

    def _view(self, ref: TensorRef, lane: int) -> np.ndarray:
        source = {
            Space.WEIGHTS: self._memory.weights,
            Space.ARENA: self._memory.arena[lane],
            Space.STATE: self._memory.state[self._slots[lane]],
        }[ref.space]
        flat = source[ref.offset_bytes :].view(ref.element.dtype)
        return as_strided(flat, ref.shape, [flat.itemsize * stride for stride in ref.strides])


def _references(kernel: Kernel, operands: Mapping[str, Any], regions: Mapping[Space, _Region]) -> dict[str, Any]:
    """Where each operand lies; numbers as they are."""
    refs: dict[str, Any] = {}
    moved = [value for value in operands.values() if isinstance(value, Before)]
    for key, value in operands.items():
        if isinstance(value, Constant):
            space, shape, strides, element = Space.WEIGHTS, value.array.shape, None, _element(value.array)
        elif isinstance(value, Lanes):
            space, shape, strides = value.space, value.array.shape[1:], value.strides
            element = _element(value.array)
        elif isinstance(value, Out):
            space, shape, strides, element = value.space, value.shape, value.strides, value.element
        else:
            refs[key] = value
            continue
        strides = strides or dense_strides(shape)
        extent = 1 + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
        before = element.dtype.itemsize * max((y.elements for y in moved if y.operand == key), default=0)
        offset = before + regions[space].allot(before + element.dtype.itemsize * max(extent, 1))
        refs[key] = TensorRef(space, offset, tuple(shape), tuple(strides), element)
    for key, value in list(refs.items()):
        if isinstance(value, Same):
            refs[key] = refs[value.operand]
        elif isinstance(value, Before):
            x = refs[value.operand]
            refs[key] = x._replace(offset_bytes=x.offset_bytes - x.element.dtype.itemsize * value.elements)
    if kernel.scratch is not None:
        size = kernel.scratch(refs)
        refs["scratch"] = TensorRef(Space.ARENA, regions[Space.ARENA].allot(4 * size), (size,), (1,))
    return refs
