"""Tiles of neighbouring columns under one window, kept in registers: `conv_depthwise`'s inner loops, as LLVM code.

A tile is one to four vectors of one output row, of one channel after the other. Each column of the window finds its
mask of columns inside x once, for all rows of the window; each of its rows is then one broadcast weight and, for each
vector, a masked load (with stride 2 two loads, and a shuffle) and a multiply-add. Every output adds its products column
by column, starting from the bias, whatever the tile's width.
"""

from __future__ import annotations

from collections.abc import Sequence
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
    emit_evens,
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
    "channels": WORD_IR,
    "x": WORD_IR,
    "x_channel": WORD_IR,
    "x_row": WORD_IR,
    "rows": WORD_IR,
    "columns": WORD_IR,
    "column_step": WORD_IR,
    "start": WORD_IR,
    "width": WORD_IR,
    "weights": WORD_IR,
    "weights_channel": WORD_IR,
    "weights_row": WORD_IR,
    "y": WORD_IR,
    "y_channel": WORD_IR,
    "valid": WORD_IR,
    "bias": WORD_IR,
    "bias_channel": WORD_IR,
    "leak": WORD_IR,
    "leak_channel": WORD_IR,
    "floor": FLOAT_IR,
}


_OF_CHANNELS = ("x", "weights", "y", "bias", "leak")


def _word(value: int) -> ir.Constant:
    return ir.Constant(WORD_IR, value)


def _pointer(builder: ir.IRBuilder, address: Any) -> Any:
    return builder.inttoptr(address, FLOAT_IR.as_pointer())


def _tile(module: ir.Module, vectors: int, stride: int) -> ir.Function:
    name = f"depthwise_{vectors}_by_{stride}"
    if name in module.globals:
        return module.globals[name]
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), list(_PARAMETERS.values())), name)
    function.linkage = "internal"
    function.attributes.add("noinline")
    o = dict(zip(_PARAMETERS, function.args, strict=True))
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    sums = [cgutils.alloca_once(builder, VECTOR_IR) for _ in range(vectors)]  # LLVM makes registers of them
    with cgutils.for_range(builder, o["channels"]) as channel:

        def of_channel(tensor: str) -> Any:
            offset = builder.mul(channel.index, o[f"{tensor}_channel"])
            return builder.gep(_pointer(builder, o[tensor]), [offset])

        _channel(builder, o, {tensor: of_channel(tensor) for tensor in _OF_CHANNELS}, sums, stride)
    builder.ret_void()
    return function


def _channel(builder: ir.IRBuilder, o: dict[str, Any], at: dict[str, Any], sums: list[Any], stride: int) -> None:
    """The tile of one channel; `at` points to what belongs to it."""
    for total in sums:
        builder.store(emit_splat(builder, builder.load(at["bias"])), total)
    with cgutils.for_range(builder, o["columns"]) as tap:
        column = builder.add(o["start"], builder.mul(tap.index, o["column_step"]))
        # The vectors that one vector of outputs is made of: every element, or the even ones of two.
        firsts = [builder.add(column, _word(part * PANEL)) for part in range(stride * len(sums))]
        masks = []
        for first in firsts:
            lanes = builder.add(emit_lanes(builder, first), IOTA_IR)
            # One unsigned comparison finds both what is before 0 and what is behind the width.
            masks.append(builder.icmp_unsigned("<", lanes, emit_lanes(builder, o["width"])))
        with cgutils.for_range(builder, o["rows"]) as row:
            weight = builder.load(
                builder.gep(at["weights"], [builder.add(builder.mul(row.index, o["weights_row"]), tap.index)])
            )
            line = builder.gep(at["x"], [builder.add(builder.mul(row.index, o["x_row"]), column)])
            parts = [
                emit_masked_load(builder, builder.gep(line, [_word(part * PANEL)]), mask)
                for part, mask in enumerate(masks)
            ]
            for v, total in enumerate(sums):
                values = parts[v] if stride == 1 else emit_evens(builder, parts[2 * v], parts[2 * v + 1])
                value = emit_multiply_add(builder, emit_splat(builder, weight), values, builder.load(total))
                builder.store(value, total)
    leak, floor = emit_splat(builder, builder.load(at["leak"])), emit_splat(builder, o["floor"])
    for v, total in enumerate(sums):
        value = emit_at_least(builder, floor, emit_leaky(builder, builder.load(total), leak))
        mask = emit_mask(builder, builder.sub(o["valid"], _word(v * PANEL)))
        emit_masked_store(builder, builder.gep(at["y"], [_word(v * PANEL)]), value, mask)


def _emitter(stride: int) -> Any:
    def emit(builder: ir.IRBuilder, *values: Any) -> Any:
        """Call the narrowest tile that holds the valid columns, or the widest; returns the columns it took."""
        return _call_tile(builder, values, stride)

    return emit


def _call_tile(builder: ir.IRBuilder, values: Sequence[Any], stride: int) -> Any:
    widths = range(1, TILE_VECTORS + 1)
    tiles = [_tile(builder.module, vectors, stride) for vectors in widths]
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


_TYPES = tuple(types.float32 if kind == FLOAT_IR else types.int64 for kind in _PARAMETERS.values())

depthwise_tile = operation("depthwise_tile", types.int64, _TYPES, _emitter(1))
"""Native: compute and store the next columns of one output row of some channels, contiguous in x and y, stride 1.

Args (addresses in bytes, steps in float32 elements):
    channels: how many channels; x_channel, weights_channel, y_channel, bias_channel, leak_channel: steps from one to
        the next.
    x: address of column 0 of the first row of the window that lies inside x; x_row: step to the next.
    rows, columns: of the window, as far as rows lie inside; column_step: its dilation along the width.
    start: column of x under the window's first column, for the first output; may be negative.
    width: columns of x; what lies outside counts as 0.
    weights: address of the first of those rows' weights; weights_row: step from row to row.
    y: address of the first output. valid: outputs left to compute.
    bias, leak: addresses of float32; the sum's start, and its factor below zero.
    floor: float32; nothing stored is below.

Returns:
    the columns that were taken; at least `valid` when all is done.
"""

depthwise_tile_by_2 = operation("depthwise_tile_by_2", types.int64, _TYPES, _emitter(2))
"""Native: the same with stride 2 along the width."""
