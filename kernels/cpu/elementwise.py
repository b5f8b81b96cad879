"""Native unary, binary and where of float32, one operator a call: vectors along rows, broadcast through zero strides.

`chain` runs several of these operators in one call; `general_arithmetic` has those of all other element types.

Bound by memory where the function is cheap, by arithmetic where it is transcendental. All but sine and cosine run as
vectors. Each operator is a loop of its own over contiguous rows; strided rows pass through a block on the stack.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from ..opcodes import Binary, Unary
from ..schemas.elementwise import BINARY, UNARY, WHERE
from . import operators
from .loops import BLOCK, over_rows, pack, read, shift, stack_floats, unpack, write
from .maths import choose
from .memory import bits_to_float
from .native import fast_device, native
from .powers import power_f32

_UNARY = UNARY.positions()
_UNARY_OPERATOR, _UNARY_ALPHA, _UNARY_BETA = _UNARY["operator"], _UNARY["alpha"], _UNARY["beta"]
_UNARY_X, _UNARY_Y = _UNARY["x"], _UNARY["y"]
_BINARY = BINARY.positions()
_BINARY_OPERATOR, _BINARY_A, _BINARY_B, _BINARY_Y = _BINARY["operator"], _BINARY["a"], _BINARY["b"], _BINARY["y"]
_WHERE = WHERE.positions()
_WHERE_CONDITION, _WHERE_A, _WHERE_B, _WHERE_Y = _WHERE["condition"], _WHERE["a"], _WHERE["b"], _WHERE["y"]

_RELU = int(Unary.RELU)
_LEAKY_RELU = int(Unary.LEAKY_RELU)
_SIGMOID = int(Unary.SIGMOID)
_TANH = int(Unary.TANH)
_ELU = int(Unary.ELU)
_HARD_SIGMOID = int(Unary.HARD_SIGMOID)
_HARD_SWISH = int(Unary.HARD_SWISH)
_SWISH = int(Unary.SWISH)
_CLIP = int(Unary.CLIP)
_SOFTPLUS = int(Unary.SOFTPLUS)
_SOFTSIGN = int(Unary.SOFTSIGN)
_SELU = int(Unary.SELU)
_GELU = int(Unary.GELU)
_MISH = int(Unary.MISH)
_NEG = int(Unary.NEG)
_ABS = int(Unary.ABS)
_SQRT = int(Unary.SQRT)
_RECIPROCAL = int(Unary.RECIPROCAL)
_EXP = int(Unary.EXP)
_LOG = int(Unary.LOG)
_SIN = int(Unary.SIN)
_COS = int(Unary.COS)
_FLOOR = int(Unary.FLOOR)
_CEIL = int(Unary.CEIL)
_ROUND = int(Unary.ROUND)
_ERF = int(Unary.ERF)
_SIGN = int(Unary.SIGN)
_SQUARE = int(Unary.SQUARE)

_ADD = int(Binary.ADD)
_SUB = int(Binary.SUB)
_MUL = int(Binary.MUL)
_DIV = int(Binary.DIV)
_MAX = int(Binary.MAX)
_MIN = int(Binary.MIN)
_PRELU = int(Binary.PRELU)
_GREATER = int(Binary.GREATER)
_GREATER_OR_EQUAL = int(Binary.GREATER_OR_EQUAL)
_EQUAL = int(Binary.EQUAL)
_AND = int(Binary.AND)
_OR = int(Binary.OR)
_XOR = int(Binary.XOR)
_POW = int(Binary.POW)
_LESS = int(Binary.LESS)
_LESS_OR_EQUAL = int(Binary.LESS_OR_EQUAL)


@njit(inline="always")
def _map(function, alpha, beta, x, y, count):
    for i in range(count):
        write(y, i, function(read(x, i), alpha, beta))


@fast_device
def _activation_row(operator, alpha, beta, x, y, count):
    """y[i] = f(x[i]) for the functions that networks put behind their layers."""
    if operator == _RELU:
        _map(operators.relu, alpha, beta, x, y, count)
    elif operator == _LEAKY_RELU:
        _map(operators.leaky_relu, alpha, beta, x, y, count)
    elif operator == _SIGMOID:
        _map(operators.sigmoid, alpha, beta, x, y, count)
    elif operator == _TANH:
        _map(operators.tanh, alpha, beta, x, y, count)
    elif operator == _ELU:
        _map(operators.elu, alpha, beta, x, y, count)
    elif operator == _HARD_SIGMOID:
        _map(operators.hard_sigmoid, alpha, beta, x, y, count)
    elif operator == _HARD_SWISH:
        _map(operators.hard_swish, alpha, beta, x, y, count)
    elif operator == _SWISH:
        _map(operators.swish, alpha, beta, x, y, count)
    elif operator == _CLIP:
        _map(operators.clip, alpha, beta, x, y, count)
    elif operator == _SOFTPLUS:
        _map(operators.softplus, alpha, beta, x, y, count)
    elif operator == _SOFTSIGN:
        _map(operators.softsign, alpha, beta, x, y, count)
    elif operator == _SELU:
        _map(operators.selu, alpha, beta, x, y, count)
    elif operator == _GELU and alpha == 0:
        _map(operators.gelu, alpha, beta, x, y, count)
    elif operator == _GELU:
        _map(operators.gelu_tanh, alpha, beta, x, y, count)
    elif operator == _MISH:
        _map(operators.mish, alpha, beta, x, y, count)


@fast_device
def _mathematical_row(operator, alpha, beta, x, y, count):
    """y[i] = f(x[i]) for the functions of mathematics."""
    if operator == _NEG:
        _map(operators.negative, alpha, beta, x, y, count)
    elif operator == _ABS:
        _map(operators.absolute, alpha, beta, x, y, count)
    elif operator == _SQRT:
        _map(operators.square_root, alpha, beta, x, y, count)
    elif operator == _RECIPROCAL:
        _map(operators.reciprocal, alpha, beta, x, y, count)
    elif operator == _EXP:
        _map(operators.exponential, alpha, beta, x, y, count)
    elif operator == _LOG:
        _map(operators.logarithm, alpha, beta, x, y, count)
    elif operator == _SIN:
        _map(operators.sine, alpha, beta, x, y, count)
    elif operator == _COS:
        _map(operators.cosine, alpha, beta, x, y, count)
    elif operator == _FLOOR:
        _map(operators.floor, alpha, beta, x, y, count)
    elif operator == _CEIL:
        _map(operators.ceiling, alpha, beta, x, y, count)
    elif operator == _ROUND:
        _map(operators.round_even, alpha, beta, x, y, count)
    elif operator == _ERF:
        _map(operators.error_function, alpha, beta, x, y, count)
    elif operator == _SIGN:
        _map(operators.sign, alpha, beta, x, y, count)
    elif operator == _SQUARE:
        _map(operators.square, alpha, beta, x, y, count)


@njit(inline="always")
def unary_contiguous(operator, alpha, beta, x, y, count):
    """y[i] = f(x[i])."""
    if operator < _NEG or (_SOFTPLUS <= operator <= _SOFTSIGN) or operator >= _SELU:
        _activation_row(operator, alpha, beta, x, y, count)
    else:
        _mathematical_row(operator, alpha, beta, x, y, count)


@fast_device
def _unary_row(operator, alpha, beta, a, a_stride, b, b_stride, c, c_stride, y, y_stride, count):
    contiguous = a_stride == 1 and y_stride == 1
    block = stack_floats(BLOCK)
    step = count if contiguous else BLOCK
    for start in range(0, count, step):
        size = min(step, count - start)
        source, target = a, y
        if not contiguous:
            pack(shift(a, start * a_stride), a_stride, block, size)
            source, target = block, block
        unary_contiguous(operator, alpha, beta, source, target, size)
        if not contiguous:
            unpack(block, shift(y, start * y_stride), y_stride, size)


@native
def unary(operands, context):
    """y = f(x; alpha, beta)."""
    operator = operands[_UNARY_OPERATOR]
    alpha = np.float32(bits_to_float(operands[_UNARY_ALPHA]))
    beta = np.float32(bits_to_float(operands[_UNARY_BETA]))
    over_rows(_unary_row, operator, alpha, beta, operands, context, _UNARY_X, _UNARY_X, _UNARY_X, _UNARY_Y)


@njit(inline="always")
def _combine(function, a, b, y, count):
    for i in range(count):
        write(y, i, function(read(a, i), read(b, i)))


@njit(inline="always")
def _combine_right(function, a, value, y, count):
    for i in range(count):
        write(y, i, function(read(a, i), value))


@njit(inline="always")
def _combine_left(function, value, b, y, count):
    for i in range(count):
        write(y, i, function(value, read(b, i)))


@fast_device
def rows_of_two(operator, a, b, y, count):
    """y[i] = f(a[i], b[i])."""
    if operator == _ADD:
        _combine(operators.add, a, b, y, count)
    elif operator == _SUB:
        _combine(operators.subtract, a, b, y, count)
    elif operator == _MUL:
        _combine(operators.multiply, a, b, y, count)
    elif operator == _DIV:
        _combine(operators.divide, a, b, y, count)
    elif operator == _MAX:
        _combine(operators.larger, a, b, y, count)
    elif operator == _MIN:
        _combine(operators.smaller, a, b, y, count)
    elif operator == _PRELU:
        _combine(operators.prelu, a, b, y, count)
    elif operator == _GREATER:
        _combine(operators.greater, a, b, y, count)
    elif operator == _GREATER_OR_EQUAL:
        _combine(operators.greater_or_equal, a, b, y, count)
    elif operator == _EQUAL:
        _combine(operators.equal, a, b, y, count)
    elif operator == _AND:
        _combine(operators.both, a, b, y, count)
    elif operator == _OR:
        _combine(operators.either, a, b, y, count)
    elif operator == _XOR:
        _combine(operators.one_of_two, a, b, y, count)
    elif operator == _POW:
        _combine(power_f32, a, b, y, count)


@fast_device
def row_and_scalar(operator, a, value, y, count):
    """y[i] = f(a[i], value) for the operators that networks use with a scalar; whether it was one of them."""
    if operator == _ADD:
        _combine_right(operators.add, a, value, y, count)
    elif operator == _SUB:
        _combine_right(operators.subtract, a, value, y, count)
    elif operator == _MUL:
        _combine_right(operators.multiply, a, value, y, count)
    elif operator == _DIV:
        _combine_right(operators.divide, a, value, y, count)
    elif operator == _MAX:
        _combine_right(operators.larger, a, value, y, count)
    elif operator == _MIN:
        _combine_right(operators.smaller, a, value, y, count)
    elif operator == _GREATER:
        _combine_right(operators.greater, a, value, y, count)
    else:
        return operator == _POW and _row_to_power(a, value, y, count)
    return True


@njit(inline="always")
def _row_to_power(a, value, y, count):
    """y[i] = a[i]**value for the powers that take an operation or two; whether it was one of them."""
    if value == 2.0:
        _combine_right(operators.power_two, a, value, y, count)
    elif value == 0.5:
        _combine_right(operators.power_half, a, value, y, count)
    elif value == -0.5:
        _combine_right(operators.power_minus_half, a, value, y, count)
    elif value == 1.0:
        _combine_right(operators.power_one, a, value, y, count)
    elif value == -1.0:
        _combine_right(operators.power_minus_one, a, value, y, count)
    elif value == 3.0:
        _combine_right(operators.power_three, a, value, y, count)
    else:
        return False
    return True


@fast_device
def scalar_and_row(operator, value, b, y, count):
    """y[i] = f(value, b[i]) for the operators that networks use with a scalar; whether it was one of them."""
    if operator == _SUB:
        _combine_left(operators.subtract, value, b, y, count)
    elif operator == _DIV:
        _combine_left(operators.divide, value, b, y, count)
    elif operator in (_ADD, _MUL, _MAX, _MIN):
        return row_and_scalar(operator, b, value, y, count)
    else:
        return False
    return True


@fast_device
def _binary_row(operator, alpha, beta, a, a_stride, b, b_stride, c, c_stride, y, y_stride, count):
    if y_stride == 1:
        if a_stride == 1 and b_stride == 1:
            rows_of_two(operator, a, b, y, count)
            return
        if a_stride == 1 and b_stride == 0 and row_and_scalar(operator, a, b[0], y, count):
            return
        if a_stride == 0 and b_stride == 1 and scalar_and_row(operator, a[0], b, y, count):
            return
    a_block, b_block = stack_floats(BLOCK), stack_floats(BLOCK)
    for start in range(0, count, BLOCK):
        size = min(BLOCK, count - start)
        pack(shift(a, start * a_stride), a_stride, a_block, size)
        if b_stride == 0 and row_and_scalar(operator, a_block, b[0], a_block, size):
            pass
        else:
            pack(shift(b, start * b_stride), b_stride, b_block, size)
            rows_of_two(operator, a_block, b_block, a_block, size)
        unpack(a_block, shift(y, start * y_stride), y_stride, size)


@native
def binary(operands, context):
    """y = f(a, b). a < b runs as b > a."""
    zero = np.float32(0)
    operator = operands[_BINARY_OPERATOR]
    a, b = _BINARY_A, _BINARY_B
    if operator == _LESS:
        operator, a, b = _GREATER, _BINARY_B, _BINARY_A
    elif operator == _LESS_OR_EQUAL:
        operator, a, b = _GREATER_OR_EQUAL, _BINARY_B, _BINARY_A
    over_rows(_binary_row, operator, zero, zero, operands, context, a, b, a, _BINARY_Y)


@fast_device
def where_contiguous(condition, a, b, y, count):
    """y[i] = a[i] where condition[i] is not 0, b[i] elsewhere."""
    for i in range(count):
        write(y, i, choose(read(condition, i) != 0, read(a, i), read(b, i)))


@fast_device
def _where_row(operator, alpha, beta, a, a_stride, b, b_stride, c, c_stride, y, y_stride, count):
    """One row: a is the condition, b and c are the alternatives."""
    if a_stride == 1 and b_stride == 1 and c_stride == 1 and y_stride == 1:
        where_contiguous(a, b, c, y, count)
    else:
        for i in range(count):
            write(y, i * y_stride, choose(read(a, i * a_stride) != 0, read(b, i * b_stride), read(c, i * c_stride)))


@native
def where(operands, context):
    """y = a where the condition is not 0, b elsewhere."""
    zero = np.float32(0)
    over_rows(_where_row, 0, zero, zero, operands, context, _WHERE_CONDITION, _WHERE_A, _WHERE_B, _WHERE_Y)
