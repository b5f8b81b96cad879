"""Local response normalisation, determinants, and logarithms of sums of exponentials."""

from __future__ import annotations

from math import prod

import numpy as np

from ....kernels.opcodes import Binary, Reduce, Unary
from ..builder import Builder
from ..carriers import FLOAT64, convert
from ..view import View
from .elementwise import apply_binary, apply_unary
from .reduction import reduce_view
from .registry import Lowering, rule


@rule("LRN")
def local_response_normalization(node: Lowering, builder: Builder) -> View:
    """ONNX LRN: y = x / (bias + alpha / size * sum of x^2 over `size` neighbouring channels)^beta."""
    x, size = node.view(0), int(node.attribute("size"))
    channels, inner = x.shape[1], prod(x.shape[2:])
    # Beyond all channels a window has nothing to add.
    most = max(channels - 1, 0)
    before, after = min((size - 1) // 2, most), min(size // 2, most)
    squares = builder.allocate((x.shape[0], before + channels + after, *x.shape[2:]))
    builder.fill(squares[:, :before], 0.0)
    builder.fill(squares[:, before + channels :], 0.0)
    builder.copy(apply_unary(builder, Unary.SQUARE, x), squares[:, before : before + channels])
    # Windows of channels are a view: two axes of one stride.
    step = squares.strides[1] or inner
    windows = squares.strided(
        squares.offset,
        (x.shape[0], channels, inner, before + 1 + after),
        (squares.shape[1] * inner, step, 1, step),
    )
    sums = builder.reshape(reduce_view(builder, Reduce.SUM, windows, [3]), x.shape)
    scaled = _by_number(builder, Binary.MUL, sums, node.attribute("alpha", 1e-4) / size)
    base = _by_number(builder, Binary.ADD, scaled, node.attribute("bias", 1.0))
    return apply_binary(builder, Binary.DIV, x, _by_number(builder, Binary.POW, base, node.attribute("beta", 0.75)))


def _by_number(builder: Builder, operator: Binary, x: View, number: float) -> View:
    return apply_binary(builder, operator, x, builder.constant(np.array(number, x.dtype)))


@rule("Det")
def determinant(node: Lowering, builder: Builder) -> View:
    """ONNX Det of each matrix of the last two axes."""
    x = node.view(0)
    count = prod(x.shape[:-2])
    y = builder.allocate((count,), dtype=x.dtype)
    builder.emit("determinant", x=builder.reshape(x, (count, *x.shape[-2:])), y=y)
    return builder.reshape(y, node.output_shape())


@rule("ReduceLogSumExp", shaping=(1,))
def reduce_log_sum_exp(node: Lowering, builder: Builder) -> View:
    """ONNX ReduceLogSumExp: m + log(sum(exp(x - m))) with the greatest m, so that nothing overflows."""
    x = node.operand(0)
    x = convert(builder, x, FLOAT64) if x.dtype.kind in "iu" else x
    axes = node.argument(1, "axes") or []
    if not axes and node.attribute("noop_with_empty_axes", 0):
        return x
    if not x.size:
        return builder.constant(np.array(-np.inf, x.dtype)).broadcast(node.output_shape())
    axes = sorted({axis % x.rank for axis in axes}) or list(range(x.rank))
    kept = [1 if axis in axes else size for axis, size in enumerate(x.shape)]
    greatest = reduce_view(builder, Reduce.MAX, x, axes)
    # Infinite greatest values would give inf - inf.
    limits = np.finfo(x.dtype)
    greatest = _by_number(builder, Binary.MAX, greatest, limits.min)
    greatest = _by_number(builder, Binary.MIN, greatest, limits.max)
    shifted = apply_binary(builder, Binary.SUB, x, builder.reshape(greatest, kept))
    sums = reduce_view(builder, Reduce.SUM, apply_unary(builder, Unary.EXP, shifted), axes)
    result = apply_binary(builder, Binary.ADD, apply_unary(builder, Unary.LOG, sums), greatest)
    return builder.reshape(result, node.output_shape())
