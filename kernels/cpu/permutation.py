"""Vectors in an order that is known at run time only."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils

from ..contract import PANEL
from .vectors import FLOAT_IR, REGISTER_FLOATS, VECTOR_IR, ZERO_IR

_LANE = ir.IntType(32)
_WIDE_REGISTERS = 512
"""REGISTER_FLOATS of AVX-512."""


def emit_permute(builder: ir.IRBuilder, vector: Any, indices: Any) -> Any:
    """The elements of a vector at indices (int32, 0 to PANEL - 1): one instruction with AVX-512."""
    if REGISTER_FLOATS == _WIDE_REGISTERS:
        name = "llvm.x86.avx512.permvar.sf.512"  # LLVM has no such operation for all machines
        kind = ir.FunctionType(VECTOR_IR, [VECTOR_IR, indices.type])
        function = builder.module.globals.get(name) or ir.Function(builder.module, kind, name)
        return builder.call(function, [vector, indices])
    place = cgutils.alloca_once(builder, VECTOR_IR)
    builder.store(vector, place)
    floats, result = builder.bitcast(place, FLOAT_IR.as_pointer()), ZERO_IR
    for lane in (ir.Constant(_LANE, i) for i in range(PANEL)):
        number = builder.load(builder.gep(floats, [builder.extract_element(indices, lane)]))
        result = builder.insert_element(result, number, lane)
    return result
