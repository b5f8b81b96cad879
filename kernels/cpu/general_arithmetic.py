"""Native unary, binary and reduce of any element type, one element at a time, in int64, uint64 or float64.

Bound by branches and libm. Float32 alone has vectors: `elementwise` and `reduction`, and `chain` for several operators.
"""

from __future__ import annotations

import math

import numpy as np

from ..contract import Context, ElementType
from ..opcodes import Reduce
from ..opcodes_general import GeneralBinary, GeneralUnary
from ..schemas.general import BINARY_GENERAL, REDUCE_GENERAL, UNARY_GENERAL
from .general_loops import load_float, load_integer, over_wide_rows, store_float, store_integer
from .memory import bits_to_float, element_type, locate
from .native import device, native

_LANES = int(Context.LANES)
_INT64 = int(ElementType.INT64)
_UNARY = UNARY_GENERAL.positions()
_UNARY_X, _UNARY_Y, _UNARY_OPERATOR = _UNARY["x"], _UNARY["y"], _UNARY["operator"]
_UNARY_ALPHA, _UNARY_BETA, _UNARY_UNSIGNED = _UNARY["alpha"], _UNARY["beta"], _UNARY["unsigned"]
_BINARY = BINARY_GENERAL.positions()
_BINARY_A, _BINARY_B, _BINARY_Y = _BINARY["a"], _BINARY["b"], _BINARY["y"]
_BINARY_OPERATOR, _BINARY_UNSIGNED = _BINARY["operator"], _BINARY["unsigned"]
_REDUCE = REDUCE_GENERAL.positions()
_REDUCE_OPERATOR, _REDUCE_X, _REDUCE_Y = _REDUCE["operator"], _REDUCE["x"], _REDUCE["y"]
_REDUCE_UNSIGNED = _REDUCE["unsigned"]
_HIGHEST_BIT = np.iinfo(np.int64).min

_NEG, _ABS, _SIGN = int(GeneralUnary.NEG), int(GeneralUnary.ABS), int(GeneralUnary.SIGN)
_SQRT, _RECIPROCAL = int(GeneralUnary.SQRT), int(GeneralUnary.RECIPROCAL)
_EXP, _LOG, _ERF = int(GeneralUnary.EXP), int(GeneralUnary.LOG), int(GeneralUnary.ERF)
_FLOOR, _CEIL, _ROUND = int(GeneralUnary.FLOOR), int(GeneralUnary.CEIL), int(GeneralUnary.ROUND)
_TRUNCATE = int(GeneralUnary.TRUNCATE)
_SIN, _COS, _TAN = int(GeneralUnary.SIN), int(GeneralUnary.COS), int(GeneralUnary.TAN)
_ASIN, _ACOS, _ATAN = int(GeneralUnary.ASIN), int(GeneralUnary.ACOS), int(GeneralUnary.ATAN)
_SINH, _COSH, _TANH = int(GeneralUnary.SINH), int(GeneralUnary.COSH), int(GeneralUnary.TANH)
_ASINH, _ACOSH, _ATANH = int(GeneralUnary.ASINH), int(GeneralUnary.ACOSH), int(GeneralUnary.ATANH)
_SIGMOID, _SOFTPLUS = int(GeneralUnary.SIGMOID), int(GeneralUnary.SOFTPLUS)
_IS_NAN, _IS_INF = int(GeneralUnary.IS_NAN), int(GeneralUnary.IS_INF)

_ADD, _SUB, _MUL, _DIV = (int(o) for o in (GeneralBinary.ADD, GeneralBinary.SUB, GeneralBinary.MUL, GeneralBinary.DIV))
_MAX, _MIN, _POW = int(GeneralBinary.MAX), int(GeneralBinary.MIN), int(GeneralBinary.POW)
_MOD, _FMOD = int(GeneralBinary.MOD), int(GeneralBinary.FMOD)
_GREATER, _GREATER_OR_EQUAL = int(GeneralBinary.GREATER), int(GeneralBinary.GREATER_OR_EQUAL)
_LESS, _LESS_OR_EQUAL = int(GeneralBinary.LESS), int(GeneralBinary.LESS_OR_EQUAL)
_EQUAL, _NOT_EQUAL = int(GeneralBinary.EQUAL), int(GeneralBinary.NOT_EQUAL)
_BIT_AND, _BIT_OR, _BIT_XOR = (int(GeneralBinary.BIT_AND), int(GeneralBinary.BIT_OR), int(GeneralBinary.BIT_XOR))
_SHIFT_LEFT, _SHIFT_RIGHT = int(GeneralBinary.SHIFT_LEFT), int(GeneralBinary.SHIFT_RIGHT)

_SUM, _MEAN, _PROD = int(Reduce.SUM), int(Reduce.MEAN), int(Reduce.PROD)
_REDUCE_MAX, _REDUCE_MIN = int(Reduce.MAX), int(Reduce.MIN)
_SUM_SQUARE, _L1, _L2 = int(Reduce.SUM_SQUARE), int(Reduce.L1), int(Reduce.L2)


@device
def _function(operator, x):
    """f(x) of the functions without parameters."""
    if operator == _SQRT:
        return math.sqrt(x)
    if operator == _RECIPROCAL:
        return 1.0 / x
    if operator == _EXP:
        return math.exp(x)
    if operator == _LOG:
        return math.log(x)
    if operator == _ERF:
        return math.erf(x)
    if operator == _SIN:
        return math.sin(x)
    if operator == _COS:
        return math.cos(x)
    if operator == _TAN:
        return math.tan(x)
    if operator == _ASIN:
        return math.asin(x)
    if operator == _ACOS:
        return math.acos(x)
    if operator == _ATAN:
        return math.atan(x)
    if operator == _SINH:
        return math.sinh(x)
    if operator == _COSH:
        return math.cosh(x)
    if operator == _TANH:
        return math.tanh(x)
    if operator == _ASINH:
        return math.asinh(x)
    if operator == _ACOSH:
        return math.acosh(x)
    if operator == _ATANH:
        return math.atanh(x)
    if operator == _SIGMOID:
        return 1.0 / (1.0 + math.exp(-x))
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


@device
def _step_function(operator, alpha, beta, x):
    """f(x) of the functions with kinks; any other goes on to `_function`."""
    if operator == _NEG:
        return -x
    if operator == _ABS:
        return abs(x)
    if operator == _SIGN:
        return np.sign(x)
    if operator == _FLOOR:
        return np.floor(x)
    if operator == _CEIL:
        return np.ceil(x)
    if operator == _ROUND:
        return np.rint(x)
    if operator == _TRUNCATE:
        return np.trunc(x)
    if operator == _IS_NAN:
        return 1.0 if math.isnan(x) else 0.0
    if operator == _IS_INF:
        return 1.0 if (x == math.inf and alpha != 0) or (x == -math.inf and beta != 0) else 0.0
    return _function(operator, x)


@device
def _integer_function(operator, unsigned, x):
    if operator == _NEG:
        return -x
    if operator == _ABS:
        return x if unsigned == 1 else abs(x)
    if operator == _SIGN:
        return np.int64(x != 0) if unsigned == 1 else np.int64(x > 0) - np.int64(x < 0)
    return ~x


@device
def _unary_row(operator, alpha, beta, operands, a, a_step, b, b_step, c, c_step, y, y_step, count):
    source, target = element_type(operands, _UNARY_X), element_type(operands, _UNARY_Y)
    unsigned = operands[_UNARY_UNSIGNED]
    if source == _INT64:
        for i in range(count):
            word = _integer_function(operator, unsigned, load_integer(a + i * a_step, source))
            store_integer(y + i * y_step, target, word)
    else:
        for i in range(count):
            value = _step_function(operator, alpha, beta, load_float(a + i * a_step, source))
            store_float(y + i * y_step, target, value)


@native
def unary_general(operands, context):
    """y = f(x) of any carriers [LOOP_RANK axes], any strides."""
    alpha, beta = bits_to_float(operands[_UNARY_ALPHA]), bits_to_float(operands[_UNARY_BETA])
    operator = operands[_UNARY_OPERATOR]
    over_wide_rows(_unary_row, operator, alpha, beta, operands, context, _UNARY_X, _UNARY_X, _UNARY_X, _UNARY_Y)


@device
def _compare(operator, a, b):
    """a against b, of one type: 1 or 0."""
    if operator == _GREATER:
        return a > b
    if operator == _GREATER_OR_EQUAL:
        return a >= b
    if operator == _LESS:
        return a < b
    if operator == _LESS_OR_EQUAL:
        return a <= b
    if operator == _EQUAL:
        return a == b
    return a != b


@device
def _float_result(operator, a, b):
    if operator == _ADD:
        return a + b
    if operator == _SUB:
        return a - b
    if operator == _MUL:
        return a * b
    if operator == _DIV:
        return a / b
    if operator == _MAX:
        return a if a > b or math.isnan(a) else b
    if operator == _MIN:
        return a if a < b or math.isnan(a) else b
    if operator == _POW:
        return a**b
    if operator == _FMOD:
        return np.fmod(a, b)
    if operator == _MOD:
        rest = np.fmod(a, b)
        return rest + b if rest != 0 and (rest < 0) != (b < 0) else rest
    return 1.0 if _compare(operator, a, b) else 0.0


@device
def _power(base, exponent):
    """base ** exponent modulo 2**64, by squaring; a negative exponent gives the truncated quotient."""
    if exponent < 0:
        return base * (np.int64(1) if exponent & 1 or base == 1 else base) if abs(base) == 1 else np.int64(0)
    result = np.int64(1)
    while exponent > 0:
        if exponent & 1:
            result *= base
        base *= base
        exponent >>= 1
    return result


@device
def _integer_result(operator, a, b):
    """f(a, b) of two's complement int64; what differs for uint64 is in `_unsigned_result`."""
    if operator == _ADD:
        return a + b
    if operator == _SUB:
        return a - b
    if operator == _MUL:
        return a * b
    if operator == _BIT_AND:
        return a & b
    if operator == _BIT_OR:
        return a | b
    if operator == _BIT_XOR:
        return a ^ b
    if operator == _SHIFT_LEFT:
        return a << b if 0 <= b < 64 else np.int64(0)
    if operator == _SHIFT_RIGHT:
        return a >> (b if 0 <= b < 64 else 63)
    if operator == _POW:
        return _power(a, b)
    if operator == _MAX:
        return max(a, b)
    if operator == _MIN:
        return min(a, b)
    if operator in (_DIV, _MOD, _FMOD):
        if b == 0:
            return np.int64(0)
        if b == -1:  # the lowest int64 has no negative of its own: x86 would trap
            return -a if operator == _DIV else np.int64(0)
        floor, rest = a // b, a % b
        if operator == _MOD:
            return rest
        inexact = rest != 0 and (a < 0) != (b < 0)
        if operator == _DIV:
            return floor + 1 if inexact else floor
        return rest - b if inexact else rest
    return np.int64(_compare(operator, a, b))


@device
def _unsigned_result(operator, a, b):
    """f(a, b) where the words hold uint64."""
    x, y = np.uint64(a), np.uint64(b)
    if operator == _MAX:
        return np.int64(max(x, y))
    if operator == _MIN:
        return np.int64(min(x, y))
    if operator == _DIV:
        return np.int64(x // y) if y != 0 else np.int64(0)
    if operator in (_MOD, _FMOD):
        return np.int64(x % y) if y != 0 else np.int64(0)
    if operator == _SHIFT_RIGHT:
        return np.int64(x >> y) if y < 64 else np.int64(0)
    if operator >= _GREATER and operator <= _NOT_EQUAL:
        return np.int64(_compare(operator, x, y))
    return _integer_result(operator, a, b)


@device
def _binary_row(operator, unsigned, second, operands, a, a_step, b, b_step, c, c_step, y, y_step, count):
    source, target = element_type(operands, _BINARY_A), element_type(operands, _BINARY_Y)
    for i in range(count):
        if source != _INT64:
            value = _float_result(operator, load_float(a + i * a_step, source), load_float(b + i * b_step, source))
            store_float(y + i * y_step, target, value)
            continue
        left, right = load_integer(a + i * a_step, source), load_integer(b + i * b_step, source)
        if unsigned == 1:
            store_integer(y + i * y_step, target, _unsigned_result(operator, left, right))
        else:
            store_integer(y + i * y_step, target, _integer_result(operator, left, right))


@native
def binary_general(operands, context):
    """y = f(a, b) of any carriers [LOOP_RANK axes], any strides; a and b of one type."""
    operator, unsigned = operands[_BINARY_OPERATOR], operands[_BINARY_UNSIGNED]
    over_wide_rows(_binary_row, operator, unsigned, 0, operands, context, _BINARY_A, _BINARY_B, _BINARY_B, _BINARY_Y)


@device
def _merge(operator, total, value, first):
    """The running result with one more element; `total` has no meaning before the first. One type throughout."""
    if operator in (_SUM_SQUARE, _L2):
        value = value * value
    elif operator == _L1:
        value = abs(value)
    if first:
        return value
    if operator == _PROD:
        return total * value
    if operator == _REDUCE_MAX:
        return value if value > total or value != value else total
    if operator == _REDUCE_MIN:
        return value if value < total or value != value else total
    return total + value


@device
def _reduce_floats(operator, operands, x, element):
    total, at = 0.0, _REDUCE_X
    count = operands[at + 4] * operands[at + 5] * operands[at + 6]
    for i in range(operands[at + 4]):
        for j in range(operands[at + 5]):
            for k in range(operands[at + 6]):
                step = i * operands[at + 10] + j * operands[at + 11] + k * operands[at + 12]
                total = _merge(operator, total, load_float(x + 8 * step, element), i + j + k == 0)
    if operator == _MEAN:
        return total / count
    return math.sqrt(total) if operator == _L2 else total


@device
def _reduce_integers(operator, operands, x, element):
    """Modulo 2**64; uint64 are compared with their highest bit turned, which puts them in the order of int64."""
    total, at = np.int64(0), _REDUCE_X
    count = operands[at + 4] * operands[at + 5] * operands[at + 6]
    unsigned, turned = operands[_REDUCE_UNSIGNED] == 1, np.int64(0)
    if unsigned and operator in (_REDUCE_MAX, _REDUCE_MIN):
        turned = np.int64(_HIGHEST_BIT)
    if unsigned and operator == _L1:
        operator = _SUM
    for i in range(operands[at + 4]):
        for j in range(operands[at + 5]):
            for k in range(operands[at + 6]):
                step = i * operands[at + 10] + j * operands[at + 11] + k * operands[at + 12]
                total = _merge(operator, total, load_integer(x + 8 * step, element) ^ turned, i + j + k == 0)
    if operator == _MEAN:
        return _unsigned_result(_DIV, total, count) if unsigned else _integer_result(_DIV, total, count)
    if operator == _L2:
        return np.int64(math.sqrt(np.float64(np.uint64(total)) if unsigned else np.float64(total)))
    return total ^ turned


@native
def reduce_general(operands, context):
    """y [kept x 3] = x [kept x 3, reduced x 3] reduced over its last three axes; int64 or float64, any strides.

    Elements are added in the order of the reduced axes.

    Bound by the latency of that addition.
    """
    operator, element = operands[_REDUCE_OPERATOR], element_type(operands, _REDUCE_X)
    x_at, y_at = _REDUCE_X, _REDUCE_Y
    for lane in range(context[_LANES]):
        x, y = locate(operands, x_at, context, lane), locate(operands, y_at, context, lane)
        for i in range(operands[y_at + 1]):
            for j in range(operands[y_at + 2]):
                for k in range(operands[y_at + 3]):
                    source = x + 8 * (i * operands[x_at + 7] + j * operands[x_at + 8] + k * operands[x_at + 9])
                    target = y + 8 * (i * operands[y_at + 4] + j * operands[y_at + 5] + k * operands[y_at + 6])
                    if element == _INT64:
                        store_integer(target, element, _reduce_integers(operator, operands, source, element))
                    else:
                        store_float(target, element, _reduce_floats(operator, operands, source, element))
