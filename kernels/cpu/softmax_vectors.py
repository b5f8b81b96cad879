"""Vector code of `softmax`: exponentials, and the largest and the sum of a vector's lanes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, reduce
from typing import Any

from llvmlite import ir
from numba import types

from ..contract import PANEL
from .activation_vectors import emit_exp
from .vectors import (
    FLOAT_IR,
    VECTOR_IR,
    WORD_IR,
    Vector,
    emit_at_least,
    emit_mask,
    emit_masked_load,
    emit_masked_store,
    emit_splat,
    operation,
)

_VECTOR, _POINTER = Vector(), types.CPointer(types.float32)
_LOWEST = ir.Constant(VECTOR_IR, [ir.Constant(FLOAT_IR, float("-inf"))] * PANEL)


def _across(join: Callable[[ir.IRBuilder, Any, Any], Any]) -> Callable[[ir.IRBuilder, Any], Any]:
    def emit(builder: ir.IRBuilder, vector: Any) -> Any:
        width = PANEL
        while width > 1:
            width //= 2
            low, high = (
                builder.shuffle_vector(vector, vector, ir.Constant(ir.VectorType(ir.IntType(32), width), lanes))
                for lanes in (list(range(width)), list(range(width, 2 * width)))
            )
            vector = join(builder, low, high)
        return builder.extract_element(vector, ir.Constant(ir.IntType(32), 0))

    return emit


def _total(builder: ir.IRBuilder, a: Any, b: Any) -> Any:
    return builder.fadd(a, b)


total_of = operation("total_of", types.float32, (_VECTOR,), _across(_total))
"""total_of(vector): the sum of all lanes, half and half."""


def _rows(rows: int, vectors: int) -> Any:
    """The softmaxes of so many rows of so many vectors, step by step side by side."""

    def emit(builder: ir.IRBuilder, x: Any, x_row: Any, y: Any, y_row: Any, count: Any) -> None:
        def at(pointer: Any, step: Any, row: int, vector: int) -> Any:
            places = builder.add(builder.mul(step, ir.Constant(WORD_IR, row)), ir.Constant(WORD_IR, vector * PANEL))
            return builder.gep(pointer, [places])

        masks = [emit_mask(builder, builder.sub(count, ir.Constant(WORD_IR, v * PANEL))) for v in range(vectors)]
        values = [
            [emit_masked_load(builder, at(x, x_row, r, v), masks[v], _LOWEST) for v in range(vectors)]
            for r in range(rows)
        ]
        highest = [_across(emit_at_least)(builder, reduce(partial(emit_at_least, builder), row)) for row in values]
        values = [
            [emit_exp(builder, builder.fsub(value, most)) for value in row]
            for row, most in zip(values, [emit_splat(builder, one) for one in highest], strict=True)
        ]
        totals = [_across(_total)(builder, reduce(partial(_total, builder), row)) for row in values]
        factors = [emit_splat(builder, builder.fdiv(ir.Constant(FLOAT_IR, 1.0), total)) for total in totals]
        for r in range(rows):
            for v in range(vectors):
                scaled = builder.fmul(values[r][v], factors[r])
                emit_masked_store(builder, at(y, y_row, r, v), scaled, masks[v])

    arguments = (_POINTER, types.int64, _POINTER, types.int64, types.int64)
    return operation(f"softmax_{rows}x{vectors}", types.void, arguments, emit)


TOGETHER = 4
"""Rows that `rows_of_...` work on."""

SHORT = 4 * PANEL
"""Elements of the longest rows that stay in registers."""

row_of_one, row_of_two, row_of_four = (_rows(1, vectors) for vectors in (1, 2, 4))
"""row_of_...(x, x_row, y, y_row, count): the softmax of the first `count` elements of a row of so many vectors."""

rows_of_one, rows_of_two, rows_of_four = (_rows(TOGETHER, vectors) for vectors in (1, 2, 4))
"""rows_of_...(x, x_row, y, y_row, count): the same of TOGETHER rows, the next one `x_row` and `y_row` elements on."""
