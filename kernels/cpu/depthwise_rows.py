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

LARGEST_WINDOW = 64
"""Taps that the table of masks holds."""
LARGEST_PLANE = 1 << 20
"""Outputs of a channel up to which a float32 division finds their rows."""

_TILES = {512: (8, 4, 2, 1), 128: (4, 2, 1), 64: (2, 1)}[REGISTER_FLOATS]
"""Vectors of the tiles, the widest first: independent sums hide the latency of a multiply-add."""
_BITS = ir.IntType(PANEL)
_MASK = ir.VectorType(ir.IntType(1), PANEL)

_PARAMETERS = {
    "channels": WORD_IR,
    "x": WORD_IR,
    "x_channel": WORD_IR,
    "height": WORD_IR,
    "width": WORD_IR,
    "rows": WORD_IR,
    "columns": WORD_IR,
    "row_step": WORD_IR,
    "column_step": WORD_IR,
    "pad_top": WORD_IR,
    "pad_left": WORD_IR,
    "weights": WORD_IR,
    "y": WORD_IR,
    "y_channel": WORD_IR,
    "first": WORD_IR,
    "valid": WORD_IR,
    "bias": WORD_IR,
    "bias_channel": WORD_IR,
    "leak": WORD_IR,
    "leak_channel": WORD_IR,
    "floor": FLOAT_IR,
}


def _word(value: int) -> ir.Constant:
    return ir.Constant(WORD_IR, value)


def _at(builder: ir.IRBuilder, address: Any, *indices: Any) -> Any:
    """Pointer to the element of a tensor of float32 that lies the sum of some indices behind its address."""
    pointer = builder.inttoptr(address, FLOAT_IR.as_pointer())
    for index in indices:
        pointer = builder.gep(pointer, [index])
    return pointer


def _places(builder: ir.IRBuilder, o: dict[str, Any], vector: int) -> tuple[Any, Any]:
    """Row and column of each of a vector's outputs."""
    place = builder.add(emit_lanes(builder, builder.add(o["first"], _word(vector * PANEL))), IOTA_IR)
    # Half an output away from the next row, float32 can not round to it; integers have no vector division.
    middle = builder.fadd(builder.sitofp(place, VECTOR_IR), ir.Constant(VECTOR_IR, [0.5] * PANEL))
    width = emit_splat(builder, builder.sitofp(o["width"], FLOAT_IR))
    row = builder.fptosi(builder.fdiv(middle, width), IOTA_IR.type)
    return row, builder.sub(place, builder.mul(row, emit_lanes(builder, o["width"])))


def _for_taps(builder: ir.IRBuilder, o: dict[str, Any], table: Any, vectors: int, emit: Any) -> None:
    """Loops over the window, column by column: `emit(row, column, masks)`, with a pointer to each vector's mask."""
    with cgutils.for_range(builder, o["columns"]) as column, cgutils.for_range(builder, o["rows"]) as row:
        tap = builder.mul(builder.add(builder.mul(column.index, o["rows"]), row.index), _word(vectors))
        emit(row.index, column.index, [builder.gep(table, [builder.add(tap, _word(v))]) for v in range(vectors)])


def _write_masks(builder: ir.IRBuilder, o: dict[str, Any], table: Any, vectors: int) -> None:
    """Where each tap of each output lies inside x."""
    places = [_places(builder, o, v) for v in range(vectors)]

    def tap(row: Any, column: Any, masks: list[Any]) -> None:
        down = emit_lanes(builder, builder.sub(builder.mul(row, o["row_step"]), o["pad_top"]))
        along = emit_lanes(builder, builder.sub(builder.mul(column, o["column_step"]), o["pad_left"]))
        for v, (line, place) in enumerate(places):
            # One unsigned comparison finds both what is before 0 and what is behind the limit.
            inside: list[Any] = [
                builder.icmp_unsigned("<", builder.add(index, by), emit_lanes(builder, limit))
                for index, by, limit in ((line, down, o["height"]), (place, along, o["width"]))
            ]
            exists = emit_mask(builder, builder.sub(o["valid"], _word(v * PANEL)))
            mask = builder.and_(builder.and_(*inside), exists)
            builder.store(builder.bitcast(mask, _BITS), masks[v])

    _for_taps(builder, o, table, vectors, tap)


def _tile(module: ir.Module, vectors: int) -> ir.Function:
    """The function of one tile: compute it and store it, for all channels."""
    name = f"depthwise_rows_{vectors}"
    if name in module.globals:
        return module.globals[name]
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), list(_PARAMETERS.values())), name)
    function.linkage = "internal"
    function.attributes.add("noinline")
    o = dict(zip(_PARAMETERS, function.args, strict=True))
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    table = cgutils.alloca_once(builder, _BITS, size=LARGEST_WINDOW * vectors)
    sums = [cgutils.alloca_once(builder, VECTOR_IR) for _ in range(vectors)]  # LLVM makes registers of them
    _write_masks(builder, o, table, vectors)
    origin = builder.sub(o["first"], builder.add(builder.mul(o["pad_top"], o["width"]), o["pad_left"]))
    with cgutils.for_range(builder, o["channels"]) as channel:
        _channel(builder, o, channel.index, origin, table, sums)
    builder.ret_void()
    return function


def _channel(builder: ir.IRBuilder, o: dict[str, Any], channel: Any, origin: Any, table: Any, sums: list[Any]) -> None:
    """The tile of one channel; its first output's first tap lies `origin` elements behind the channel's first."""

    def of_channel(tensor: str) -> Any:
        return _at(builder, o[tensor], builder.mul(channel, o[f"{tensor}_channel"]))

    for total in sums:
        builder.store(emit_splat(builder, builder.load(of_channel("bias"))), total)
    plane = builder.gep(of_channel("x"), [origin])
    weights = _at(builder, o["weights"], builder.mul(channel, builder.mul(o["rows"], o["columns"])))

    def tap(row: Any, column: Any, masks: list[Any]) -> None:
        weight = builder.load(builder.gep(weights, [builder.add(builder.mul(row, o["columns"]), column)]))
        distance = builder.add(
            builder.mul(builder.mul(row, o["row_step"]), o["width"]), builder.mul(column, o["column_step"])
        )
        line = builder.gep(plane, [distance])
        for v, total in enumerate(sums):
            mask = builder.bitcast(builder.load(masks[v]), _MASK)
            values = emit_masked_load(builder, builder.gep(line, [_word(v * PANEL)]), mask)
            builder.store(emit_multiply_add(builder, emit_splat(builder, weight), values, builder.load(total)), total)

    _for_taps(builder, o, table, len(sums), tap)
    leak, floor = emit_splat(builder, builder.load(of_channel("leak"))), emit_splat(builder, o["floor"])
    target = builder.gep(of_channel("y"), [o["first"]])
    for v, total in enumerate(sums):
        value = emit_at_least(builder, floor, emit_leaky(builder, builder.load(total), leak))
        mask = emit_mask(builder, builder.sub(o["valid"], _word(v * PANEL)))
        emit_masked_store(builder, builder.gep(target, [_word(v * PANEL)]), value, mask)


def _emit(builder: ir.IRBuilder, *values: Any) -> Any:
    """Call the widest tile of which all vectors hold outputs; returns the outputs it took."""
    valid = values[list(_PARAMETERS).index("valid")]
    done = cgutils.alloca_once(builder, WORD_IR)
    end = builder.append_basic_block("depthwise_rows_done")
    for vectors in _TILES:
        holds = builder.icmp_signed(">", valid, _word((vectors - 1) * PANEL))
        chosen, otherwise = builder.append_basic_block("tile"), builder.append_basic_block("narrower")
        builder.cbranch(holds, chosen, otherwise)
        builder.position_at_end(chosen)
        builder.call(_tile(builder.module, vectors), values)
        builder.store(_word(vectors * PANEL), done)
        builder.branch(end)
        builder.position_at_end(otherwise)
    builder.store(_word(PANEL), done)  # nothing was left
    builder.branch(end)
    builder.position_at_end(end)
    return builder.load(done)


_TYPES = tuple(types.float32 if kind == FLOAT_IR else types.int64 for kind in _PARAMETERS.values())

depthwise_rows_tile = operation("depthwise_rows_tile", types.int64, _TYPES, _emit)
"""Native: compute and store the next outputs of some channels, of stride 1, whose rows in x and y lie end to end.

Args (addresses in bytes, steps in float32 elements):
    channels: how many channels; x_channel, y_channel, bias_channel, leak_channel: steps from one to the next.
    x: address of the first channel's first element; height, width: of x; y is as wide, at most LARGEST_PLANE outputs.
    rows, columns: of the window, together at most LARGEST_WINDOW; row_step, column_step: its dilation.
    pad_top, pad_left: rows and columns of zeros before x.
    weights: address of [channels, rows, columns].
    y: address of the first channel's first output. first: output to start with; valid: outputs from there on.
    bias, leak: addresses of float32; the sum's start, and its factor below zero.
    floor: float32; nothing stored is below.

Returns:
    the outputs that were taken; at least `valid` when all is done.
"""
