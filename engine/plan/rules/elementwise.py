"""Element-wise operators and activations."""

from __future__ import annotations

import numpy as np

from ....kernels.opcodes import Binary, Unary
from ..builder import Builder, loop_views
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

_SHAPED_UNARY = {
    "LeakyRelu": (Unary.LEAKY_RELU, ("alpha",)),
    "Elu": (Unary.ELU, ("alpha",)),
    "Selu": (Unary.SELU, ("alpha", "gamma")),
    "HardSigmoid": (Unary.HARD_SIGMOID, ("alpha", "beta")),
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
    """A new buffer with operator(x)."""
    y = builder.allocate(x.shape)
    x_loop, y_loop = loop_views(x, y)
    builder.emit("unary", operator=operator, alpha=alpha, beta=beta, x=x_loop, y=y_loop)
    return y


def apply_binary(builder: Builder, operator: Binary, a: View, b: View) -> View:
    """A new buffer with operator(a, b), broadcast as NumPy does."""
    shape = np.broadcast_shapes(a.shape, b.shape)
    y = builder.allocate(shape)
    a_loop, b_loop, y_loop = loop_views(a.broadcast(shape), b.broadcast(shape), y)
    builder.emit("binary", operator=operator, a=a_loop, b=b_loop, y=y_loop)
    return y


@rule(*_PLAIN_UNARY)
def unary(node: Lowering, builder: Builder) -> View:
    """Operators of one input without attributes."""
    return apply_unary(builder, _PLAIN_UNARY[node.op], node.view(0))


@rule(*_SHAPED_UNARY)
def shaped_unary(node: Lowering, builder: Builder) -> View:
    """Activations whose attributes shape their curve; the graph holds ONNX's defaults."""
    operator, names = _SHAPED_UNARY[node.op]
    return apply_unary(builder, operator, node.view(0), *(float(node.attribute(name)) for name in names))


@rule("Gelu")
def gelu(node: Lowering, builder: Builder) -> View:
    """ONNX Gelu: exact by erf, or its tanh approximation."""
    tanh = node.attribute("approximate", "none") == "tanh"
    return apply_unary(builder, Unary.GELU, node.view(0), 1.0 if tanh else 0.0)


@rule("Clip")
def clip(node: Lowering, builder: Builder) -> View:
    """Bounds are attributes below opset 11, optional inputs later."""
    low, high = node.argument(1, "min", -np.inf), node.argument(2, "max", np.inf)
    return apply_unary(builder, Unary.CLIP, node.view(0), float(low), float(high))


@rule("Not")
def not_(node: Lowering, builder: Builder) -> View:
    """ONNX Not: x == 0, as bools are 0.0 and 1.0 inside a program."""
    return apply_binary(builder, Binary.EQUAL, node.view(0), builder.constant(np.zeros((), np.float32)))


@rule("Pow")
def power(node: Lowering, builder: Builder) -> View:
    """A constant exponent of 2 is a square, of 0.5 a square root; others the general power."""
    exponent = node.constant(1)
    if exponent is not None and exponent.size == 1 and len(exponent.shape) <= len(node.shape(0)):
        special = {2.0: Unary.SQUARE, 0.5: Unary.SQRT}.get(float(exponent.reshape(-1)[0]))
        if special is not None:
            return apply_unary(builder, special, node.view(0))
    if exponent is not None:
        return apply_binary(builder, Binary.POW, node.view(0), builder.constant(exponent.astype(np.float32)))
    return apply_binary(builder, Binary.POW, node.view(0), node.view(1))


@rule(*(op for op in _BINARY if op != "Pow"))
def binary(node: Lowering, builder: Builder) -> View:
    """Arithmetic, comparisons and logic of two inputs, broadcast both ways; results of bool are 0.0 and 1.0."""
    return apply_binary(builder, _BINARY[node.op], node.view(0), node.view(1))


@rule("Max", "Min", "Sum", "Mean")
def variadic(node: Lowering, builder: Builder) -> View:
    """ONNX Max, Min, Sum and Mean: any number of inputs, folded from the left."""
    operator = {"Max": Binary.MAX, "Min": Binary.MIN}.get(node.op, Binary.ADD)
    result = node.view(0)
    for index in range(1, len(node.node.inputs)):
        result = apply_binary(builder, operator, result, node.view(index))
    if node.op == "Mean":
        share = builder.constant(np.full(1, 1.0 / len(node.node.inputs), np.float32))
        result = apply_binary(builder, Binary.MUL, result, share)
    return builder.reshape(result, node.output_shape())


@rule("Where")
def where(node: Lowering, builder: Builder) -> View:
    """ONNX Where: all three inputs broadcast against each other."""
    shape = node.output_shape()
    y = builder.allocate(shape)
    condition, a, b, target = loop_views(*(node.view(i).broadcast(shape) for i in range(3)), y)
    builder.emit("where", condition=condition, a=a, b=b, y=target)
    return y


@rule("BatchNormalization")
def batch_normalization(node: Lowering, builder: Builder) -> View:
    """One that no convolution could take in: a scale and a shift for each channel."""
    if len(node.node.outputs) > 1 and any(node.node.outputs[1:]):
        raise node.refuse("training outputs are read", "export the model for inference")
    scale, bias, mean, variance = (node.needs_constant(i, "parameter").astype(np.float64) for i in range(1, 5))
    factor = scale / np.sqrt(variance + node.attribute("epsilon", 1e-5))
    shape = (-1, *((1,) * (len(node.shape(0)) - 2)))
    scaled = apply_binary(builder, Binary.MUL, node.view(0), builder.constant(factor.astype(np.float32).reshape(shape)))
    return apply_binary(
        builder, Binary.ADD, scaled, builder.constant((bias - mean * factor).astype(np.float32).reshape(shape))
    )
