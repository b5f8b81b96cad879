"""Vectors of 16 float32 as values inside native kernels, and the LLVM code behind them (`emit_*`).

LLVM splits `<16 x float>` where the machine's vectors are narrower, so kernels are written once. A vector's
arithmetic is exactly what is written: these operations carry no fast-math flags, so the order of additions holds.
Pointers and strides count float32 elements. `valid` says how many of a vector's first elements exist; memory behind
the others is neither read nor written, and what is loaded for them is 0.
"""

from __future__ import annotations

import inspect
import platform
from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm
import numba
from llvmlite import ir
from numba import types
from numba.core.datamodel.models import PrimitiveModel
from numba.core.datamodel.registry import register_default
from numba.extending import intrinsic

from ..contract import ALIGNMENT_BYTES, PANEL
from .native import device

FLOAT_IR = ir.FloatType()
WORD_IR = ir.IntType(64)
_LANE = ir.IntType(32)
VECTOR_IR = ir.VectorType(FLOAT_IR, PANEL)
_LANES = ir.VectorType(_LANE, PANEL)
_MASK = ir.VectorType(ir.IntType(1), PANEL)
_POINTER = types.CPointer(types.float32)
IOTA_IR = ir.Constant(_LANES, list(range(PANEL)))
PREFETCH_BYTES = 2048
"""How far ahead packed weights are asked for.

A step reads more of them than the second-level cache holds, and the hardware alone does not look far enough ahead to
hide the third's latency. Saves a sixth of the time on Cascade Lake."""
ZERO_IR = ir.Constant(VECTOR_IR, [0.0] * PANEL)


class Vector(types.Type):
    """Numba's type of PANEL float32 in one value."""

    def __init__(self) -> None:
        super().__init__(name=f"float32x{PANEL}")


@register_default(Vector)
class _VectorModel(PrimitiveModel):
    def __init__(self, manager: Any, frontend: Vector) -> None:
        super().__init__(manager, frontend, VECTOR_IR)


_VECTOR_TYPE = Vector()


def operation(name: str, returns: types.Type, arguments: tuple[types.Type, ...], emit: Callable[..., Any]) -> Any:
    """An intrinsic of fixed types from a function (builder, *LLVM values) -> LLVM value."""
    signature = returns(*arguments)

    def generate(context, builder, _signature, values):
        result = emit(builder, *values)
        return context.get_dummy_value() if returns is types.void else result

    def typer(typingctx, *_):
        return signature, generate

    names = ["typingctx", *(f"argument_{i}" for i in range(len(arguments)))]
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    typer.__signature__ = inspect.Signature([inspect.Parameter(n, kind) for n in names])
    typer.__name__, typer.__doc__ = name, emit.__doc__
    return intrinsic(typer)


def _declare(builder: ir.IRBuilder, name: str, returns: ir.Type, arguments: list[ir.Type]) -> ir.Function:
    module = builder.module
    if name in module.globals:
        return module.globals[name]
    return ir.Function(module, ir.FunctionType(returns, arguments), name)


def emit_splat(builder: ir.IRBuilder, value: Any) -> Any:
    """A vector whose elements are all `value`."""
    vector = ir.VectorType(value.type, PANEL)
    first = builder.insert_element(ir.Constant(vector, ir.Undefined), value, ir.Constant(_LANE, 0))
    return builder.shuffle_vector(first, ir.Constant(vector, ir.Undefined), ir.Constant(_LANES, [0] * PANEL))


def emit_lanes(builder: ir.IRBuilder, value: Any) -> Any:
    """A vector of int32, all of them the int64 `value`."""
    return emit_splat(builder, builder.trunc(value, _LANE))


def emit_mask(builder: ir.IRBuilder, valid: Any) -> Any:
    """The mask of the first `valid` elements; all of them from PANEL on, none from 0 down."""
    return builder.icmp_signed("<", IOTA_IR, emit_lanes(builder, valid))


def emit_load(builder: ir.IRBuilder, pointer: Any) -> Any:
    """PANEL numbers from any address."""
    return builder.load(builder.bitcast(pointer, VECTOR_IR.as_pointer()), align=4)


def emit_prefetch(builder: ir.IRBuilder, pointer: Any) -> None:
    """Ask for the line at a pointer, which need not be valid memory."""
    arguments = [pointer, *(ir.Constant(_LANE, value) for value in (0, 3, 1))]  # for reading, kept close, data
    function = _declare(builder, "llvm.prefetch.p0", ir.VoidType(), [argument.type for argument in arguments])
    builder.call(function, arguments)


def emit_masked_load(builder: ir.IRBuilder, pointer: Any, mask: Any, outside: Any = ZERO_IR) -> Any:
    """As `emit_load` where the mask is set, `outside` elsewhere; memory there is not touched."""
    where = VECTOR_IR.as_pointer()
    name = f"llvm.masked.load.v{PANEL}f32.p0"
    function = _declare(builder, name, VECTOR_IR, [where, _LANE, _MASK, VECTOR_IR])
    return builder.call(function, [builder.bitcast(pointer, where), ir.Constant(_LANE, 4), mask, outside])


def emit_store(builder: ir.IRBuilder, pointer: Any, vector: Any) -> None:
    """PANEL numbers to any address."""
    builder.store(vector, builder.bitcast(pointer, VECTOR_IR.as_pointer()), align=4)


def emit_masked_store(builder: ir.IRBuilder, pointer: Any, vector: Any, mask: Any) -> None:
    """As `emit_store` where the mask is set."""
    where = VECTOR_IR.as_pointer()
    function = _declare(builder, f"llvm.masked.store.v{PANEL}f32.p0", ir.VoidType(), [VECTOR_IR, where, _LANE, _MASK])
    builder.call(function, [vector, builder.bitcast(pointer, where), ir.Constant(_LANE, 4), mask])


def emit_multiply_add(builder: ir.IRBuilder, a: Any, b: Any, c: Any) -> Any:
    """a b + c: one instruction where the machine has it; elsewhere a product and a sum, never a call."""
    function = _declare(builder, f"llvm.fmuladd.v{PANEL}f32", VECTOR_IR, [VECTOR_IR] * 3)
    return builder.call(function, [a, b, c])


def emit_at_least(builder: ir.IRBuilder, floor: Any, value: Any) -> Any:
    """The larger of two: one `maxps`; a NaN in `value` is not below the floor and stays."""
    return builder.select(builder.fcmp_ordered("<", value, floor), floor, value)


def emit_leaky(builder: ir.IRBuilder, value: Any, leak: Any) -> Any:
    """value, times leak below zero; a NaN is not below zero and stays."""
    return builder.select(builder.fcmp_ordered("<", value, ZERO_IR), builder.fmul(value, leak), value)


def emit_inside(builder: ir.IRBuilder, lanes: Any, limit: Any) -> Any:
    """The mask of the lanes (int32) in 0 .. limit - 1 (an int64): one unsigned comparison finds both ends."""
    return builder.icmp_unsigned("<", lanes, emit_lanes(builder, limit))


def _load_window(builder, row, start, limit, outside):
    columns = builder.add(emit_lanes(builder, start), IOTA_IR)
    mask = emit_inside(builder, columns, limit)
    return emit_masked_load(builder, builder.gep(row, [start]), mask, emit_splat(builder, outside))


def _gather_window(builder, row, start, step, limit, stride, outside):
    columns = builder.add(emit_lanes(builder, start), builder.mul(emit_lanes(builder, step), IOTA_IR))
    wide = ir.VectorType(WORD_IR, PANEL)
    offsets = builder.mul(
        builder.sext(columns, wide), emit_splat(builder, builder.mul(stride, ir.Constant(WORD_IR, 4)))
    )
    address = emit_splat(builder, builder.ptrtoint(row, WORD_IR))
    pointers = builder.inttoptr(builder.add(address, offsets), ir.VectorType(FLOAT_IR.as_pointer(), PANEL))
    name = f"llvm.masked.gather.v{PANEL}f32.v{PANEL}p0"
    function = _declare(builder, name, VECTOR_IR, [pointers.type, _LANE, _MASK, VECTOR_IR])
    mask = emit_inside(builder, columns, limit)
    return builder.call(function, [pointers, ir.Constant(_LANE, 4), mask, emit_splat(builder, outside)])


def _maximum(builder, a, b):
    return builder.call(_declare(builder, f"llvm.maximum.v{PANEL}f32", VECTOR_IR, [VECTOR_IR] * 2), [a, b])


def _pairs(first: int):
    def emit(builder, low, high):
        order = ir.Constant(ir.VectorType(_LANE, PANEL), [first + 2 * i for i in range(PANEL)])
        return builder.shuffle_vector(low, high, order)

    return emit


_FLOAT_TYPE, _INT = types.float32, types.int64

splat = operation("splat", _VECTOR_TYPE, (_FLOAT_TYPE,), emit_splat)
"""splat(value): all elements alike."""

load = operation("load", _VECTOR_TYPE, (_POINTER,), emit_load)
"""load(pointer)."""

load_first = operation(
    "load_first", _VECTOR_TYPE, (_POINTER, _INT), lambda b, p, valid: emit_masked_load(b, p, emit_mask(b, valid))
)
"""load_first(pointer, valid)."""

load_window = operation("load_window", _VECTOR_TYPE, (_POINTER, _INT, _INT, _FLOAT_TYPE), _load_window)
"""load_window(row, start, limit, outside): row[start : start + 16], `outside` for indices not in 0 .. limit - 1."""

gather_window = operation(
    "gather_window", _VECTOR_TYPE, (_POINTER, _INT, _INT, _INT, _INT, _FLOAT_TYPE), _gather_window
)
"""gather_window(row, start, step, limit, stride, outside): as load_window, of the indices start + i step; `stride` is
the distance of two neighbours in memory."""

emit_evens = _pairs(0)
"""Elements 0, 2, 4 ... of two vectors in a row."""

evens = operation("evens", _VECTOR_TYPE, (_VECTOR_TYPE, _VECTOR_TYPE), emit_evens)
"""evens(low, high): elements 0, 2, 4 ... of 32 in a row."""

odds = operation("odds", _VECTOR_TYPE, (_VECTOR_TYPE, _VECTOR_TYPE), _pairs(1))
"""odds(low, high): elements 1, 3, 5 ... of 32 in a row."""

store = operation("store", types.void, (_POINTER, _VECTOR_TYPE), emit_store)
"""store(pointer, vector)."""

store_first = operation(
    "store_first",
    types.void,
    (_POINTER, _VECTOR_TYPE, _INT),
    lambda b, p, vector, valid: emit_masked_store(b, p, vector, emit_mask(b, valid)),
)
"""store_first(pointer, vector, valid)."""

multiply_add = operation("multiply_add", _VECTOR_TYPE, (_VECTOR_TYPE,) * 3, emit_multiply_add)
"""multiply_add(a, b, c): a b + c, rounded once where the machine can."""

maximum = operation("maximum", _VECTOR_TYPE, (_VECTOR_TYPE,) * 2, _maximum)
"""maximum(a, b): the larger one; NaN if either is."""

add = operation("add", _VECTOR_TYPE, (_VECTOR_TYPE,) * 2, lambda b, x, y: b.fadd(x, y))
"""add(a, b)."""

divide = operation("divide", _VECTOR_TYPE, (_VECTOR_TYPE,) * 2, lambda b, x, y: b.fdiv(x, y))
"""divide(a, b)."""

at_least = operation("at_least", _VECTOR_TYPE, (_VECTOR_TYPE,) * 2, emit_at_least)
"""at_least(floor, value): the larger one; a NaN in `value` stays."""


leaky = operation("leaky", _VECTOR_TYPE, (_VECTOR_TYPE,) * 2, emit_leaky)
"""leaky(value, leak): value, times leak below zero."""


@intrinsic
def stack_floats(typingctx, count):
    """Native: address of float32[count] on the calling function's stack, on a cache line; a literal count.

    The numbers are whatever lay there: Numba's own allocation would set them to 0 at each call.
    """
    if not isinstance(count, types.IntegerLiteral):
        return None
    size = count.literal_value

    def generate(context, builder, signature, arguments):
        with builder.goto_entry_block():
            floats = builder.alloca(ir.ArrayType(FLOAT_IR, size))
        floats.align = ALIGNMENT_BYTES
        return builder.ptrtoint(floats, WORD_IR)

    return types.int64(count), generate


@intrinsic
def address_of(typingctx, pointer):
    """Native: the int64 address of a pointer."""

    def generate(context, builder, signature, arguments):
        return builder.ptrtoint(arguments[0], WORD_IR)

    return types.int64(pointer), generate


@device
def strided_window(row, start, stride, limit, step, outside):
    """Columns start, start + stride ... of a row of `limit` columns, `step` elements apart; `outside` elsewhere."""
    if step == 1 and stride == 1:
        return load_window(row, start, limit, outside)
    if step == 1 and stride == 2:
        low, high = load_window(row, start, limit, outside), load_window(row, start + PANEL, limit, outside)
        return evens(low, high)
    return gather_window(row, start, stride, limit, step, outside)


def _register_floats() -> int:
    """Float32 numbers that all vector registers hold together, on the machine that Numba compiles for."""
    name, forced = numba.config.CPU_NAME, numba.config.CPU_FEATURES  # type: ignore[attr-defined]
    if name or forced:
        # A named machine without a list of features has what its name promises.
        features = f"{forced or ''},{'+avx512f' if 'avx512' in (name or '') else ''}"
    else:
        features = llvm.get_host_cpu_features().flatten()
    if "+avx512f" in features:
        return 32 * 16
    if "+avx" in features:
        return 16 * 8
    return 32 * 4 if platform.machine().lower() in {"arm64", "aarch64"} else 16 * 4


REGISTER_FLOATS = _register_floats()
"""What limits a tile: 512 with AVX-512 (24 accumulators of 16 fit), 128 with AVX2 or NEON, 64 with SSE2."""
