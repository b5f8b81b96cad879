"""A barrier of threads in native code: who comes first spins for a while, then yields, then sleeps.

Threads meet about every hundred microseconds while they compute side by side. A wait in the operating system would
cost a good part of that; spinning for longer would take the processor from others who need it.

Bound by the time that a cache line takes from core to core.
"""

from __future__ import annotations

import os
import platform

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ..contract import ALIGNMENT_BYTES
from .memory import word_pointer
from .native import native

_SECOND_LINE = ALIGNMENT_BYTES

_SPINS = 2_000
"""Pauses of about 40 ns."""
_YIELDS = 2_000
_SLEEP_US = 50

_WORD, _INT = ir.IntType(64), ir.IntType(32)
_X86 = platform.machine().lower() in ("x86_64", "amd64")
_ARM = platform.machine().lower() in ("aarch64", "arm64")
_POSIX = os.name == "posix"


@intrinsic
def _load_acquire(typingctx, pointer):
    """A word that another thread writes."""

    def codegen(context, builder, signature, arguments):
        return builder.load_atomic(arguments[0], "acquire", 8)

    return types.int64(pointer), codegen


@intrinsic
def _store_release(typingctx, pointer, value):
    """Write a word; who reads it sees all that this thread wrote before."""

    def codegen(context, builder, signature, arguments):
        builder.store_atomic(arguments[1], arguments[0], "release", 8)
        return context.get_dummy_value()

    return types.void(pointer, types.int64), codegen


@intrinsic
def _count_in(typingctx, pointer):
    """Add 1 to a word; what it was before."""

    def codegen(context, builder, signature, arguments):
        return builder.atomic_rmw("add", arguments[0], ir.Constant(_WORD, 1), "acq_rel")

    return types.int64(pointer), codegen


def _external(builder: ir.IRBuilder, name: str, returns: ir.Type, arguments: list[ir.Constant]) -> None:
    module = builder.module
    kind = ir.FunctionType(returns, [argument.type for argument in arguments])
    builder.call(module.globals.get(name) or ir.Function(module, kind, name), arguments)


@intrinsic
def _pause(typingctx):
    """Tell the processor that this is a spinning loop."""

    def codegen(context, builder, signature, arguments):
        if _X86:
            _external(builder, "llvm.x86.sse2.pause", ir.VoidType(), [])
        elif _ARM:
            _external(builder, "llvm.aarch64.hint", ir.VoidType(), [ir.Constant(_INT, 1)])
        return context.get_dummy_value()

    return types.void(), codegen


@intrinsic
def _yield_processor(typingctx):
    """Let another thread of this processor run, if there is one (POSIX sched_yield)."""

    def codegen(context, builder, signature, arguments):
        if _POSIX:
            _external(builder, "sched_yield", _INT, [])
        return context.get_dummy_value()

    return types.void(), codegen


@intrinsic
def _sleep(typingctx):
    """Sleep for a moment (POSIX usleep)."""

    def codegen(context, builder, signature, arguments):
        if _POSIX:
            _external(builder, "usleep", _INT, [ir.Constant(_INT, _SLEEP_US)])
        return context.get_dummy_value()

    return types.void(), codegen


@native
def barrier(operands, context):
    """Wait until operands[1] threads have come.

    operands[0] is the address of two lines of ALIGNMENT_BYTES, zero at first: how many have arrived, and how often all
    have.
    """
    arrived = word_pointer(operands[0])
    generation = word_pointer(operands[0] + _SECOND_LINE)
    before = _load_acquire(generation)
    if _count_in(arrived) == operands[1] - 1:
        arrived[0] = 0
        _store_release(generation, before + 1)
        return
    waits = 0
    while _load_acquire(generation) == before:
        waits += 1
        if waits < _SPINS:
            _pause()
        elif waits < _SPINS + _YIELDS:
            _yield_processor()
        else:
            _sleep()
