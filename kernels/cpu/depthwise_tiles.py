"""Tiles of neighbouring columns under one window, kept in registers: `conv_depthwise`'s inner loops, as LLVM code.

A tile is one to four vectors of one output row, of one channel after the other. Each column of the window finds its
mask of columns inside x once, for all rows of the window; each of its rows is then one broadcast weight and, for each
vector, a masked load (with stride 2 two loads, and a shuffle) and a multiply-add. Every output adds its products column
by column, starting from the bias, whatever the tile's width.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from llvmlite import ir
from numba.core import cgutils

from .tile_code import ADDRESS_IR, Operands, Window, add_product, first_tile, store_row, sums_of
from .vectors import FLOAT_IR, REGISTER_FLOATS, WORD_IR, emit_splat

TILE_VECTORS = 4 if REGISTER_FLOATS == 512 else 1
"""Vectors of the widest tile; with narrow registers a mask takes as many of them as a sum."""

_PARAMETERS = {
    "channels": WORD_IR,
    "x": ADDRESS_IR,
    "x_channel": WORD_IR,
    "x_row": WORD_IR,
    "rows": WORD_IR,
    "columns": WORD_IR,
    "column_step": WORD_IR,
    "start": WORD_IR,
    "width": WORD_IR,
    "weights": ADDRESS_IR,
    "weights_channel": WORD_IR,
    "weights_row": WORD_IR,
    "y": ADDRESS_IR,
    "y_channel": WORD_IR,
    "columns_left": WORD_IR,
    "bias": ADDRESS_IR,
    "bias_channel": WORD_IR,
    "leak": ADDRESS_IR,
    "leak_channel": WORD_IR,
    "floor": FLOAT_IR,
}


def _tile(builder: ir.IRBuilder, o: Operands, rows: int, vectors: int, stride: int) -> None:
    """The function of one tile, of one row of outputs: compute it and store it, channel by channel."""
    sums = sums_of(builder, vectors)
    with cgutils.for_range(builder, o["channels"]) as channel:
        at = {
            tensor: builder.gep(o[tensor], [builder.mul(channel.index, o[f"{tensor}_channel"])])
            for tensor in ("x", "weights", "y", "bias", "leak")
        }
        _channel(builder, o, at, sums, stride)


def _channel(builder: ir.IRBuilder, o: Operands, at: Operands, sums: list[Any], stride: int) -> None:
    """The tile of one channel; `at` points to what belongs to it."""
    for total in sums:
        builder.store(emit_splat(builder, builder.load(at["bias"])), total)
    with cgutils.for_range(builder, o["columns"]) as tap:
        column = builder.add(o["start"], builder.mul(tap.index, o["column_step"]))
        window = Window(builder, column, o["width"], stride, len(sums))
        with cgutils.for_range(builder, o["rows"]) as row:
            weight = builder.load(
                builder.gep(at["weights"], [builder.add(builder.mul(row.index, o["weights_row"]), tap.index)])
            )
            loaded = window.load(builder.gep(at["x"], [builder.mul(row.index, o["x_row"])]))
            for total, values in zip(sums, loaded, strict=True):
                add_product(builder, total, emit_splat(builder, weight), values)
    store_row(builder, at["y"], sums, builder.load(at["leak"]), o["floor"], o["columns_left"])


_SHAPES = [(1, vectors) for vectors in range(TILE_VECTORS, 0, -1)]

depthwise_tile = first_tile("depthwise_tile", _PARAMETERS, _SHAPES, partial(_tile, stride=1))
"""Native: compute and store the next columns of one output row of some channels, contiguous in x and y, stride 1.

Args (addresses in bytes, steps in float32 elements):
    channels: how many channels; x_channel, weights_channel, y_channel, bias_channel, leak_channel: steps from one to
        the next.
    x: address of column 0 of the first row of the window that lies inside x; x_row: step to the next.
    rows, columns: of the window, as far as rows lie inside; column_step: its dilation along the width.
    start: column of x under the window's first column, for the first output; may be negative.
    width: columns of x; what lies outside counts as 0.
    weights: address of the first of those rows' weights; weights_row: step from row to row.
    y: address of the first output. columns_left: outputs left to compute.
    bias, leak: addresses of float32; the sum's start, and its factor below zero.
    floor: float32; nothing stored is below.

Returns:
    ROW_STEP + vectors, as many as were computed; the last may be a part of one.
"""

depthwise_tile_by_2 = first_tile("depthwise_tile_by_2", _PARAMETERS, _SHAPES, partial(_tile, stride=2))
"""Native: the same with stride 2 along the width."""
