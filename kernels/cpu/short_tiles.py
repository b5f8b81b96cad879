"""Tiles of output channels x columns straight from x: `conv_short`'s inner loops, as LLVM code.

A tile is up to 8 output channels by up to 3 vectors of one output row, all in registers. Each tap of the window finds
its mask of columns inside x once; then, input channel by input channel, each vector is a masked load (with stride 2 two
loads, and a shuffle), each output channel a broadcast weight, and each pair a multiply-add. Nothing is copied first.
Every output adds its products tap by tap, channel by channel, starting from the bias, whatever the tile's shape.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from ..contract import PANEL
from ..packing import CHANNEL_BLOCK
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

ROW_STEP = 256
"""A tile returns channels * ROW_STEP + vectors."""

_SHAPES = {
    512: {1: ((8, 4, 2, 1), (3, 2, 1)), 2: ((8, 4, 2, 1), (2, 1))},
    128: {1: ((4, 2, 1), (1,)), 2: ((4, 2, 1), (1,))},
    64: {1: ((2, 1), (1,)), 2: ((2, 1), (1,))},
}[REGISTER_FLOATS]
"""Stride -> heights and widths of tiles, largest first."""

SHORT_ROWS = _SHAPES[1][0][0]
SHORT_COLUMNS = _SHAPES[1][1][0] * PANEL

_ADDRESS = FLOAT_IR.as_pointer()
_PARAMETERS = {
    "x": _ADDRESS,
    "x_channel": WORD_IR,
    "x_row": WORD_IR,
    "inputs": WORD_IR,
    "rows": WORD_IR,
    "columns": WORD_IR,
    "column_step": WORD_IR,
    "start": WORD_IR,
    "width": WORD_IR,
    "weights": _ADDRESS,
    "y": _ADDRESS,
    "y_channel": WORD_IR,
    "channels_left": WORD_IR,
    "valid": WORD_IR,
    "bias": _ADDRESS,
    "leaks": _ADDRESS,
    "floor": FLOAT_IR,
}


def _word(value: int) -> ir.Constant:
    return ir.Constant(WORD_IR, value)


def _function(module: ir.Module, name: str, returns: ir.Type) -> tuple[ir.Function, dict[str, Any]]:
    function = ir.Function(module, ir.FunctionType(returns, list(_PARAMETERS.values())), name)
    function.linkage = "internal"
    function.attributes.add("noinline")
    return function, dict(zip(_PARAMETERS, function.args, strict=True))


def _tile(module: ir.Module, channels: int, vectors: int, stride: int) -> ir.Function:
    """The function of one tile: compute it and store it."""
    function, o = _function(module, f"short_{channels}x{vectors}_by_{stride}", ir.VoidType())
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    sums = [cgutils.alloca_once(builder, VECTOR_IR) for _ in range(channels * vectors)]  # LLVM makes registers of them
    for r in range(channels):
        start = emit_splat(builder, builder.load(builder.gep(o["bias"], [_word(r)])))
        for v in range(vectors):
            builder.store(start, sums[r * vectors + v])
    weights = cgutils.alloca_once_value(builder, o["weights"])
    with cgutils.for_range(builder, o["rows"]) as row:
        line = builder.gep(o["x"], [builder.mul(row.index, o["x_row"])])
        with cgutils.for_range(builder, o["columns"]) as tap:
            column = builder.add(o["start"], builder.mul(tap.index, o["column_step"]))
            # The vectors that one vector of outputs is made of: every element, or the even ones of two.
            parts = [builder.add(column, _word(part * PANEL)) for part in range(stride * vectors)]
            # One unsigned comparison finds both what is before 0 and what is behind the width.
            limit = emit_lanes(builder, o["width"])
            masks = [
                builder.icmp_unsigned("<", builder.add(emit_lanes(builder, first), IOTA_IR), limit) for first in parts
            ]
            with cgutils.for_range(builder, o["inputs"]) as channel:
                plane = builder.gep(line, [builder.mul(channel.index, o["x_channel"])])
                loaded = [
                    emit_masked_load(builder, builder.gep(plane, [first]), mask)
                    for first, mask in zip(parts, masks, strict=True)
                ]
                if stride == 2:
                    loaded = [emit_evens(builder, *loaded[2 * v : 2 * v + 2]) for v in range(vectors)]
                packed = builder.load(weights)
                for r in range(channels):
                    weight = emit_splat(builder, builder.load(builder.gep(packed, [_word(r)])))
                    for v in range(vectors):
                        total = sums[r * vectors + v]
                        builder.store(emit_multiply_add(builder, weight, loaded[v], builder.load(total)), total)
                builder.store(builder.gep(packed, [_word(CHANNEL_BLOCK)]), weights)
    floor = emit_splat(builder, o["floor"])
    for r in range(channels):
        leak = emit_splat(builder, builder.load(builder.gep(o["leaks"], [_word(r)])))
        target = builder.gep(o["y"], [builder.mul(o["y_channel"], _word(r))])
        for v in range(vectors):
            total = builder.load(sums[r * vectors + v])
            value = emit_at_least(builder, floor, emit_leaky(builder, total, leak))
            mask = emit_mask(builder, builder.sub(o["valid"], _word(v * PANEL)))
            emit_masked_store(builder, builder.gep(target, [_word(v * PANEL)]), value, mask)
    builder.ret_void()
    return function


def _dispatcher(module: ir.Module, stride: int) -> ir.Function:
    """The function that runs the first tile that is not larger than what is left."""
    name = f"short_tile_by_{stride}"
    if name in module.globals:
        return module.globals[name]
    heights, widths = _SHAPES[stride]
    tiles = [(rows, width, _tile(module, rows, width, stride)) for rows in heights for width in widths]
    function, o = _function(module, name, WORD_IR)
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    for rows, vectors, tile in tiles:
        fits = builder.and_(
            builder.icmp_signed(">=", o["channels_left"], _word(rows)),
            builder.icmp_signed(">", o["valid"], _word((vectors - 1) * PANEL)),
        )
        with builder.if_then(fits):
            builder.call(tile, function.args)
            builder.ret(_word(rows * ROW_STEP + vectors))
    builder.ret(_word(ROW_STEP + 1))
    return function


def _short_tile(stride: int) -> Any:
    def emit(builder: ir.IRBuilder, *values: Any) -> Any:
        """Run the first tile that is not larger than what is left."""
        arguments = [
            builder.inttoptr(value, kind) if isinstance(kind, ir.PointerType) else value
            for value, kind in zip(values, _PARAMETERS.values(), strict=True)
        ]
        return builder.call(_dispatcher(builder.module, stride), arguments)

    kinds = tuple(types.float32 if kind == FLOAT_IR else types.int64 for kind in _PARAMETERS.values())
    return operation(f"short_tile_by_{stride}", types.int64, kinds, emit)


short_tile = _short_tile(1)
"""Native: compute and store the first tile that is not larger than what is left, of stride 1 along the width.

Args (addresses in bytes, steps in float32 elements):
    x: address of column 0 of the group's first channel, in the first row of the window that lies inside x; x_channel,
        x_row: steps to the next channel, and to the window's next row.
    inputs: channels of the group. rows, columns: of the window, as far as rows lie inside; column_step: its dilation.
    start: column of x under the window's first column, for the first output; may be negative.
    width: columns of x; what lies outside counts as 0.
    weights: address of the first output channel's, for the first of those rows: packed by `packing.conv_wide`.
    y: address of the first output; y_channel: step to the next channel. Columns are contiguous.
    channels_left, valid: output channels and columns left, at least 1; the channels of one block of weights.
    bias, leaks: addresses of one float32 a channel: the sum's start, and its factor below zero.
    floor: float32; nothing smaller is stored.

Returns:
    channels * ROW_STEP + vectors, as many as were computed.
"""

short_tile_by_2 = _short_tile(2)
"""Native: the same with stride 2 along the width."""
