"""Element-wise operators and activations."""

from __future__ import annotations

import ml_dtypes
import numpy as np

from ....kernels.opcodes import Binary, Unary
from ....kernels.opcodes_general import GeneralBinary, GeneralUnary
from ..builder import Builder
from ..carriers import FLOAT64, INT64, UINT64, convert
from ..view import View
from .registry import Lowering, rule

_PLAIN_UNARY = {
    "Relu": Unary.RELU,
    "Sigmoid": Unary.SIGMOID,
    "Tanh": Unary.TANH,
    "HardSwish": Unary.HARD_SWISH,
    "Neg": Unary.NEG,
    "Abs": Unary.ABS,
    "Sqrt": Unary.SQRT,
    "Reciprocal": Unary.RECIPROCAL,
    "Exp": Unary.EXP,
    "Log": Unary.LOG,
    "Sin": Unary.SIN,
    "Cos": Unary.COS,
    "Floor": Unary.FLOOR,
    "Ceil": Unary.CEIL,
    "Round": Unary.ROUND,
    "Erf": Unary.ERF,
    "Softplus": Unary.SOFTPLUS,
    "Softsign": Unary.SOFTSIGN,
    "Sign": Unary.SIGN,
    "Mish": Unary.MISH,
}

_GENERAL_UNARY = {
    "Tan": GeneralUnary.TAN,
    "Asin": GeneralUnary.ASIN,
    "Acos": GeneralUnary.ACOS,
    "Atan": GeneralUnary.ATAN,
    "Sinh": GeneralUnary.SINH,
    "Cosh": GeneralUnary.COSH,
    "Asinh": GeneralUnary.ASINH,
    "Acosh": GeneralUnary.ACOSH,
    "Atanh": GeneralUnary.ATANH,
    "IsNaN": GeneralUnary.IS_NAN,
}

_OF_INTEGERS = frozenset({GeneralUnary.ABS, GeneralUnary.BIT_NOT, GeneralUnary.NEG, GeneralUnary.SIGN})

_COMPARISONS = frozenset(operator for operator in GeneralBinary if 20 <= operator < 30)

_SHAPED_UNARY = {
    "LeakyRelu": (Unary.LEAKY_RELU, ("alpha",)),
    "Elu": (Unary.ELU, ("alpha",)),
    "Selu": (Unary.SELU, ("alpha", "gamma")),
    "HardSigmoid": (Unary.HARD_SIGMOID, ("alpha", "beta")),
    "Swish": (Unary.SWISH, ("alpha",)),
}

_BINARY = {
    "Add": Binary.ADD,
    "Sub": Binary.SUB,
    "Mul": Binary.MUL,
    "Div": Binary.DIV,
    "Pow": Binary.POW,
    "PRelu": Binary.PRELU,
    "Greater": Binary.GREATER,
    "GreaterOrEqual": Binary.GREATER_OR_EQUAL,
    "Less": Binary.LESS,
    "LessOrEqual": Binary.LESS_OR_EQUAL,
    "Equal": Binary.EQUAL,
    "And": Binary.AND,
    "Or": Binary.OR,
    "Xor": Binary.XOR,
}


def apply_unary(builder: Builder, operator: Unary, x: View, alpha: float = 0.0, beta: float = 0.0) -> View:
    """A new buffer with operator(x), of x's carrier."""
    if x.dtype != np.float32:
        return apply_general_unary(builder, _general(operator), x, alpha, beta)
    y = builder.allocate(x.shape)
    builder.emit("unary", operator=operator, alpha=alpha, beta=beta, x=x, y=y)
    return y


def _general(operator: Unary) -> GeneralUnary:
    """The operator's general form.

    Raises:
        ValueError: it has none.
    """
    if operator.name not in GeneralUnary.__members__:
        raise ValueError(f"{operator.name} of integers or float64 is not there; cast to float32 before it")
    return GeneralUnary[operator.name]


def apply_general_unary(
    builder: Builder, operator: GeneralUnary, x: View, alpha: float = 0.0, beta: float = 0.0
) -> View:
    """A new buffer with operator(x) of x's carrier, computed in int64, uint64 or float64.

    Raises:
        ValueError: integers do not know the operator.
    """
    if x.dtype.kind in "iu" and operator not in _OF_INTEGERS:
        raise ValueError(f"{operator.name} of integers is not there; cast to float32 or float64 before it")
    y = builder.allocate(x.shape, dtype=x.dtype)
    builder.emit("unary_general", operator=operator, alpha=alpha, beta=beta, x=x, y=y)
    return y


def apply_binary(builder: Builder, operator: Binary, a: View, b: View) -> View:
    """A new buffer with operator(a, b), broadcast as NumPy does; a and b of one carrier.

    What compares gives 1.0 and 0.0 in float32.
    """
    if a.dtype != np.float32:
        if operator.name not in GeneralBinary.__members__:
            raise ValueError(f"{operator.name} of integers or float64 is not there; cast to float32 before it")
        return apply_general_binary(builder, GeneralBinary[operator.name], a, b)
    shape = np.broadcast_shapes(a.shape, b.shape)
    y = builder.allocate(shape)
    builder.emit("binary", operator=operator, a=a.broadcast(shape), b=b.broadcast(shape), y=y)
    return y


def apply_general_binary(builder: Builder, operator: GeneralBinary, a: View, b: View) -> View:
    """As `apply_binary`, of any carrier, computed in int64, uint64 or float64."""
    shape = np.broadcast_shapes(a.shape, b.shape)
    y = builder.allocate(shape, dtype=np.float32 if operator in _COMPARISONS else a.dtype)
    a, b = a.broadcast(shape), b.broadcast(shape)
    builder.emit("binary_general", operator=operator, a=a, b=b, y=y)
    return y


def in_signed_order(builder: Builder, x: View) -> View:
    """x, or for uint64 a new buffer of int64 that are in the same order."""
    return convert(builder, _turn_highest_bit(builder, x), INT64) if x.dtype == UINT64 else x


def from_signed_order(builder: Builder, x: View, dtype: np.dtype) -> View:
    """Values of a carrier that came out of `in_signed_order`, as they were before it."""
    return _turn_highest_bit(builder, convert(builder, x, UINT64)) if dtype == UINT64 else x


def _turn_highest_bit(builder: Builder, x: View) -> View:
    return apply_general_binary(builder, GeneralBinary.BIT_XOR, x, builder.constant(np.array(1 << 63, np.uint64)))


@rule("Relu", keeps_range=True)
@rule(*(_PLAIN_UNARY.keys() - {"Relu"}))
def unary(node: Lowering, builder: Builder) -> View:
    """Operators of one input without attributes."""
    x = node.operand(0)
    if x.dtype != np.float32 and node.op == "Relu":
        return apply_binary(builder, Binary.MAX, x, builder.constant(np.zeros((), x.dtype)))
    return apply_unary(builder, _PLAIN_UNARY[node.op], x)


@rule(*_GENERAL_UNARY)
def general_unary(node: Lowering, builder: Builder) -> View:
    """Functions too rare for vectors: computed in float64 by libm."""
    return apply_general_unary(builder, _GENERAL_UNARY[node.op], node.operand(0))


@rule("IsInf")
def is_infinite(node: Lowering, builder: Builder) -> View:
    """ONNX IsInf: detect_positive and detect_negative choose which infinity counts."""
    found = (float(node.attribute(f"detect_{sign}", 1)) for sign in ("positive", "negative"))
    return apply_general_unary(builder, GeneralUnary.IS_INF, node.view(0), *found)


@rule(*_SHAPED_UNARY)
def shaped_unary(node: Lowering, builder: Builder) -> View:
    """Activations whose attributes shape their curve; the graph holds ONNX's defaults."""
    operator, names = _SHAPED_UNARY[node.op]
    return apply_unary(builder, operator, node.view(0), *(float(node.attribute(name)) for name in names))


@rule("ThresholdedRelu")
def thresholded_relu(node: Lowering, builder: Builder) -> View:
    """ONNX ThresholdedRelu: x above alpha, else 0."""
    x = node.view(0)
    alpha, zero = (builder.constant(np.array(value, x.dtype)) for value in (node.attribute("alpha", 1.0), 0))
    return select(builder, apply_binary(builder, Binary.GREATER, x, alpha), x, zero)


@rule("Shrink")
def shrink(node: Lowering, builder: Builder) -> View:
    """ONNX Shrink: x + bias below -lambd, x - bias above lambd, 0 between; integers pass through float64."""
    x = node.operand(0)
    x = convert(builder, x, FLOAT64) if x.dtype.kind in "iu" else x
    bias, limit = (float(node.attribute(name, default)) for name, default in (("bias", 0.0), ("lambd", 0.5)))
    high, low, shift, zero = (builder.constant(np.array(value, x.dtype)) for value in (limit, -limit, bias, 0))
    below = apply_binary(builder, Binary.ADD, x, shift)
    above = apply_binary(builder, Binary.SUB, x, shift)
    inner = select(builder, apply_binary(builder, Binary.GREATER, x, high), above, zero)
    return select(builder, apply_binary(builder, Binary.LESS, x, low), below, inner)


@rule("Gelu")
def gelu(node: Lowering, builder: Builder) -> View:
    """ONNX Gelu: exact by erf, or its tanh approximation."""
    tanh = node.attribute("approximate", "none") == "tanh"
    return apply_unary(builder, Unary.GELU, node.view(0), 1.0 if tanh else 0.0)


@rule("Clip")
def clip(node: Lowering, builder: Builder) -> View:
    """Bounds are attributes below opset 11, optional inputs later, constant or not; the upper one wins.

    An absent bound is the type's own: infinities become the numbers next to them, integers stay.
    """
    x, dtype = node.operand(0), node.output_type()
    own = None if dtype.kind in "iu" else ml_dtypes.finfo(dtype)
    lowest, highest = (-np.inf, np.inf) if own is None else (float(own.min), float(own.max))
    arriving = any(node.has(index) and node.constant(index) is None for index in (1, 2))
    if x.dtype == np.float32 and not arriving:
        low, high = float(node.argument(1, "min", lowest)), float(node.argument(2, "max", highest))
        if low <= high:
            return apply_unary(builder, Unary.CLIP, x, low, high)
    for index, name, bound, operator in ((1, "min", lowest, Binary.MAX), (2, "max", highest, Binary.MIN)):
        if node.has(index):
            x = apply_binary(builder, operator, x, node.operand(index))
        elif own is not None:
            x = apply_binary(builder, operator, x, builder.constant(np.array(node.attribute(name, bound), x.dtype)))
    return x


@rule("Not")
def not_(node: Lowering, builder: Builder) -> View:
    """ONNX Not: x == 0, as truth values are 0.0 and 1.0 inside a program."""
    return apply_binary(builder, Binary.EQUAL, node.view(0), builder.constant(np.zeros((), np.float32)))


@rule("Pow")
def power(node: Lowering, builder: Builder) -> View:
    """A constant exponent of 2 is a square, of 0.5 a square root; others the general power, of the base's type."""
    base, exponent = node.operand(0), node.constant(1)
    if base.dtype == np.float32 and exponent is not None and exponent.size == 1 and exponent.ndim <= base.rank:
        special = {2.0: Unary.SQUARE, 0.5: Unary.SQRT}.get(float(exponent.reshape(-1)[0]))
        if special is not None:
            return apply_unary(builder, special, base)
    power = node.operand(1)
    if base.dtype == np.int64 and power.dtype == np.uint64:
        raise node.refuse("it raises integers to the power of uint64", "cast the exponent to int64")
    if base.dtype == np.int64 and power.dtype != np.int64:
        base = convert(builder, base, FLOAT64)
    return apply_binary(builder, Binary.POW, base, convert(builder, power, base.dtype))


@rule(*(op for op in _BINARY if op != "Pow"))
def binary(node: Lowering, builder: Builder) -> View:
    """Arithmetic, comparisons and logic of two inputs, broadcast both ways; truth values are 0.0 and 1.0."""
    a, b = node.operand(0), node.operand(1)
    if node.op == "PRelu" and a.dtype != np.float32:
        below = apply_binary(builder, Binary.LESS, a, builder.constant(np.zeros((), a.dtype)))
        return select(builder, below, apply_binary(builder, Binary.MUL, a, b), a)
    return apply_binary(builder, _BINARY[node.op], a, b)


@rule("Mod")
def mod(node: Lowering, builder: Builder) -> View:
    """ONNX Mod: the remainder with the divisor's sign, with fmod with the dividend's."""
    operator = GeneralBinary.FMOD if node.attribute("fmod", 0) else GeneralBinary.MOD
    return apply_general_binary(builder, operator, node.operand(0), node.operand(1))


@rule("BitwiseAnd", "BitwiseOr", "BitwiseXor", "BitShift")
def bitwise(node: Lowering, builder: Builder) -> View:
    """ONNX BitwiseAnd, BitwiseOr, BitwiseXor; BitShift of unsigned integers in its attribute's direction."""
    if node.op == "BitShift":
        left = node.attribute("direction") == "LEFT"
        operator = GeneralBinary.SHIFT_LEFT if left else GeneralBinary.SHIFT_RIGHT
    else:
        operator = {"And": GeneralBinary.BIT_AND, "Or": GeneralBinary.BIT_OR}.get(node.op[7:], GeneralBinary.BIT_XOR)
    return apply_general_binary(builder, operator, node.operand(0), node.operand(1))


@rule("BitwiseNot")
def bitwise_not(node: Lowering, builder: Builder) -> View:
    """ONNX BitwiseNot."""
    return apply_general_unary(builder, GeneralUnary.BIT_NOT, node.operand(0))


@rule("Max", "Min", keeps_range=True)
@rule("Sum", "Mean")
def variadic(node: Lowering, builder: Builder) -> View:
    """ONNX Max, Min, Sum and Mean: any number of inputs, folded from the left."""
    operator = {"Max": Binary.MAX, "Min": Binary.MIN}.get(node.op, Binary.ADD)
    result = node.operand(0)
    for index in range(1, len(node.node.inputs)):
        result = apply_binary(builder, operator, result, node.operand(index))
    if node.op == "Mean":
        share = builder.constant(np.full(1, 1.0 / len(node.node.inputs), result.dtype))
        result = apply_binary(builder, Binary.MUL, result, share)
    return builder.reshape(result, node.output_shape())


@rule("Where", keeps_range=True)
def where(node: Lowering, builder: Builder) -> View:
    """ONNX Where: all three inputs broadcast against each other."""
    return select(builder, *(node.view(index) for index in range(3)))


def select(builder: Builder, condition: View, a: View, b: View) -> View:
    """A new buffer with a where the condition is not 0, b elsewhere; broadcast as NumPy does."""
    shape = np.broadcast_shapes(condition.shape, a.shape, b.shape)
    y = builder.allocate(shape, dtype=a.dtype)
    kernel = "where" if a.dtype == np.float32 else "where_wide"
    builder.emit(kernel, condition=condition.broadcast(shape), a=a.broadcast(shape), b=b.broadcast(shape), y=y)
    return y


@rule("BatchNormalization")
def batch_normalization(node: Lowering, builder: Builder) -> View:
    """One that no convolution could take in: a scale and a shift for each channel."""
    if len(node.node.outputs) > 1 and any(node.node.outputs[1:]):
        raise node.refuse("training outputs are read", "export the model for inference")
    x, epsilon = node.view(0), node.attribute("epsilon", 1e-5)
    shape = (-1, *((1,) * (len(node.shape(0)) - 2)))
    if any(node.constant(index) is None for index in range(1, 5)):
        return _arriving_batch_norm(node, builder, shape)
    scale, bias, mean, variance = (node.needs_constant(i, "parameter").astype(np.float64) for i in range(1, 5))
    factor = scale / np.sqrt(variance + epsilon)
    scaled = apply_binary(builder, Binary.MUL, x, builder.constant(factor.astype(x.dtype).reshape(shape)))
    shift = builder.constant((bias - mean * factor).astype(x.dtype).reshape(shape))
    return apply_binary(builder, Binary.ADD, scaled, shift)


def _arriving_batch_norm(node: Lowering, builder: Builder, shape: tuple[int, ...]) -> View:
    """(x - mean) scale / sqrt(variance + epsilon) + bias, whose parameters arrive; they broadcast in `shape`."""
    x = node.view(0)
    scale, bias, mean, variance = (builder.reshape(node.view(index), shape) for index in range(1, 5))
    epsilon = builder.constant(np.array(node.attribute("epsilon", 1e-5), x.dtype))
    deviation = apply_unary(builder, Unary.SQRT, apply_binary(builder, Binary.ADD, variance, epsilon))
    factor = apply_binary(builder, Binary.DIV, scale, deviation)
    centred = apply_binary(builder, Binary.SUB, x, mean)
    return apply_binary(builder, Binary.ADD, apply_binary(builder, Binary.MUL, centred, factor), bias)
