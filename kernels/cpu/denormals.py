"""Turns denormal numbers off while kernels run: a step must not get slow because a signal or a state fades away.

Arithmetic on float32 numbers below 1.2e-38 (float64: 2.2e-308) takes some hundred cycles on most processors. The state
of a recurrent layer decays to such numbers within seconds of silence, and a step then takes several times as long. So
results that would be denormal become 0, and denormal operands count as 0: 38 decimal places below full scale, where no
network has anything to say. Sources: Intel 64 manual volume 1, 10.2.3 (MXCSR); Arm ARM, FPCR.FZ.
"""

from __future__ import annotations

import platform
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

_WORD = ir.IntType(32)
_FLUSH_X86 = 1 << 15 | 1 << 6
"""MXCSR: flush to zero (results), denormals are zero (operands)."""
_FLUSH_ARM = 1 << 24
"""FPCR: FZ, both."""

_MACHINE = platform.machine().lower()
_IS_X86 = _MACHINE in ("x86_64", "amd64")
_IS_ARM = _MACHINE in ("aarch64", "arm64")


def _call(builder: ir.IRBuilder, name: str, kind: ir.Type, arguments: list[Any]) -> Any:
    function_type = ir.FunctionType(kind, [argument.type for argument in arguments])
    return builder.call(builder.module.declare_intrinsic(name, fnty=function_type), arguments)


def _read(builder: ir.IRBuilder) -> Any:
    """Emit: the processor's floating-point control word."""
    if _IS_X86:
        place = builder.alloca(_WORD)
        _call(builder, "llvm.x86.sse.stmxcsr", ir.VoidType(), [builder.bitcast(place, ir.IntType(8).as_pointer())])
        return builder.load(place)
    if _IS_ARM:
        return builder.trunc(_call(builder, "llvm.aarch64.get.fpcr", ir.IntType(64), []), _WORD)
    return ir.Constant(_WORD, 0)


def _write(builder: ir.IRBuilder, word: Any) -> None:
    """Emit: set the control word."""
    if _IS_X86:
        place = builder.alloca(_WORD)
        builder.store(word, place)
        _call(builder, "llvm.x86.sse.ldmxcsr", ir.VoidType(), [builder.bitcast(place, ir.IntType(8).as_pointer())])
    elif _IS_ARM:
        _call(builder, "llvm.aarch64.set.fpcr", ir.VoidType(), [builder.zext(word, ir.IntType(64))])


@intrinsic
def flush_denormals(typingctx):
    """Native: turn denormals off in this thread; returns what `restore_denormals` takes to put it back."""

    def codegen(context, builder, signature, arguments):
        before = _read(builder)
        _write(builder, builder.or_(before, ir.Constant(_WORD, _FLUSH_X86 if _IS_X86 else _FLUSH_ARM)))
        return before

    return types.int32(), codegen


@intrinsic
def restore_denormals(typingctx, before):
    """Native: put the thread's control word back."""

    def codegen(context, builder, signature, arguments):
        _write(builder, arguments[0])
        return context.get_dummy_value()

    return types.void(types.int32), codegen
