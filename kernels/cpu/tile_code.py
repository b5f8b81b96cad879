"""What the tiles are made of, as LLVM code: functions of a module, sums in registers, the choice of a tile."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

from llvmlite import ir
from numba import types
from numba.core import cgutils

from ..contract import PANEL
from .native import device
from .vectors import (
    FLOAT_IR,
    IOTA_IR,
    VECTOR_IR,
    WORD_IR,
    emit_at_least,
    emit_evens,
    emit_inside,
    emit_lanes,
    emit_leaky,
    emit_load,
    emit_mask,
    emit_masked_load,
    emit_masked_store,
    emit_multiply_add,
    emit_splat,
    operation,
)

ADDRESS_IR = FLOAT_IR.as_pointer()
ROW_STEP = 256
"""A tile returns rows * ROW_STEP + vectors."""

Operands = dict[str, Any]
"""Parameter -> its value in a function."""


def word(value: int) -> ir.Constant:
    """An int64."""
    return ir.Constant(WORD_IR, value)


def function_of(
    module: ir.Module, name: str, parameters: Mapping[str, ir.Type], emit: Callable[[ir.IRBuilder, Operands], None]
) -> ir.Function:
    """The function of a name in a module, which `emit` writes when it is first asked for; it is not inlined."""
    if name in module.globals:
        return module.globals[name]
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), list(parameters.values())), name)
    function.linkage = "internal"
    function.attributes.add("noinline")
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    emit(builder, dict(zip(parameters, function.args, strict=True)))
    builder.ret_void()
    return function


def pointers(builder: ir.IRBuilder, parameters: Mapping[str, ir.Type], values: Sequence[Any]) -> list[Any]:
    """Arguments for `parameters` from native code's, in which addresses are int64."""
    return [
        builder.inttoptr(value, kind) if isinstance(kind, ir.PointerType) else value
        for value, kind in zip(values, parameters.values(), strict=True)
    ]


def sums_of(builder: ir.IRBuilder, count: int) -> list[Any]:
    """Places of `count` vectors; LLVM makes registers of them."""
    return [cgutils.alloca_once(builder, VECTOR_IR) for _ in range(count)]


def add_product(builder: ir.IRBuilder, total: Any, a: Any, b: Any) -> None:
    """Add a b to the sum at `total`."""
    builder.store(emit_multiply_add(builder, a, b, builder.load(total)), total)


class Window:
    """What one tap of a window reads for a row of outputs: `vectors` of columns, `stride` (1 or 2) apart.

    The masks of the columns inside x are found once, for all rows and channels that are loaded.
    """

    def __init__(self, builder: ir.IRBuilder, column: Any, width: Any, stride: int, vectors: int) -> None:
        self._builder, self._stride = builder, stride
        # The vectors that one vector of outputs is made of: every element, or the even ones of two.
        self._firsts = [builder.add(column, word(part * PANEL)) for part in range(stride * vectors)]
        self._masks = [
            emit_inside(builder, builder.add(emit_lanes(builder, first), IOTA_IR), width) for first in self._firsts
        ]

    def load(self, row: Any, masked: bool = True) -> list[Any]:
        """The vectors of the row whose column 0 is at `row`: zeros outside it, or unmasked, where all can be read."""
        places = [self._builder.gep(row, [first]) for first in self._firsts]
        if masked:
            parts = [emit_masked_load(self._builder, *pair) for pair in zip(places, self._masks, strict=True)]
        else:
            parts = [emit_load(self._builder, place) for place in places]
        if self._stride == 1:
            return parts
        return [emit_evens(self._builder, *parts[i : i + 2]) for i in range(0, len(parts), 2)]


def store_row(builder: ir.IRBuilder, y: Any, sums: Sequence[Any], leak: Any, floor: Any, columns_left: Any) -> None:
    """Store neighbouring vectors as far as columns are left: times `leak` (float32) below zero, at least `floor`."""
    factor, limit = emit_splat(builder, leak), emit_splat(builder, floor)
    for v, total in enumerate(sums):
        value = emit_at_least(builder, limit, emit_leaky(builder, builder.load(total), factor))
        mask = emit_mask(builder, builder.sub(columns_left, word(v * PANEL)))
        emit_masked_store(builder, builder.gep(y, [word(v * PANEL)]), value, mask)


class EmitTile(Protocol):
    """What writes the function of a tile."""

    def __call__(self, builder: ir.IRBuilder, o: Operands, /, *, rows: int, vectors: int) -> None:
        """Write it with `builder`, of its operands by name."""
        ...


def first_tile(
    name: str,
    parameters: Mapping[str, ir.Type],
    shapes: Sequence[tuple[int, int]],
    emit_tile: EmitTile,
) -> Any:
    """Native: compute and store the first tile that is not larger than what is left.

    Args:
        name: of the operation, and of its tiles' functions.
        parameters: name -> type; among them `columns_left` and, unless all tiles have one row, `rows_left`. Addresses
            are int64 in bytes to the callers of the operation, pointers to `emit_tile`.
        shapes: (rows, vectors), in the order in which they are tried; (1, 1) is the last.
        emit_tile: writes the function of a tile, of so many rows and vectors.

    Returns:
        The operation; what it returns is rows * ROW_STEP + vectors, as many as were computed. The last vector may be a
        part of one.
    """

    def emit(builder: ir.IRBuilder, *values: Any) -> Any:
        """Compute and store the first tile that is not larger than what is left."""
        arguments = pointers(builder, parameters, values)
        given = dict(zip(parameters, arguments, strict=True))
        done = cgutils.alloca_once(builder, WORD_IR)
        end = builder.append_basic_block(f"{name}_done")
        for rows, vectors in shapes:
            tile = partial(emit_tile, rows=rows, vectors=vectors)
            function = function_of(builder.module, f"{name}_{rows}x{vectors}", parameters, tile)
            fits = builder.icmp_signed(">", given["columns_left"], word((vectors - 1) * PANEL))
            if rows > 1:
                fits = builder.and_(fits, builder.icmp_signed(">=", given["rows_left"], word(rows)))
            with builder.if_then(fits):
                builder.call(function, arguments)
                builder.store(word(rows * ROW_STEP + vectors), done)
                builder.branch(end)
        builder.store(word(ROW_STEP + 1), done)  # nothing was left
        builder.branch(end)
        builder.position_at_end(end)
        return builder.load(done)

    kinds = tuple(types.float32 if kind == FLOAT_IR else types.int64 for kind in parameters.values())
    return operation(name, types.int64, kinds, emit)


@device
def tile_columns(rest, widest):
    """Native: columns of the next tile, of the `rest` of a row; the last is not a single vector, which would starve."""
    return widest - PANEL if widest > 2 * PANEL and 0 < rest - widest <= PANEL else min(widest, rest)
