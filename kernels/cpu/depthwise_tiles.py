"""Tiles of neighbouring columns under one window, kept in registers: `conv_depthwise`'s inner loop, as LLVM code.

A tile is one to four vectors of one output row. Each column of the window finds its mask of columns inside x once, for
all rows of the window; each of its rows is then one broadcast weight and, for each vector, a masked load and a
multiply-add. Every output adds its products column by column, starting from the bias, whatever the tile's width.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from ..contract import PANEL
from .vectors import (
    FLOAT_IR,
    IOTA_IR,
    REGISTER_FLOATS,
    VECTOR_IR,
    WORD_IR,
    emit_at_least,
    emit_lanes,
    emit_leaky,
    emit_mask,
    emit_masked_load,
    emit_masked_store,
    emit_multiply_add,
    emit_splat,
    operation,
)

TILE_VECTORS = 4 if REGISTER_FLOATS == 512 else 1
"""Vectors of the widest tile; with narrow registers a mask takes as many of them as a sum."""

_PARAMETERS = {
    "x": WORD_IR,
    "x_row": WORD_IR,
    "rows": WORD_IR,
    "columns": WORD_IR,
    "column_step": WORD_IR,
    "start": WORD_IR,
    "width": WORD_IR,
    "weights": WORD_IR,
    "weights_row": WORD_IR,
    "y": WORD_IR,
    "valid": WORD_IR,
    "bias": FLOAT_IR,
    "leak": FLOAT_IR,
    "floor": FLOAT_IR,
}


def _word(value: int) -> ir.Constant:
    return ir.Constant(WORD_IR, value)


def _pointer(builder: ir.IRBuilder, address: Any) -> Any:
    return builder.inttoptr(address, FLOAT_IR.as_pointer())


def _tile(module: ir.Module, vectors: int) -> ir.Function:
    name = f"depthwise_{vectors}"
    if name in module.globals:
        return module.globals[name]
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), list(_PARAMETERS.values())), name)
    function.linkage = "internal"
    function.attributes.add("noinline")
    o = dict(zip(_PARAMETERS, function.args, strict=True))
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    x, weights = _pointer(builder, o["x"]), _pointer(builder, o["weights"])
    sums = [cgutils.alloca_once(builder, VECTOR_IR) for _ in range(vectors)]  # LLVM makes registers of them
    for total in sums:
        builder.store(emit_splat(builder, o["bias"]), total)
    with cgutils.for_range(builder, o["columns"]) as tap:
        column = builder.add(o["start"], builder.mul(tap.index, o["column_step"]))
        masks = []
        for v in range(vectors):
            lanes = builder.add(emit_lanes(builder, builder.add(column, _word(v * PANEL))), IOTA_IR)
            # One unsigned comparison finds both what is before 0 and what is behind the width.
            masks.append(builder.icmp_unsigned("<", lanes, emit_lanes(builder, o["width"])))
        with cgutils.for_range(builder, o["rows"]) as row:
            weight = builder.load(
                builder.gep(weights, [builder.add(builder.mul(row.index, o["weights_row"]), tap.index)])
            )
            line = builder.gep(x, [builder.add(builder.mul(row.index, o["x_row"]), column)])
            for v in range(vectors):
                values = emit_masked_load(builder, builder.gep(line, [_word(v * PANEL)]), masks[v])
                total = emit_multiply_add(builder, emit_splat(builder, weight), values, builder.load(sums[v]))
                builder.store(total, sums[v])
    y, leak, floor = _pointer(builder, o["y"]), emit_splat(builder, o["leak"]), emit_splat(builder, o["floor"])
    for v in range(vectors):
        value = emit_at_least(builder, floor, emit_leaky(builder, builder.load(sums[v]), leak))
        mask = emit_mask(builder, builder.sub(o["valid"], _word(v * PANEL)))
        emit_masked_store(builder, builder.gep(y, [_word(v * PANEL)]), value, mask)
    builder.ret_void()
    return function


def _emit(builder: ir.IRBuilder, *values: Any) -> Any:
    """Call the narrowest tile that holds the valid columns, or the widest; returns the columns it took."""
    widths = range(1, TILE_VECTORS + 1)
    tiles = [_tile(builder.module, vectors) for vectors in widths]
    valid = values[list(_PARAMETERS).index("valid")]
    done = cgutils.alloca_once(builder, WORD_IR)
    switch_end = builder.append_basic_block("depthwise_done")
    for vectors, tile in zip(widths, tiles, strict=True):
        holds = ir.Constant(ir.IntType(1), 1)
        if vectors < TILE_VECTORS:
            holds = builder.icmp_signed("<=", valid, _word(vectors * PANEL))
        chosen, otherwise = builder.append_basic_block("tile"), builder.append_basic_block("wider")
        builder.cbranch(holds, chosen, otherwise)
        builder.position_at_end(chosen)
        builder.call(tile, values)
        builder.store(_word(vectors * PANEL), done)
        builder.branch(switch_end)
        builder.position_at_end(otherwise)
    builder.unreachable()
    builder.position_at_end(switch_end)
    return builder.load(done)


depthwise_tile = operation(
    "depthwise_tile",
    types.int64,
    tuple(types.float32 if kind == FLOAT_IR else types.int64 for kind in _PARAMETERS.values()),
    _emit,
)
"""Native: compute and store the next columns of one output row, contiguous in x and y, stride 1.

Args (addresses in bytes, steps in float32 elements):
    x: address of column 0 of the first row of the window that lies inside x; x_row: step to the next.
    rows, columns: of the window, as far as rows lie inside; column_step: its dilation along the width.
    start: column of x under the window's first column, for the first output; may be negative.
    width: columns of x; what lies outside counts as 0.
    weights: address of the first of those rows' weights; weights_row: step from row to row.
    y: address of the first output. valid: outputs left to compute.
    bias, leak, floor: float32; the sum's start, its factor below zero, and what nothing stored is below.

Returns:
    the columns that were taken; at least `valid` when all is done.
"""
