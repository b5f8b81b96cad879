"""Measures what this machine can do at best on one core: multiply-adds a second, and bytes read a second.

No program can be faster than both allow; how far it is from them says what its kernels still leave. The two loops do
nothing else: `multiply` keeps its sums in registers and is bound by the multiply-add units (latency 4, two units: at
least 8 sums at once); `read` adds up a block from its first byte to its last, again and again, and is bound by the
level of the cache that the block fits into.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils

from ..contract import PANEL
from ..table import aligned_bytes
from .machine_code import address
from .memory import float_pointer
from .native import native
from .vectors import (
    REGISTER_FLOATS,
    WORD_IR,
    ZERO_IR,
    emit_load,
    emit_multiply_add,
    emit_splat,
    emit_store,
    operation,
)

SUMS = min(12, REGISTER_FLOATS * 3 // 4 // PANEL)
"""Vectors of sums: in 12 registers or more, which hides the latency, and no more than three quarters of all."""
BLOCK_FLOATS = 8 * PANEL
BLOCK_BYTES = 4 * BLOCK_FLOATS
RUN_SECONDS = 0.01
RUNS = 5

_POINTER = types.CPointer(types.float32)


def _emit_multiply(builder: ir.IRBuilder, steps: Any, place: Any) -> None:
    """SUMS vectors, each multiplied and added to `steps` times; they end up at `place`, so that nothing is left out."""
    factor, addend = emit_load(builder, place), emit_splat(builder, builder.load(place))
    sums = [cgutils.alloca_once_value(builder, addend) for _ in range(SUMS)]
    with cgutils.for_range(builder, steps):
        for total in sums:
            builder.store(emit_multiply_add(builder, builder.load(total), factor, addend), total)
    for index, total in enumerate(sums):
        emit_store(builder, builder.gep(place, [ir.Constant(WORD_IR, index * PANEL)]), builder.load(total))


def _emit_read(builder: ir.IRBuilder, block: Any, blocks: Any, passes: Any, place: Any) -> None:
    """The sum of `blocks` times BLOCK_FLOATS numbers, `passes` times, to `place`."""
    sums = [cgutils.alloca_once_value(builder, ZERO_IR) for _ in range(BLOCK_FLOATS // PANEL)]
    with cgutils.for_range(builder, passes), cgutils.for_range(builder, blocks) as block_loop:
        row = builder.gep(block, [builder.mul(block_loop.index, ir.Constant(WORD_IR, BLOCK_FLOATS))])
        for index, total in enumerate(sums):
            number = emit_load(builder, builder.gep(row, [ir.Constant(WORD_IR, index * PANEL)]))
            builder.store(builder.fadd(builder.load(total), number), total)
    whole = ZERO_IR
    for total in sums:
        whole = builder.fadd(whole, builder.load(total))
    emit_store(builder, place, whole)


_multiply = operation("_multiply", types.void, (types.int64, _POINTER), _emit_multiply)
_read = operation("_read", types.void, (_POINTER, types.int64, types.int64, _POINTER), _emit_read)


@native
def floor_multiply(operands, context):
    """Multiply and add operands[0] times, to SUMS vectors at address operands[1].

    Bound by the multiply-add units.
    """
    _multiply(operands[0], float_pointer(operands[1]))


@native
def floor_read(operands, context):
    """Add up operands[1] blocks at address operands[0], operands[2] times, to a vector at address operands[3].

    Bound by the memory that the blocks lie in.
    """
    _read(float_pointer(operands[0]), operands[1], operands[2], float_pointer(operands[3]))


def call(name: str, *words: int) -> None:
    """Call a native function of this file, less the context."""
    function = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)(address(name))
    operands = np.array(words, np.int64)
    function(operands.ctypes.data, None)


def multiply_adds_per_second() -> float:
    """Multiply-adds of float32 that one core makes in a second."""
    place = np.full(SUMS * PANEL, 0.5, np.float32)
    steps = 20_000
    return SUMS * PANEL * _best(lambda count: call("floor_multiply", count, place.ctypes.data), steps)


def bytes_per_second(footprint_bytes: int) -> float:
    """Bytes that one core reads in a second from memory of this size that it reads again and again."""
    blocks = max(1, -(-footprint_bytes // BLOCK_BYTES))
    memory = aligned_bytes(blocks * BLOCK_BYTES)
    memory[:] = 0  # so that every page is there
    place = np.zeros(PANEL, np.float32)
    passes = _best(lambda count: call("floor_read", memory.ctypes.data, blocks, count, place.ctypes.data), 1)
    return passes * blocks * BLOCK_BYTES


def _best(work: Callable[[int], None], count: int) -> float:
    """The most of its counts that `work` gets done in a second: a run disturbed by others says nothing."""
    fastest = 0.0
    runs = 0
    while runs < RUNS:
        started = time.perf_counter()
        work(count)
        spent = time.perf_counter() - started
        if spent < RUN_SECONDS and count < 1 << 40:
            count *= 2
            continue
        fastest = max(fastest, count / spent)
        runs += 1
    return fastest
