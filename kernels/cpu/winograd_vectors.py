"""The three inner loops of `conv_winograd` as LLVM code; vectors are 16 tiles, side by side in the image.

Input: each column under the tiles is transformed along the height as it lies, which serves both tiles that share it;
then each of the 6 lines is sorted into the 6 columns of 16 tiles and transformed along the width.
Products: tiles of 8 output channels x 48 image tiles stay in registers.
Output: the way back, with bias, the activations that a tile applies as it is stored, and columns in order again.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from ..contract import PANEL
from ..winograd import INNER_POINT, OUTER_POINT, REACH, ROW_BLOCK, TILE
from .tile_code import ADDRESS_IR, Operands, add_product, function_of, pointers, word
from .vectors import (
    IOTA_IR,
    PREFETCH_BYTES,
    REGISTER_FLOATS,
    VECTOR_IR,
    WORD_IR,
    ZERO_IR,
    emit_at_least,
    emit_inside,
    emit_lanes,
    emit_leaky,
    emit_load,
    emit_masked_load,
    emit_multiply_add,
    emit_prefetch,
    emit_splat,
    emit_store,
    operation,
)

_LANES = ir.VectorType(ir.IntType(32), PANEL)
_P, _Q = INNER_POINT, OUTER_POINT

PRODUCT_SHAPES = {512: ((8, 3), (8, 2), (8, 1)), 128: ((4, 1),), 64: ((2, 1),)}[REGISTER_FLOATS]
"""(output channels, vectors of image tiles) of the matrix tiles; as in `tiles`."""


def _number(value: float) -> ir.Constant:
    return ir.Constant(VECTOR_IR, [value] * PANEL)


def _pointer(builder: ir.IRBuilder, address: Any) -> Any:
    return builder.inttoptr(address, ADDRESS_IR)


def _shuffle(builder: ir.IRBuilder, low: Any, high: Any, order: list[int]) -> Any:
    return builder.shuffle_vector(low, high, ir.Constant(_LANES, order))


def _times(builder: ir.IRBuilder, factor: float, a: Any, b: Any) -> Any:
    """Factor a + b."""
    return emit_multiply_add(builder, _number(factor), a, b)


def _transform_input(builder: ir.IRBuilder, d: list[Any]) -> list[Any]:
    """B^T d: six vectors to six, 12 multiply-adds."""
    inner, outer = _P * _P, _Q * _Q
    ends = [_times(builder, inner * outer, d[i], _times(builder, -inner - outer, d[i + 2], d[i + 4])) for i in (0, 1)]
    pairs = []
    for point, other in ((_P, outer), (_Q, inner)):
        even = _times(builder, -other, d[2], d[4])
        odd = _times(builder, -other, d[1], d[3])
        pairs += [_times(builder, point, odd, even), _times(builder, -point, odd, even)]
    return [ends[0], *pairs, ends[1]]


def _transform_output(builder: ir.IRBuilder, m: list[Any]) -> list[Any]:
    """A^T m: six vectors to four, 12 operations."""
    sums = [builder.fadd(m[i], m[i + 1]) for i in (1, 3)]
    differences = [builder.fsub(m[i], m[i + 1]) for i in (1, 3)]
    first = builder.fadd(builder.fadd(m[0], sums[0]), sums[1])
    second = _times(builder, _P, differences[0], builder.fmul(_number(_Q), differences[1]))
    third = _times(builder, _P**2, sums[0], builder.fmul(_number(_Q**2), sums[1]))
    last = _times(builder, _P**3, differences[0], _times(builder, _Q**3, differences[1], m[5]))
    return [first, second, third, last]


def _store_lines(builder: ir.IRBuilder, target: Any, step: Any, vectors: list[Any]) -> None:
    for i, vector in enumerate(vectors):
        emit_store(builder, builder.gep(target, [builder.mul(step, word(i))]), vector)


def _column_lines(builder: ir.IRBuilder, x: Any, x_row: Any, target: Any, line: Any) -> None:
    source = _pointer(builder, x)
    d = [emit_load(builder, builder.gep(source, [builder.mul(x_row, word(i))])) for i in range(REACH)]
    _store_lines(builder, _pointer(builder, target), line, _transform_input(builder, d))


def _window_lines(
    builder: ir.IRBuilder, x: Any, x_row: Any, row: Any, height: Any, column: Any, width: Any, target: Any, line: Any
) -> None:
    columns = builder.add(emit_lanes(builder, column), IOTA_IR)
    d = []
    for i in range(REACH):
        here = builder.add(row, word(i))
        # No column of a row above or below the image is inside.
        limit = builder.select(builder.icmp_unsigned("<", here, height), width, word(0))
        mask = emit_inside(builder, columns, limit)
        where = builder.gep(_pointer(builder, x), [builder.add(builder.mul(here, x_row), column)])
        d.append(emit_masked_load(builder, where, mask))
    _store_lines(builder, _pointer(builder, target), line, _transform_input(builder, d))


def _tile_columns(builder: ir.IRBuilder, source: Any) -> list[Any]:
    """From 16 tiles' columns in a row: the six columns of each tile, a vector each."""
    v = [emit_load(builder, builder.gep(source, [word(PANEL * i)])) for i in range(TILE + 1)]
    evens, odds = [list(range(first, 2 * PANEL, 2)) for first in (0, 1)]
    half = [[_shuffle(builder, v[i], v[i + 1], order) for i in (0, 2)] for order in (evens, odds)]
    zero, two = (_shuffle(builder, *half[0], order) for order in (evens, odds))
    one, three = (_shuffle(builder, *half[1], order) for order in (evens, odds))
    # The fifth and sixth are the next tile's first and second.
    following = list(range(1, PANEL))
    four = _shuffle(builder, zero, v[TILE], [*following, PANEL])
    five = _shuffle(builder, one, v[TILE], [*following, PANEL + 1])
    return [zero, one, two, three, four, five]


def _line_planes(builder: ir.IRBuilder, source: Any, line: Any, target: Any, plane: Any) -> None:
    lines, planes = _pointer(builder, source), _pointer(builder, target)
    with cgutils.for_range(builder, word(REACH)) as loop:
        columns = _tile_columns(builder, builder.gep(lines, [builder.mul(loop.index, line)]))
        first = builder.gep(planes, [builder.mul(builder.mul(loop.index, word(REACH)), plane)])
        _store_lines(builder, first, plane, _transform_input(builder, columns))


_PRODUCT = {
    "weights": ADDRESS_IR,
    "inputs": ADDRESS_IR,
    "input_row": WORD_IR,
    "inner": WORD_IR,
    "products": ADDRESS_IR,
    "product_row": WORD_IR,
}


def _product_tile(builder: ir.IRBuilder, o: Operands, rows: int, vectors: int) -> None:
    """products[r, v] = sum over c of weights[c, r] inputs[c, v]; whole vectors."""
    sums = [cgutils.alloca_once_value(builder, ZERO_IR) for _ in range(rows * vectors)]
    with cgutils.for_range(builder, o["inner"]) as step:
        w = builder.gep(o["weights"], [builder.mul(step.index, word(ROW_BLOCK))])
        x = builder.gep(o["inputs"], [builder.mul(step.index, o["input_row"])])
        columns = [emit_load(builder, builder.gep(x, [word(v * PANEL)])) for v in range(vectors)]
        emit_prefetch(builder, builder.gep(w, [word(PREFETCH_BYTES // 4)]))
        for r in range(rows):
            number = emit_splat(builder, builder.load(builder.gep(w, [word(r)])))
            for v in range(vectors):
                add_product(builder, sums[r * vectors + v], number, columns[v])
    for r in range(rows):
        row = builder.gep(o["products"], [builder.mul(o["product_row"], word(r))])
        for v in range(vectors):
            emit_store(builder, builder.gep(row, [word(v * PANEL)]), builder.load(sums[r * vectors + v]))


def _product(rows: int, vectors: int) -> Any:
    name = f"winograd_product_{rows}x{vectors}"

    def emit(builder: ir.IRBuilder, *values: Any) -> Any:
        tile = partial(_product_tile, rows=rows, vectors=vectors)
        builder.call(function_of(builder.module, name, _PRODUCT, tile), pointers(builder, _PRODUCT, values))

    return operation(name, types.void, (types.int64,) * len(_PRODUCT), emit)


def _in_order(builder: ir.IRBuilder, columns: list[Any]) -> list[Any]:
    """The four columns of 16 tiles, as they lie in the image: four vectors."""
    low = [i // 2 + PANEL * (i % 2) for i in range(PANEL)]
    high = [PANEL // 2 + i for i in low]
    even = [_shuffle(builder, columns[0], columns[2], order) for order in (low, high)]
    odd = [_shuffle(builder, columns[1], columns[3], order) for order in (low, high)]
    return [_shuffle(builder, even[half], odd[half], order) for half in (0, 1) for order in (low, high)]


def _output_rows(
    builder: ir.IRBuilder, source: Any, plane: Any, start: Any, floor: Any, y: Any, y_row: Any, leak: Any = None
) -> None:
    planes, target = _pointer(builder, source), _pointer(builder, y)
    columns = []
    for j in range(REACH):
        where = [builder.mul(plane, word(REACH * i + j)) for i in range(REACH)]
        columns.append(_transform_output(builder, [emit_load(builder, builder.gep(planes, [at])) for at in where]))
    start, floor = (emit_splat(builder, number) for number in (start, floor))
    leak = leak and emit_splat(builder, leak)
    for i in range(TILE):
        sums = _transform_output(builder, [columns[j][i] for j in range(REACH)])
        done = [builder.fadd(s, start) for s in sums]
        done = [emit_at_least(builder, floor, emit_leaky(builder, d, leak) if leak else d) for d in done]
        row = builder.gep(target, [builder.mul(y_row, word(i))])
        for v, vector in enumerate(_in_order(builder, done)):
            emit_store(builder, builder.gep(row, [word(v * PANEL)]), vector)


_INT, _FLOAT = types.int64, types.float32

column_lines = operation("column_lines", types.void, (_INT,) * 4, _column_lines)
"""column_lines(x, x_row, target, line): 16 columns of 6 rows, transformed along the height, to 6 lines."""

window_lines = operation("window_lines", types.void, (_INT,) * 8, _window_lines)
"""window_lines(x, x_row, row, height, column, width, target, line): as column_lines of the 6 rows from `row` and the
16 columns from `column` of an image at x; zeros outside it."""

line_planes = operation("line_planes", types.void, (_INT,) * 4, _line_planes)
"""line_planes(source, line, target, plane): 16 tiles of 6 lines (66 columns; 80 are read), transformed along the width,
to a vector in each of the 36 planes."""

products = {shape: _product(*shape) for shape in PRODUCT_SHAPES}
"""product(weights, inputs, input_row, inner, products, product_row) of each shape."""

output_rows = operation("output_rows", types.void, (_INT, _INT, _FLOAT, _FLOAT, _INT, _INT), _output_rows)
"""output_rows(source, plane, start, floor, y, y_row): 16 tiles of one channel from 36 planes to 4 rows of 64 outputs:
plus `start`, at least `floor`."""

leaky_rows = operation("leaky_rows", types.void, (_INT, _INT, _FLOAT, _FLOAT, _INT, _INT, _FLOAT), _output_rows)
"""leaky_rows(source, plane, start, floor, y, y_row, leak): as output_rows, times `leak` below zero."""
