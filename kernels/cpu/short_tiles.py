"""Tiles of output channels x columns straight from x: `conv_short`'s inner loops, as LLVM code.

A tile is up to 8 output channels by up to 3 vectors of one output row, all in registers; one call goes through all
output channels. At each tap of the window, input channel by input channel, each vector is a load (with stride 2 two
loads, and a shuffle), each output channel a broadcast weight, and each pair a multiply-add. Nothing is copied first: a
load is masked where the tap leaves the row. Every output adds its products tap by tap, channel by channel, starting
from the bias, whatever the tile's shape.
"""

from __future__ import annotations

from typing import Any, NamedTuple

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
    emit_load,
    emit_mask,
    emit_masked_load,
    emit_masked_store,
    emit_multiply_add,
    emit_splat,
    operation,
)

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
    "block_step": WORD_IR,
    "y": _ADDRESS,
    "y_step": WORD_IR,
    "channels": WORD_IR,
    "valid": WORD_IR,
    "bias": _ADDRESS,
    "bias_step": WORD_IR,
    "leaks": _ADDRESS,
    "leaks_step": WORD_IR,
    "floor": FLOAT_IR,
}


def _word(value: int) -> ir.Constant:
    return ir.Constant(WORD_IR, value)


def _whole_channels(builder: ir.IRBuilder, o: dict[str, Any], column: Any, vectors: int, stride: int) -> Any:
    """How many of the first channels are loaded without masks: a masked load takes as long as two.

    None, if a tap of a valid output lies outside the row; else all, or all but the last if vectors reach into the next
    channel's row: what they find there becomes no output.
    """
    lanes = builder.select(
        builder.icmp_signed("<", o["valid"], _word(vectors * PANEL)), o["valid"], _word(vectors * PANEL)
    )
    last = builder.add(column, builder.mul(builder.sub(lanes, _word(1)), _word(stride)))
    beyond = builder.sub(builder.add(column, _word(stride * vectors * PANEL)), o["width"])
    inside = builder.and_(builder.icmp_signed(">=", column, _word(0)), builder.icmp_signed("<", last, o["width"]))
    reaches = builder.icmp_signed("<=", beyond, o["x_channel"])
    but_last = builder.select(reaches, builder.sub(o["inputs"], _word(1)), _word(0))
    most = builder.select(builder.icmp_signed("<=", beyond, _word(0)), o["inputs"], but_last)
    return builder.select(inside, most, _word(0))


class _Tap(NamedTuple):
    """One tap of a tile: where its row of the window lies, the next weights, and the sums."""

    line: Any
    weights: Any
    sums: list[Any]
    vectors: int
    stride: int

    def add_channels(self, builder: ir.IRBuilder, o: dict[str, Any], first: Any, end: Any, parts: Any, masks: Any):
        """Add the products of channels first .. end - 1; `parts` are the columns of the vectors to load."""
        vectors = self.vectors
        with cgutils.for_range_slice(builder, first, end, _word(1), WORD_IR) as (channel, _):
            plane = builder.gep(self.line, [builder.mul(channel, o["x_channel"])])
            places = [builder.gep(plane, [column]) for column in parts]
            if masks is None:
                loaded = [emit_load(builder, place) for place in places]
            else:
                loaded = [emit_masked_load(builder, *pair) for pair in zip(places, masks, strict=True)]
            if self.stride == 2:
                loaded = [emit_evens(builder, *loaded[2 * v : 2 * v + 2]) for v in range(vectors)]
            packed = builder.load(self.weights)
            for r in range(len(self.sums) // vectors):
                weight = emit_splat(builder, builder.load(builder.gep(packed, [_word(r)])))
                for v in range(vectors):
                    total = self.sums[r * vectors + v]
                    builder.store(emit_multiply_add(builder, weight, loaded[v], builder.load(total)), total)
            builder.store(builder.gep(packed, [_word(CHANNEL_BLOCK)]), self.weights)


def _tile(builder: ir.IRBuilder, o: dict[str, Any], channel: Any, channels: int, vectors: int, stride: int) -> None:
    """Compute and store the tile of `channels` output channels from `channel` on, all of one block of weights."""
    sums = [cgutils.alloca_once(builder, VECTOR_IR) for _ in range(channels * vectors)]  # LLVM makes registers of them

    def of_channel(tensor: str, r: int) -> Any:
        return builder.gep(o[tensor], [builder.mul(builder.add(channel, _word(r)), o[f"{tensor}_step"])])

    for r in range(channels):
        start = emit_splat(builder, builder.load(of_channel("bias", r)))
        for v in range(vectors):
            builder.store(start, sums[r * vectors + v])
    block, within = builder.sdiv(channel, _word(CHANNEL_BLOCK)), builder.srem(channel, _word(CHANNEL_BLOCK))
    first = builder.gep(o["weights"], [builder.add(builder.mul(block, o["block_step"]), within)])
    weights = cgutils.alloca_once_value(builder, first)
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
            whole = _whole_channels(builder, o, column, vectors, stride)
            tap_sums = _Tap(line, weights, sums, vectors, stride)
            tap_sums.add_channels(builder, o, _word(0), whole, parts, None)
            tap_sums.add_channels(builder, o, whole, o["inputs"], parts, masks)
    floor = emit_splat(builder, o["floor"])
    for r in range(channels):
        leak = emit_splat(builder, builder.load(of_channel("leaks", r)))
        target = of_channel("y", r)
        for v in range(vectors):
            total = builder.load(sums[r * vectors + v])
            value = emit_at_least(builder, floor, emit_leaky(builder, total, leak))
            mask = emit_mask(builder, builder.sub(o["valid"], _word(v * PANEL)))
            emit_masked_store(builder, builder.gep(target, [_word(v * PANEL)]), value, mask)


def _columns(module: ir.Module, vectors: int, stride: int) -> ir.Function:
    """The function of all output channels of so many vectors: tile by tile, the highest that fits."""
    name = f"short_columns_{vectors}_by_{stride}"
    if name in module.globals:
        return module.globals[name]
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), list(_PARAMETERS.values())), name)
    function.linkage = "internal"
    function.attributes.add("noinline")
    o = dict(zip(_PARAMETERS, function.args, strict=True))
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    done: Any = _word(0)
    for height in _SHAPES[stride][0]:
        tiles = builder.sdiv(builder.sub(o["channels"], done), _word(height))
        with cgutils.for_range(builder, tiles) as tile:
            channel = builder.add(done, builder.mul(tile.index, _word(height)))
            _tile(builder, o, channel, height, vectors, stride)
        done = builder.add(done, builder.mul(tiles, _word(height)))
    builder.ret_void()
    return function


def _emit(builder: ir.IRBuilder, stride: int, arguments: list[Any]) -> Any:
    """Run the most vectors that the valid columns fill, the last one at least in part; returns how many."""
    valid = arguments[list(_PARAMETERS).index("valid")]
    count = cgutils.alloca_once(builder, WORD_IR)
    end = builder.append_basic_block("short_columns_done")
    for vectors in _SHAPES[stride][1]:
        fills = builder.icmp_signed(">", valid, _word((vectors - 1) * PANEL))
        chosen, otherwise = builder.append_basic_block("columns"), builder.append_basic_block("fewer")
        builder.cbranch(fills, chosen, otherwise)
        builder.position_at_end(chosen)
        builder.call(_columns(builder.module, vectors, stride), arguments)
        builder.store(_word(vectors), count)
        builder.branch(end)
        builder.position_at_end(otherwise)
    builder.store(_word(1), count)  # nothing was left
    builder.branch(end)
    builder.position_at_end(end)
    return builder.load(count)


def _short_columns(stride: int) -> Any:
    def emit(builder: ir.IRBuilder, *values: Any) -> Any:
        """All output channels of the next columns."""
        arguments = [
            builder.inttoptr(value, kind) if isinstance(kind, ir.PointerType) else value
            for value, kind in zip(values, _PARAMETERS.values(), strict=True)
        ]
        return _emit(builder, stride, arguments)

    kinds = tuple(types.float32 if kind == FLOAT_IR else types.int64 for kind in _PARAMETERS.values())
    return operation(f"short_columns_by_{stride}", types.int64, kinds, emit)


short_columns = _short_columns(1)
"""Native: compute and store the next columns of some output channels, of stride 1 along the width.

Args (addresses in bytes, steps in float32 elements):
    x: address of column 0 of the group's first channel, in the first row of the window that lies inside x; x_channel,
        x_row: steps to the next channel, and to the window's next row.
    inputs: channels of the group. rows, columns: of the window, as far as rows lie inside; column_step: its dilation.
    start: column of x under the window's first column, for the first output; may be negative.
    width: columns of x; what lies outside counts as 0.
    weights: address of the first output channel's, for the first of those rows: packed by `packing.conv_wide`;
        block_step: step to the next CHANNEL_BLOCK output channels.
    y: address of the first output; y_step: step to the next channel. Columns are contiguous.
    channels: output channels, the first one of which begins a block, or all lie in one. valid: columns left.
    bias, leaks: addresses of the sum's start, and its factor below zero; bias_step, leaks_step: to the next channel's.
    floor: float32; nothing smaller is stored.

Returns:
    the vectors of columns that were taken.
"""

short_columns_by_2 = _short_columns(2)
"""Native: the same with stride 2 along the width."""
