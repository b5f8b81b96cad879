"""Tiles of output channels x columns straight from x: `conv_short`'s inner loops, as LLVM code.

A tile is up to 8 output channels by up to 3 vectors of one output row, all in registers; one call goes through all
output channels. At each tap of the window, input channel by input channel, each vector is a load (with stride 2 two
loads, and a shuffle), each output channel a broadcast weight, and each pair a multiply-add. Nothing is copied first: a
load is masked where the tap leaves the row. Every output adds its products tap by tap, channel by channel, starting
from the bias, whatever the tile's shape.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

from llvmlite import ir
from numba.core import cgutils

from ..contract import PANEL
from ..packing import CHANNEL_BLOCK
from .tile_code import ADDRESS_IR, Operands, Window, add_product, first_tile, store_row, sums_of, word
from .vectors import FLOAT_IR, REGISTER_FLOATS, WORD_IR, emit_splat

_SHAPES = {
    512: {1: ((8, 4, 2, 1), (3, 2, 1)), 2: ((8, 4, 2, 1), (2, 1))},
    128: {1: ((4, 2, 1), (1,)), 2: ((4, 2, 1), (1,))},
    64: {1: ((2, 1), (1,)), 2: ((2, 1), (1,))},
}[REGISTER_FLOATS]
"""Stride -> heights and widths of tiles, largest first."""

SHORT_ROWS = _SHAPES[1][0][0]
SHORT_COLUMNS = _SHAPES[1][1][0] * PANEL

_PARAMETERS = {
    "x": ADDRESS_IR,
    "x_channel": WORD_IR,
    "x_row": WORD_IR,
    "inputs": WORD_IR,
    "rows": WORD_IR,
    "columns": WORD_IR,
    "column_step": WORD_IR,
    "start": WORD_IR,
    "width": WORD_IR,
    "weights": ADDRESS_IR,
    "weights_block": WORD_IR,
    "y": ADDRESS_IR,
    "y_channel": WORD_IR,
    "channels": WORD_IR,
    "columns_left": WORD_IR,
    "bias": ADDRESS_IR,
    "bias_channel": WORD_IR,
    "leaks": ADDRESS_IR,
    "leaks_channel": WORD_IR,
    "floor": FLOAT_IR,
}


def _whole_channels(builder: ir.IRBuilder, o: Operands, column: Any, vectors: int, stride: int) -> Any:
    """How many of the first channels are loaded without masks: a masked load takes as long as two.

    None, if a tap of an output that is left lies outside the row; else all, or all but the last if vectors reach into
    the next channel's row: what they find there becomes no output.
    """
    most, left = word(vectors * PANEL), o["columns_left"]
    lanes = builder.select(builder.icmp_signed("<", left, most), left, most)
    last = builder.add(column, builder.mul(builder.sub(lanes, word(1)), word(stride)))
    beyond = builder.sub(builder.add(column, word(stride * vectors * PANEL)), o["width"])
    inside = builder.and_(builder.icmp_signed(">=", column, word(0)), builder.icmp_signed("<", last, o["width"]))
    reaches = builder.icmp_signed("<=", beyond, o["x_channel"])
    but_last = builder.select(reaches, builder.sub(o["inputs"], word(1)), word(0))
    whole = builder.select(builder.icmp_signed("<=", beyond, word(0)), o["inputs"], but_last)
    return builder.select(inside, whole, word(0))


class _Tap(NamedTuple):
    """One tap of a tile: its row of x, the columns it reads there, the next weights, and the sums."""

    line: Any
    window: Window
    weights: Any
    sums: list[list[Any]]
    """Of each output channel, a vector after the other."""

    def add_channels(self, builder: ir.IRBuilder, o: Operands, first: Any, end: Any, masked: bool) -> None:
        """Add the products of input channels first .. end - 1."""
        with cgutils.for_range_slice(builder, first, end, word(1), WORD_IR) as (channel, _):
            plane = builder.gep(self.line, [builder.mul(channel, o["x_channel"])])
            loaded = self.window.load(plane, masked)
            packed = builder.load(self.weights)
            for r, row in enumerate(self.sums):
                weight = emit_splat(builder, builder.load(builder.gep(packed, [word(r)])))
                for total, values in zip(row, loaded, strict=True):
                    add_product(builder, total, weight, values)
            builder.store(builder.gep(packed, [word(CHANNEL_BLOCK)]), self.weights)


def _tile(builder: ir.IRBuilder, o: Operands, channel: Any, channels: int, vectors: int, stride: int) -> None:
    """Compute and store the tile of `channels` output channels from `channel` on, all of one block of weights."""

    def of_channel(tensor: str, r: int) -> Any:
        return builder.gep(o[tensor], [builder.mul(builder.add(channel, word(r)), o[f"{tensor}_channel"])])

    sums = [sums_of(builder, vectors) for _ in range(channels)]
    for r, row in enumerate(sums):
        start = emit_splat(builder, builder.load(of_channel("bias", r)))
        for total in row:
            builder.store(start, total)
    block, within = builder.sdiv(channel, word(CHANNEL_BLOCK)), builder.srem(channel, word(CHANNEL_BLOCK))
    first = builder.gep(o["weights"], [builder.add(builder.mul(block, o["weights_block"]), within)])
    weights = cgutils.alloca_once_value(builder, first)
    with cgutils.for_range(builder, o["rows"]) as window_row:
        line = builder.gep(o["x"], [builder.mul(window_row.index, o["x_row"])])
        with cgutils.for_range(builder, o["columns"]) as window_column:
            column = builder.add(o["start"], builder.mul(window_column.index, o["column_step"]))
            tap = _Tap(line, Window(builder, column, o["width"], stride, vectors), weights, sums)
            whole = _whole_channels(builder, o, column, vectors, stride)
            tap.add_channels(builder, o, word(0), whole, masked=False)
            tap.add_channels(builder, o, whole, o["inputs"], masked=True)
    for r, row in enumerate(sums):
        store_row(builder, of_channel("y", r), row, builder.load(of_channel("leaks", r)), o["floor"], o["columns_left"])


def _columns(builder: ir.IRBuilder, o: Operands, rows: int, vectors: int, stride: int) -> None:
    """The function of so many vectors of a row, of all output channels: tile by tile, the highest that fits."""
    done: Any = word(0)
    for height in _SHAPES[stride][0]:
        tiles = builder.sdiv(builder.sub(o["channels"], done), word(height))
        with cgutils.for_range(builder, tiles) as tile:
            channel = builder.add(done, builder.mul(tile.index, word(height)))
            _tile(builder, o, channel, height, vectors, stride)
        done = builder.add(done, builder.mul(tiles, word(height)))


def _short_columns(stride: int) -> Any:
    shapes = [(1, vectors) for vectors in _SHAPES[stride][1]]
    return first_tile(f"short_columns_by_{stride}", _PARAMETERS, shapes, partial(_columns, stride=stride))


short_columns = _short_columns(1)
"""Native: compute and store the next columns of one output row of some output channels, of stride 1 along the width.

Args (addresses in bytes, steps in float32 elements):
    x: address of column 0 of the group's first channel, in the first row of the window that lies inside x; x_channel,
        x_row: steps to the next channel, and to the window's next row.
    inputs: channels of the group. rows, columns: of the window, as far as rows lie inside; column_step: its dilation.
    start: column of x under the window's first column, for the first output; may be negative.
    width: columns of x; what lies outside counts as 0.
    weights: address of the first output channel's, for the first of those rows: packed by `packing.conv_wide`;
        weights_block: step to the next CHANNEL_BLOCK output channels.
    y: address of the first output. Columns are contiguous.
    channels: output channels, the first one of which begins a block, or all lie in one; y_channel, bias_channel,
        leaks_channel: steps from one to the next.
    columns_left: outputs left to compute, at least 1.
    bias, leaks: addresses of float32: the sum's start, and its factor below zero.
    floor: float32; nothing smaller is stored.

Returns:
    ROW_STEP + vectors, as many as were computed; the last may be a part of one.
"""

short_columns_by_2 = _short_columns(2)
"""Native: the same with stride 2 along the width."""
