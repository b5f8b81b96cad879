"""Tiles of products that stay in registers: the inner loops of the products and the dense convolutions, as LLVM code.

A tile is rows x vectors of outputs. For every step of the inner axis each row takes one number from `a`, broadcast,
and each vector 16 numbers from `b`; all pairs are multiplied and added. The inner axis is `taps` runs of `inner`
steps. One operand goes straight on through all of them (packed weights); the other starts each run at an offset of
its own (x, where the taps of a window lie), so that windows, padding and dilation are a matter of a table. Where taps
in the middle are left out, both start each run at offsets.

Whatever the tile's shape, each output adds its products in the order of the steps, starting from the bias, so that
its bits do not depend on its neighbours. Emitted as LLVM code because Numba takes several times as long to compile
the same loops.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

from llvmlite import ir
from numba.core import cgutils

from ..contract import PANEL
from .half import emit_load_half
from .tile_code import ADDRESS_IR, Operands, add_product, first_tile, sums_of, word
from .vectors import (
    FLOAT_IR,
    REGISTER_FLOATS,
    WORD_IR,
    emit_at_least,
    emit_leaky,
    emit_load,
    emit_mask,
    emit_masked_load,
    emit_masked_store,
    emit_splat,
    emit_store,
)

_WORDS = WORD_IR.as_pointer()
_HALVES = ir.IntType(16).as_pointer()


@dataclass(frozen=True)
class TileFamily:
    """Tiles of several shapes for one kind of problem."""

    name: str
    shapes: tuple[tuple[int, int], ...]
    """(rows, vectors), in the order in which they are tried; (1, 1) is the last."""
    offsets: Literal["a", "b", "both"]
    """The operand whose runs start at offsets; of "both" the table holds a pair for each run, a's first."""
    bias: Literal["rows", "columns"]
    """What the start values and the leaks belong to."""
    neighbours: bool = False
    """The rows of `a` are neighbours in memory: their step is 1."""
    padded: bool = False
    """`b` has whole vectors where y ends in a part of one."""
    half: bool = False
    """`b` is float16, widened as it is loaded; it is padded then."""

    @property
    def rows(self) -> int:
        """Rows of the highest tile."""
        return max(rows for rows, _ in self.shapes)

    @property
    def heights(self) -> tuple[int, ...]:
        """Rows of all tiles, the highest first."""
        return tuple(sorted({rows for rows, _ in self.shapes}, reverse=True))

    @property
    def columns(self) -> int:
        """Columns of the widest tile."""
        return max(vectors for _, vectors in self.shapes) * PANEL


_PARAMETERS = {
    "a": ADDRESS_IR,
    "a_row": WORD_IR,
    "a_step": WORD_IR,
    "b": ADDRESS_IR,
    "b_vector": WORD_IR,
    "b_step": WORD_IR,
    "offsets": _WORDS,
    "taps": WORD_IR,
    "inner": WORD_IR,
    "start": ADDRESS_IR,
    "y": ADDRESS_IR,
    "y_row": WORD_IR,
    "rows_left": WORD_IR,
    "columns_left": WORD_IR,
    "leaks": ADDRESS_IR,
    "floor": FLOAT_IR,
}


def _tile(builder: ir.IRBuilder, o: Operands, rows: int, vectors: int, family: TileFamily) -> None:
    """The function of one tile: compute it and store it."""
    a_row = word(1) if family.neighbours else o["a_row"]
    row_offsets = [builder.mul(a_row, word(r)) for r in range(rows)]
    mask = emit_mask(builder, builder.sub(o["columns_left"], word((vectors - 1) * PANEL)))
    sums = sums_of(builder, rows * vectors)
    for total, first in zip(sums, _spread(builder, family, o["start"], rows, vectors, mask), strict=True):
        builder.store(first, total)
    with cgutils.for_range(builder, o["taps"]) as tap:
        a, b = _run_starts(builder, o, family, tap.index)
        with cgutils.for_range(builder, o["inner"]) as step:
            a_now = builder.gep(a, [builder.mul(step.index, o["a_step"])])
            b_now = builder.gep(b, [builder.mul(step.index, o["b_step"])])
            columns = []
            for v in range(vectors):
                where = builder.gep(b_now, [builder.mul(o["b_vector"], word(v))])
                columns.append(_load_columns(builder, family, where, None if v < vectors - 1 else mask))
            for r in range(rows):
                number = emit_splat(builder, builder.load(builder.gep(a_now, [row_offsets[r]])))
                for v in range(vectors):
                    add_product(builder, sums[r * vectors + v], number, columns[v])
    limit = emit_splat(builder, o["floor"])
    leaks = _spread(builder, family, o["leaks"], rows, vectors, mask)
    for r in range(rows):
        for v in range(vectors):
            index = r * vectors + v
            value = emit_at_least(builder, limit, emit_leaky(builder, builder.load(sums[index]), leaks[index]))
            target = builder.gep(o["y"], [builder.add(builder.mul(o["y_row"], word(r)), word(v * PANEL))])
            if v < vectors - 1:
                emit_store(builder, target, value)
            else:
                emit_masked_store(builder, target, value, mask)


def _run_starts(builder: ir.IRBuilder, o: Operands, family: TileFamily, tap: Any) -> tuple[Any, Any]:
    """Pointers to the first numbers of `a` and of `b` in a run."""
    done = builder.mul(tap, o["inner"])
    if family.offsets == "both":
        pair = builder.gep(o["offsets"], [builder.mul(tap, word(2))])
        a_start, b_start = builder.load(pair), builder.load(builder.gep(pair, [word(1)]))
    else:
        offset = builder.load(builder.gep(o["offsets"], [tap]))
        a_start = offset if family.offsets == "a" else builder.mul(done, o["a_step"])
        b_start = offset if family.offsets == "b" else builder.mul(done, o["b_step"])
    b = builder.bitcast(o["b"], _HALVES) if family.half else o["b"]
    return builder.gep(o["a"], [a_start]), builder.gep(b, [b_start])


def _load_columns(builder: ir.IRBuilder, family: TileFamily, where: Any, mask: Any) -> Any:
    """A vector of `b`, which the mask limits if it is not None and `b` not padded."""
    if not family.padded:
        return emit_load(builder, where) if mask is None else emit_masked_load(builder, where, mask)
    return emit_load_half(builder, where) if family.half else emit_load(builder, where)


def _spread(builder: ir.IRBuilder, family: TileFamily, numbers: Any, rows: int, vectors: int, mask: Any) -> list[Any]:
    """A vector for each accumulator, from one number for each row or each column."""
    if family.bias == "rows":
        each = [emit_splat(builder, builder.load(builder.gep(numbers, [word(r)]))) for r in range(rows)]
        return [number for number in each for _ in range(vectors)]
    each = []
    for v in range(vectors):
        where = builder.gep(numbers, [word(v * PANEL)])
        each.append(emit_load(builder, where) if v < vectors - 1 else emit_masked_load(builder, where, mask))
    return each * rows


def tile_operation(family: TileFamily) -> Any:
    """Native: compute and store the first tile of a family that is not larger than what is left.

    Args of the operation (addresses int64 in bytes, steps in float32 elements):
        a: address of the first row's first number; a_row: step from row to row; a_step: along the inner axis.
        b: address of the first vector; b_vector: step from vector to vector; b_step: along the inner axis.
        offsets: address of int64[taps], in elements: where each run starts in the operand that has offsets; int64[taps,
            2] where both have.
        taps, inner: runs, and steps of a run.
        start: address of the start values, one for each row or column.
        y: address of the first output; y_row: step from row to row. Columns are contiguous.
        rows_left, columns_left: both at least 1. Nothing behind them is read (but whole vectors of a padded b) or
            written.
        leaks: address of factors for sums below zero, one for each row or column.
        floor: float32; nothing smaller is stored.

    Returns:
        rows * ROW_STEP + vectors, as many as were computed; the last vector may be a part of one.
    """
    return first_tile(f"{family.name}_tile", _PARAMETERS, family.shapes, partial(_tile, family=family))


# With AVX-512 the 4 cycles of a multiply-add are hidden from 8 accumulators on, and two loads a cycle feed two
# multiply-adds from 8 x 2 or 4 x 4 on. 24 accumulators leave registers for what is loaded; AVX2 and NEON hold 8.
COLUMN_TILES = TileFamily(
    "column",
    {
        512: (
            *((8, 2), (8, 1), (6, 4), (6, 2), (6, 1), (4, 4), (4, 2), (4, 1)),
            *((2, 4), (2, 2), (2, 1), (1, 8), (1, 4), (1, 2), (1, 1)),
        ),
        128: ((4, 1), (2, 2), (2, 1), (1, 4), (1, 2), (1, 1)),
        64: ((2, 1), (1, 2), (1, 1)),
    }[REGISTER_FLOATS],
    offsets="a",
    bias="columns",
    padded=True,
)
"""`dense` and `conv_narrow`: rows are outputs, vectors are panels of packed weights."""

HALF_COLUMN_TILES = replace(COLUMN_TILES, name="half_column", half=True)
"""As COLUMN_TILES, of weights that are kept as float16."""

ROW_TILES = TileFamily(
    "row",
    {
        512: ((8, 3), (8, 2), (8, 1), (4, 3), (4, 2), (4, 1), (2, 3), (2, 2), (2, 1), (1, 3), (1, 2), (1, 1)),
        128: ((4, 1), (2, 1), (1, 1)),
        64: ((2, 1), (1, 1)),
    }[REGISTER_FLOATS],
    offsets="b",
    bias="rows",
    neighbours=True,
)
"""`conv_wide`: rows are output channels, whose packed weights are neighbours, vectors lie along the width.

Tiles of all heights are as wide as the highest can be."""

VOLUME_TILES = TileFamily(
    "volume",
    {
        512: (
            *((6, 4), (5, 4), (4, 4), (2, 4), (1, 4)),
            *((8, 3), (7, 3), (4, 3), (2, 3), (1, 3)),
            *((12, 2), (11, 2), (10, 2), (8, 2), (7, 2), (4, 2), (2, 2), (1, 2)),
            *((12, 1), (8, 1), (4, 1), (2, 1), (1, 1)),
        ),
        128: ((6, 1), (5, 1), (4, 1), (2, 1), (1, 1)),
        64: ((2, 1), (1, 1)),
    }[REGISTER_FLOATS],
    offsets="both",
    bias="rows",
    neighbours=True,
)
"""`conv_volume`: as ROW_TILES; few channels are the rule, so that there is a tile for most numbers of rows."""

MATRIX_TILES = TileFamily("matrix", ROW_TILES.shapes, offsets="b", bias="rows")
"""`matmul`: as ROW_TILES, with rows that are any step apart."""
