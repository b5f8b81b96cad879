"""Products and convolutions of 8-bit integers: sums are exact, in 53 bits, whatever their length."""

from __future__ import annotations

from math import prod

import numpy as np

from ....kernels.opcodes import Binary
from ....kernels.opcodes_general import GeneralBinary
from ..builder import Builder
from ..carriers import FLOAT32, INT64, convert
from ..view import View
from .elementwise import apply_binary, apply_general_binary
from .products import multiply
from .quantised import quantize
from .registry import Lowering, rule


@rule("MatMulInteger")
def matmul_integer(node: Lowering, builder: Builder) -> View:
    """ONNX MatMulInteger: (a - a_zero_point) (b - b_zero_point); a zero point is one number, or one a row or column."""
    a = _centred(node, builder, 0, node.view(2)[..., None] if _is_vector(node, 2) else _optional(node, 2))
    return multiply(builder, a, _centred(node, builder, 1, _optional(node, 3)), INT64)


@rule("QLinearMatMul", keeps_range=True)
def qlinear_matmul(node: Lowering, builder: Builder) -> View:
    """ONNX QLinearMatMul: the product of MatMulInteger, scaled by a_scale b_scale / y_scale and rounded."""
    of_rows = {i: node.view(i)[..., None] if _is_vector(node, i) else node.view(i) for i in (1, 2)}
    a, b = _centred(node, builder, 0, of_rows[2]), _centred(node, builder, 3, node.view(5))
    sums = multiply(builder, a, b, INT64)
    return _requantize(node, builder, sums, (of_rows[1], node.view(4), node.view(6)), node.view(7))


@rule("ConvInteger")
def conv_integer(node: Lowering, builder: Builder) -> View:
    """ONNX ConvInteger: a convolution of x - x_zero_point, padded with its zeros, by w - w_zero_point."""
    x, w = _centred(node, builder, 0, _optional(node, 2)), _centred(node, builder, 1, _of_channels(node, 3))
    return _convolution(node, builder, x, w)


@rule("QLinearConv", keeps_range=True)
def qlinear_conv(node: Lowering, builder: Builder) -> View:
    """ONNX QLinearConv: ConvInteger and a bias, scaled by x_scale w_scale / y_scale and rounded."""
    x, w = _centred(node, builder, 0, node.view(2)), _centred(node, builder, 3, _of_channels(node, 5))
    sums = _convolution(node, builder, x, w)
    one_a_channel = (slice(None), *((None,) * (sums.rank - 2)))
    if node.has(8):
        sums = apply_binary(builder, Binary.ADD, sums, node.view(8)[one_a_channel])
    w_scale = node.view(4)[one_a_channel] if _is_vector(node, 4) else node.view(4)
    return _requantize(node, builder, sums, (node.view(1), w_scale, node.view(6)), node.view(7))


def _is_vector(node: Lowering, index: int) -> bool:
    return node.has(index) and len(node.shape(index)) == 1 and node.shape(index)[0] > 1


def _optional(node: Lowering, index: int) -> View | None:
    return node.view(index) if node.has(index) else None


def _of_channels(node: Lowering, index: int) -> View | None:
    """The zero point of convolution weights [output channels, ...]: one number, or one a channel."""
    rank = len(node.shape(0))
    return (
        node.view(index)[(slice(None), *((None,) * (rank - 1)))] if _is_vector(node, index) else _optional(node, index)
    )


def _centred(node: Lowering, builder: Builder, index: int, zero_point: View | None) -> View:
    """An input minus its zero point: integers of up to 9 bits, in float32."""
    x = node.view(index)
    if zero_point is None:
        return x
    zero_point = builder.reshape(zero_point, ()) if zero_point.size == 1 else zero_point
    return apply_binary(builder, Binary.SUB, x, zero_point)


def _requantize(
    node: Lowering, builder: Builder, sums: View, scales: tuple[View, View, View], zero_point: View
) -> View:
    """sums (int64) times the product of two scales over the third, rounded to integers around the zero point.

    In float32, as onnxruntime does it.
    """
    a, b, y = (builder.reshape(scale, ()) if scale.size == 1 else scale for scale in scales)
    factor = apply_general_binary(builder, GeneralBinary.DIV, apply_binary(builder, Binary.MUL, a, b), y)
    real = apply_binary(builder, Binary.MUL, convert(builder, sums, FLOAT32), factor)
    one = builder.constant(np.ones((), np.float32))
    zero_point = builder.reshape(zero_point, ()) if zero_point.size == 1 else zero_point
    return quantize(builder, real, one, zero_point, node.output_type())


def _convolution(node: Lowering, builder: Builder, x: View, w: View) -> View:
    """Any convolution as a product: [batch, output channels, ...] int64.

    Args:
        x: [batch, channels, ...].
        w: [output channels, channels / groups, ...].
    """
    groups, kernel, y_shape = node.attribute("group", 1), w.shape[2:], node.output_shape()
    columns = _columns(node, builder, x, kernel, y_shape[2:])
    # Every group has the inputs [channels / groups x kernel, positions] and weights [channels, inputs].
    inputs, positions = w.shape[1] * prod(kernel), prod(y_shape[2:])
    right = builder.reshape(columns, (x.shape[0], groups, inputs, positions))
    left = builder.reshape(w, (groups, w.shape[0] // groups, inputs))
    return builder.reshape(multiply(builder, left, right, INT64), y_shape)


def _columns(node: Lowering, builder: Builder, x: View, kernel: tuple[int, ...], positions: tuple[int, ...]) -> View:
    """What each tap of the kernel sees: [batch, channels, *kernel, *positions]; zeros outside x."""
    rank = len(kernel)
    pads, strides, dilations = (node.attribute(name) for name in ("pads", "strides", "dilations"))
    padded = x
    if any(pads):
        spatial = [size + pads[axis] + pads[rank + axis] for axis, size in enumerate(x.shape[2:])]
        padded = builder.allocate((*x.shape[:2], *spatial))
        builder.fill(padded, 0.0)
        inside = (slice(pads[axis], pads[axis] + size) for axis, size in enumerate(x.shape[2:]))
        builder.copy(x, padded[(slice(None), slice(None), *inside)])
    columns = builder.allocate((*x.shape[:2], *kernel, *positions))
    for tap in np.ndindex(*kernel):
        starts = [at * dilation for at, dilation in zip(tap, dilations, strict=True)]
        seen = (
            slice(start, start + (count - 1) * stride + 1, stride)
            for start, count, stride in zip(starts, positions, strides, strict=True)
        )
        builder.copy(padded[(slice(None), slice(None), *seen)], columns[(slice(None), slice(None), *tap)])
    return columns
