"""QuantizeLinear, DequantizeLinear and DynamicQuantizeLinear: per tensor, per axis and by blocks."""

from __future__ import annotations

import numpy as np
from onnx.helper import tensor_dtype_to_np_dtype

from ....kernels.opcodes import Binary, Reduce, Unary
from ....kernels.opcodes_general import GeneralBinary
from ..builder import Builder, loop_views
from ..carriers import FLOAT32, INT64, conform, convert, integer_format, narrow_float
from ..view import View
from .elementwise import apply_binary, apply_general_binary, apply_unary
from .reduction import reduce_view
from .registry import Lowering, rule
from .views import gather_axis


def quantize(
    builder: Builder, x: View, scale: View, zero_point: View, dtype: np.dtype, *, restored: bool = False
) -> View:
    """A new buffer with round(x / scale) + zero_point within the range of an integer type, broadcast to x's shape.

    `restored`: with the real numbers that these stand for, (whole number - zero_point) scale.
    """
    low, high = integer_range(dtype)
    y = builder.allocate(x.shape)
    loops = loop_views(x, scale.broadcast(x.shape), zero_point.broadcast(x.shape), y)
    operands = dict(zip(("x", "scale", "zero_point", "y"), loops, strict=True))
    builder.emit("quantize", **operands, low=float(low), high=float(high), restored=int(restored))
    return y


def integer_range(dtype: np.dtype) -> tuple[int, int]:
    """The least and greatest number of an integer type of up to 16 bits.

    Raises:
        ValueError: it is another type.
    """
    form = integer_format(dtype)
    if form is None or form[0] > 16:
        raise ValueError(f"quantisation to {dtype.name}; integers of up to 16 bits and floats of 8 or fewer work")
    bits, signed = form
    return (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)


def parameter(node: Lowering, builder: Builder, index: int) -> View:
    """A scale or zero point (absent: 0) as a view that broadcasts with input 0."""
    if not node.has(index):
        return builder.constant(np.zeros((), np.float32))
    value, shape = node.view(index), node.shape(0)
    if value.size == 1:
        return builder.reshape(value, ())
    axis = node.attribute("axis", 1) % len(shape)
    if value.rank == 1:
        return value[(slice(None), *((None,) * (len(shape) - axis - 1)))]
    if value.shape == shape:
        return value
    block = node.attribute("block_size", 0) or -(-shape[axis] // value.shape[axis])
    return gather_axis(builder, value, axis, np.arange(shape[axis]) // block)


@rule("QuantizeLinear", keeps_range=True)
def quantize_linear(node: Lowering, builder: Builder) -> View:
    """ONNX QuantizeLinear: y = saturate(round(x / y_scale) + y_zero_point); floats of few bits are rounded alike.

    One that was fused with the DequantizeLinear behind it has the integer type as attribute `restored`.
    """
    x, zero_point = node.operand(0), parameter(node, builder, 2)
    scale = convert(builder, parameter(node, builder, 1), FLOAT32)
    if node.attribute("restored"):
        return quantize(builder, x, scale, zero_point, np.dtype(node.attribute("restored")), restored=True)
    target = node.output_type()
    x = convert(builder, x, FLOAT32)
    precision = node.attribute("precision", 0)
    one = builder.constant(np.ones((), np.float32))
    if precision and tensor_dtype_to_np_dtype(precision) != np.float32:
        dtype = tensor_dtype_to_np_dtype(precision)
        x, scale = conform(builder, x, dtype), conform(builder, scale, dtype)
        quotient = apply_general_binary(builder, GeneralBinary.DIV, x, convert(builder, scale, x.dtype))
        x, scale = convert(builder, conform(builder, quotient, dtype), FLOAT32), one
    if integer_format(target) is not None:
        return quantize(builder, x, scale, zero_point, target)
    if scale is not one:
        x = apply_general_binary(builder, GeneralBinary.DIV, x, scale)
    if node.has(2):
        x = apply_binary(builder, Binary.ADD, x, zero_point)
    return narrow_float(builder, x, target, saturate=bool(node.attribute("saturate", 1)))


@rule("DequantizeLinear")
def dequantize_linear(node: Lowering, builder: Builder) -> View:
    """ONNX DequantizeLinear: y = (x - x_zero_point) x_scale."""
    x, zero_point = node.view(0), parameter(node, builder, 2)
    scale = convert(builder, parameter(node, builder, 1), FLOAT32)
    if x.dtype == INT64:
        if node.has(2):
            x = apply_binary(builder, Binary.SUB, x, zero_point)
        return apply_binary(builder, Binary.MUL, convert(builder, x, FLOAT32), scale)
    y = builder.allocate(x.shape)
    loops = loop_views(x, scale.broadcast(x.shape), zero_point.broadcast(x.shape), y)
    builder.emit("dequantize", **dict(zip(("x", "scale", "zero_point", "y"), loops, strict=True)))
    return y


@rule("DynamicQuantizeLinear", keeps_range=True)
def dynamic_quantize_linear(node: Lowering, builder: Builder) -> list[View]:
    """ONNX DynamicQuantizeLinear: to uint8, with the scale and zero point that fit the least and greatest of x and 0.

    An x of zeros alone has a scale of 1.
    """
    x, zero = node.view(0), builder.constant(np.zeros((), np.float32))
    axes = list(range(x.rank))
    greatest = apply_binary(builder, Binary.MAX, reduce_view(builder, Reduce.MAX, x, axes), zero)
    least = apply_binary(builder, Binary.MIN, reduce_view(builder, Reduce.MIN, x, axes), zero)
    reach = apply_binary(builder, Binary.SUB, greatest, least)
    steps = builder.constant(np.array(255, np.float32))
    scale = apply_general_binary(builder, GeneralBinary.DIV, reach, steps)
    scale = apply_binary(builder, Binary.ADD, scale, apply_binary(builder, Binary.EQUAL, reach, zero))
    zero_point = quantize(builder, apply_unary(builder, Unary.NEG, least), scale, zero, np.dtype(np.uint8))
    return [quantize(builder, x, scale, zero_point, np.dtype(np.uint8)), scale, zero_point]
