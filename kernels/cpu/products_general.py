"""Native products of integers and doubles, and determinants.

a     [batch, batch, rows, inner]  any strides, any carrier
b     [batch, batch, inner, columns]  any strides (fastest with contiguous rows), any carrier
y     [batch, batch, rows, columns]  any strides, any carrier

Sums stay on the stack, BLOCK columns at a time.

Bound by arithmetic in vectors of float64 or int64 where b's rows are contiguous float32, else by loads of single
elements. Integers of up to 16 bits travel as float32 and are summed in float64: 2^21 products of 2^32 stay below 2^53,
so the result is exact.
"""

from __future__ import annotations

import numpy as np

from ..contract import Context, ElementType
from ..schemas.products_general import DETERMINANT, MATMUL_GENERAL
from .general_loops import item_bytes, load_float, load_integer, store_float, store_integer
from .loops import stack_doubles
from .memory import double_pointer, element_type, float_pointer, locate, stack_words
from .native import device, native

_LANES = int(Context.LANES)
_FLOAT32, _INT64 = int(ElementType.FLOAT32), int(ElementType.INT64)
_MATMUL = MATMUL_GENERAL.positions()
_A, _B, _Y = _MATMUL["a"], _MATMUL["b"], _MATMUL["y"]
_DETERMINANT = DETERMINANT.positions()
_DET_X, _DET_Y, _DET_SCRATCH = _DETERMINANT["x"], _DETERMINANT["y"], _DETERMINANT["scratch"]

_BLOCK = 64
"""Columns whose sums are on the stack together."""


@device
def _float_sums(operands, a, b, y, count):
    """`count` neighbouring columns of one row, summed in float64."""
    o = operands
    a_type, b_type, y_type = element_type(o, _A), element_type(o, _B), element_type(o, _Y)
    a_step, b_step, y_step = o[_A + 8] * item_bytes(o, _A), o[_B + 8] * item_bytes(o, _B), o[_Y + 8] * item_bytes(o, _Y)
    b_row = o[_B + 7] * item_bytes(o, _B)
    sums = stack_doubles(_BLOCK)
    for j in range(count):
        sums[j] = 0.0
    for k in range(o[_A + 4]):
        left, row = load_float(a + k * a_step, a_type), b + k * b_row
        if b_type == _FLOAT32 and b_step == 4:
            right = float_pointer(row)
            for j in range(count):
                sums[j] += left * np.float64(right[j])
        else:
            for j in range(count):
                sums[j] += left * load_float(row + j * b_step, b_type)
    for j in range(count):
        store_float(y + j * y_step, y_type, sums[j])


@device
def _integer_sums(operands, a, b, y, count):
    """`count` neighbouring columns of one row, summed in int64."""
    o = operands
    a_type, b_type, y_type = element_type(o, _A), element_type(o, _B), element_type(o, _Y)
    a_step, b_step, y_step = o[_A + 8] * item_bytes(o, _A), o[_B + 8] * item_bytes(o, _B), o[_Y + 8] * item_bytes(o, _Y)
    b_row = o[_B + 7] * item_bytes(o, _B)
    sums = stack_words(_BLOCK)
    for j in range(count):
        sums[j] = 0
    for k in range(o[_A + 4]):
        left, row = load_integer(a + k * a_step, a_type), b + k * b_row
        for j in range(count):
            sums[j] += left * load_integer(row + j * b_step, b_type)
    for j in range(count):
        store_integer(y + j * y_step, y_type, sums[j])


@device
def _matrix(operands, whole, a, b, y):
    """One matrix; `whole`: there are integers of more than 16 bits in it."""
    o = operands
    a_item, b_item, y_item = item_bytes(o, _A), item_bytes(o, _B), item_bytes(o, _Y)
    columns = o[_Y + 4]
    for i in range(o[_Y + 3]):
        for start in range(0, columns, _BLOCK):
            count = min(_BLOCK, columns - start)
            left, right = a + i * o[_A + 7] * a_item, b + start * o[_B + 8] * b_item
            target = y + (i * o[_Y + 7] + start * o[_Y + 8]) * y_item
            if whole:
                _integer_sums(o, left, right, target, count)
            else:
                _float_sums(o, left, right, target, count)


@native
def matmul_general(operands, context):
    """y[i, j] = a[i, j] @ b[i, j] of any carriers and strides; zero strides repeat a matrix."""
    o = operands
    a_item, b_item, y_item = item_bytes(o, _A), item_bytes(o, _B), item_bytes(o, _Y)
    whole = element_type(o, _Y) == _INT64 and (element_type(o, _A) == _INT64 or element_type(o, _B) == _INT64)
    for lane in range(context[_LANES]):
        a, b, y = locate(o, _A, context, lane), locate(o, _B, context, lane), locate(o, _Y, context, lane)
        for i in range(o[_Y + 1]):
            for j in range(o[_Y + 2]):
                left = a + (i * o[_A + 5] + j * o[_A + 6]) * a_item
                right = b + (i * o[_B + 5] + j * o[_B + 6]) * b_item
                _matrix(o, whole, left, right, y + (i * o[_Y + 5] + j * o[_Y + 6]) * y_item)


@device
def _eliminate(matrix, n):
    """The determinant of a dense n x n matrix by Gaussian elimination with partial pivoting; the matrix is spent."""
    result = 1.0
    for step in range(n):
        pivot = step
        for row in range(step + 1, n):
            if abs(matrix[row * n + step]) > abs(matrix[pivot * n + step]):
                pivot = row
        if pivot != step:
            result = -result
            for column in range(step, n):
                swapped = matrix[step * n + column]
                matrix[step * n + column] = matrix[pivot * n + column]
                matrix[pivot * n + column] = swapped
        result *= matrix[step * n + step]
        if matrix[step * n + step] == 0.0:
            return result
        for row in range(step + 1, n):
            factor = matrix[row * n + step] / matrix[step * n + step]
            for column in range(step + 1, n):
                matrix[row * n + column] -= factor * matrix[step * n + column]
    return result


@native
def determinant(operands, context):
    """y[b] = det x[b]: LU decomposition in float64 (G. Golub, C. Van Loan, Matrix Computations, section 3.4).

    x [batch, n, n] and y [batch], float32 or float64, any strides.

    Bound by arithmetic, n^3 / 3 multiply-adds.
    """
    o = operands
    x_type, y_type, n = element_type(o, _DET_X), element_type(o, _DET_Y), o[_DET_X + 2]
    x_item, y_item = item_bytes(o, _DET_X), item_bytes(o, _DET_Y)
    for lane in range(context[_LANES]):
        x, y = locate(o, _DET_X, context, lane), locate(o, _DET_Y, context, lane)
        matrix = double_pointer(locate(o, _DET_SCRATCH, context, lane))
        for b in range(o[_DET_X + 1]):
            for i in range(n):
                for j in range(n):
                    step = b * o[_DET_X + 4] + i * o[_DET_X + 5] + j * o[_DET_X + 6]
                    matrix[i * n + j] = load_float(x + step * x_item, x_type)
            store_float(y + b * o[_DET_Y + 2] * y_item, y_type, _eliminate(matrix, n))
