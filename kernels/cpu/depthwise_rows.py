"""Tiles that run on over the ends of short rows under one window: inner loops of `conv_depthwise`, as LLVM code.

Where x and y are as wide and without gaps, every output lies as far behind the numbers under its window, so the rows of
an image are convolved as one long row: a vector takes 16 outputs of any rows, and each tap of the window is a load at
that tap's distance, masked where a lane's tap leaves its row or the image. These masks are the same for all channels
and found once, 16 bits a vector and tap; a tap of a channel is then a broadcast weight and, for each vector, a masked
load and a multiply-add. Every output adds its products in the order of `depthwise_tiles`.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils

from ..contract import PANEL
from .tile_code import ADDRESS_IR, Operands, add_product, first_tile, store_row, sums_of, word
from .vectors import (
    FLOAT_IR,
    IOTA_IR,
    REGISTER_FLOATS,
    VECTOR_IR,
    WORD_IR,
    emit_inside,
    emit_lanes,
    emit_mask,
    emit_masked_load,
    emit_splat,
)

LARGEST_WINDOW = 64
"""Taps that the table of masks holds."""
LARGEST_PLANE = 1 << 20
"""Outputs of a channel up to which a float32 division finds their rows."""

_SHAPES = [(1, vectors) for vectors in {512: (8, 4, 2, 1), 128: (4, 2, 1), 64: (2, 1)}[REGISTER_FLOATS]]
"""The widest first: independent sums hide the latency of a multiply-add."""
_BITS = ir.IntType(PANEL)
_MASK = ir.VectorType(ir.IntType(1), PANEL)

_PARAMETERS = {
    "channels": WORD_IR,
    "x": ADDRESS_IR,
    "x_channel": WORD_IR,
    "height": WORD_IR,
    "width": WORD_IR,
    "rows": WORD_IR,
    "columns": WORD_IR,
    "row_step": WORD_IR,
    "column_step": WORD_IR,
    "pad_top": WORD_IR,
    "pad_left": WORD_IR,
    "weights": ADDRESS_IR,
    "y": ADDRESS_IR,
    "y_channel": WORD_IR,
    "first": WORD_IR,
    "columns_left": WORD_IR,
    "bias": ADDRESS_IR,
    "bias_channel": WORD_IR,
    "leak": ADDRESS_IR,
    "leak_channel": WORD_IR,
    "floor": FLOAT_IR,
}


def _places(builder: ir.IRBuilder, o: Operands, vector: int) -> tuple[Any, Any]:
    """Row and column of each of a vector's outputs."""
    place = builder.add(emit_lanes(builder, builder.add(o["first"], word(vector * PANEL))), IOTA_IR)
    # Half an output away from the next row, float32 can not round to it; integers have no vector division.
    middle = builder.fadd(builder.sitofp(place, VECTOR_IR), ir.Constant(VECTOR_IR, [0.5] * PANEL))
    width = emit_splat(builder, builder.sitofp(o["width"], FLOAT_IR))
    row = builder.fptosi(builder.fdiv(middle, width), IOTA_IR.type)
    return row, builder.sub(place, builder.mul(row, emit_lanes(builder, o["width"])))


def _for_taps(builder: ir.IRBuilder, o: Operands, table: Any, vectors: int, emit: Any) -> None:
    """Loops over the window, column by column: `emit(row, column, masks)`, with a pointer to each vector's mask."""
    with cgutils.for_range(builder, o["columns"]) as column, cgutils.for_range(builder, o["rows"]) as row:
        tap = builder.mul(builder.add(builder.mul(column.index, o["rows"]), row.index), word(vectors))
        emit(row.index, column.index, [builder.gep(table, [builder.add(tap, word(v))]) for v in range(vectors)])


def _write_masks(builder: ir.IRBuilder, o: Operands, table: Any, vectors: int) -> None:
    """Where each tap of each output lies inside x."""
    places = [_places(builder, o, v) for v in range(vectors)]

    def tap(row: Any, column: Any, masks: list[Any]) -> None:
        down = emit_lanes(builder, builder.sub(builder.mul(row, o["row_step"]), o["pad_top"]))
        along = emit_lanes(builder, builder.sub(builder.mul(column, o["column_step"]), o["pad_left"]))
        for v, (line, place) in enumerate(places):
            above = emit_inside(builder, builder.add(line, down), o["height"])
            beside = emit_inside(builder, builder.add(place, along), o["width"])
            exists = emit_mask(builder, builder.sub(o["columns_left"], word(v * PANEL)))
            mask = builder.and_(builder.and_(above, beside), exists)
            builder.store(builder.bitcast(mask, _BITS), masks[v])

    _for_taps(builder, o, table, vectors, tap)


def _tile(builder: ir.IRBuilder, o: Operands, rows: int, vectors: int) -> None:
    """The function of one tile, of one long row: compute it and store it, for all channels."""
    table = cgutils.alloca_once(builder, _BITS, size=LARGEST_WINDOW * vectors)
    sums = sums_of(builder, vectors)
    _write_masks(builder, o, table, vectors)
    origin = builder.sub(o["first"], builder.add(builder.mul(o["pad_top"], o["width"]), o["pad_left"]))
    with cgutils.for_range(builder, o["channels"]) as channel:
        _channel(builder, o, channel.index, origin, table, sums)


def _channel(builder: ir.IRBuilder, o: Operands, channel: Any, origin: Any, table: Any, sums: list[Any]) -> None:
    """The tile of one channel; its first output's first tap lies `origin` elements behind the channel's first."""

    def of_channel(tensor: str) -> Any:
        return builder.gep(o[tensor], [builder.mul(channel, o[f"{tensor}_channel"])])

    for total in sums:
        builder.store(emit_splat(builder, builder.load(of_channel("bias"))), total)
    plane = builder.gep(of_channel("x"), [origin])
    weights = builder.gep(o["weights"], [builder.mul(channel, builder.mul(o["rows"], o["columns"]))])

    def tap(row: Any, column: Any, masks: list[Any]) -> None:
        weight = builder.load(builder.gep(weights, [builder.add(builder.mul(row, o["columns"]), column)]))
        distance = builder.add(
            builder.mul(builder.mul(row, o["row_step"]), o["width"]), builder.mul(column, o["column_step"])
        )
        line = builder.gep(plane, [distance])
        for v, total in enumerate(sums):
            mask = builder.bitcast(builder.load(masks[v]), _MASK)
            values = emit_masked_load(builder, builder.gep(line, [word(v * PANEL)]), mask)
            add_product(builder, total, emit_splat(builder, weight), values)

    _for_taps(builder, o, table, len(sums), tap)
    target = builder.gep(of_channel("y"), [o["first"]])
    store_row(builder, target, sums, builder.load(of_channel("leak")), o["floor"], o["columns_left"])


depthwise_rows_tile = first_tile("depthwise_rows_tile", _PARAMETERS, _SHAPES, _tile)
"""Native: compute and store the next outputs of some channels, of stride 1, whose rows in x and y lie end to end.

Args (addresses in bytes, steps in float32 elements):
    channels: how many channels; x_channel, y_channel, bias_channel, leak_channel: steps from one to the next.
    x: address of the first channel's first element; height, width: of x; y is as wide, at most LARGEST_PLANE outputs.
    rows, columns: of the window, together at most LARGEST_WINDOW; row_step, column_step: its dilation.
    pad_top, pad_left: rows and columns of zeros before x.
    weights: address of [channels, rows, columns].
    y: address of the first channel's first output. first: output to start with; columns_left: outputs
        from there on.
    bias, leak: addresses of float32; the sum's start, and its factor below zero.
    floor: float32; nothing stored is below.

Returns:
    ROW_STEP + vectors, as many as were computed; the last may be a part of one.
"""
