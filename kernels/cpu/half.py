"""Vectors of float16 in memory, widened to float32 as they are loaded."""

from __future__ import annotations

import platform
from typing import Any

import llvmlite.binding as llvm
import numba
from llvmlite import ir

from ..contract import PANEL
from .vectors import VECTOR_IR

_HALVES = ir.VectorType(ir.HalfType(), PANEL)
_SHORTS = ir.VectorType(ir.IntType(16), PANEL)
_INTEGERS = ir.VectorType(ir.IntType(32), PANEL)


def _machine_widens() -> bool:
    """Whether the machine that Numba compiles for has an instruction that widens float16."""
    if platform.machine().lower() in {"arm64", "aarch64"}:
        return True
    name, forced = numba.config.CPU_NAME, numba.config.CPU_FEATURES  # type: ignore[attr-defined]
    if name or forced:
        # A named machine without a list of features has what its name promises; all with AVX2 convert.
        return "+f16c" in (forced or "") or (not forced and name != "generic")
    return "+f16c" in llvm.get_host_cpu_features().flatten()


MACHINE_WIDENS = _machine_widens()


def _numbers(value: int) -> ir.Constant:
    return ir.Constant(_INTEGERS, [value] * PANEL)


def emit_load_half(builder: ir.IRBuilder, pointer: Any) -> Any:
    """PANEL float16 numbers from any address, as float32; exact. They have to be finite."""
    if MACHINE_WIDENS:
        return builder.fpext(builder.load(builder.bitcast(pointer, _HALVES.as_pointer()), align=2), VECTOR_IR)
    bits = builder.zext(builder.load(builder.bitcast(pointer, _SHORTS.as_pointer()), align=2), _INTEGERS)
    sign = builder.shl(builder.and_(bits, _numbers(0x8000)), _numbers(16))
    magnitude = builder.and_(bits, _numbers(0x7FFF))
    # An exponent of 0 marks a multiple of 2^-24. Elsewhere it moves from bit 10 to 23, and its bias from 15 to 127.
    small = builder.fmul(builder.sitofp(magnitude, VECTOR_IR), ir.Constant(VECTOR_IR, [2.0**-24] * PANEL))
    moved = builder.add(builder.shl(magnitude, _numbers(13)), _numbers((127 - 15) << 23))
    is_small = builder.icmp_unsigned("<", magnitude, _numbers(1 << 10))
    value = builder.select(is_small, builder.bitcast(small, _INTEGERS), moved)
    return builder.bitcast(builder.or_(value, sign), VECTOR_IR)
