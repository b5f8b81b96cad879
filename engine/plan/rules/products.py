"""Matrix products: constant weights go to `dense`, two arriving matrices to `matmul`."""

from __future__ import annotations

from typing import Any

import numpy as np

from ....kernels import packing
from ....kernels.opcodes import Activation, Binary, Unary
from ..builder import Builder
from ..carriers import FLOAT32
from ..view import View
from .elementwise import apply_binary, apply_unary
from .registry import Lowering, activation_operands, rule

_AFTER = {
    Activation.RELU: Unary.RELU,
    Activation.LEAKY_RELU: Unary.LEAKY_RELU,
    Activation.SIGMOID: Unary.SIGMOID,
    Activation.TANH: Unary.TANH,
    Activation.ELU: Unary.ELU,
    Activation.HARD_SIGMOID: Unary.HARD_SIGMOID,
    Activation.HARD_SWISH: Unary.HARD_SWISH,
    Activation.SWISH: Unary.SWISH,
    Activation.CLIP: Unary.CLIP,
}


@rule("MatMul")
def matmul(node: Lowering, builder: Builder) -> View:
    """Like numpy.matmul; fusion may have added a bias [columns] as third input, and an activation."""
    weights = node.constant(1)
    bias = node.constant(2)
    if node.view(0).dtype != np.float32:
        return multiply(builder, node.view(0), node.view(1), node.view(0).dtype)
    if weights is not None and weights.ndim == 2:
        return _dense(node, builder, node.view(0), weights, bias)
    left = node.constant(0)
    if left is not None and left.ndim == 2 and bias is None and len(node.shape(1)) == 2:
        # y = A x with constant A is (x^T A^T)^T: views turn both sides. An activation waits until y is turned back,
        # as the slopes of a PRelu go by y's own columns.
        turned = _dense(node, builder, node.view(1).transpose((1, 0)), left.T, None, plain=True)
        return _finish(node, builder, turned.transpose((1, 0)), None)
    return _finish(node, builder, multiply(builder, node.view(0), node.view(1)), bias)


@rule("Gemm")
def gemm(node: Lowering, builder: Builder) -> View:
    """y = alpha A B + beta C; a constant B takes alpha in, a constant C beta."""
    a = node.view(0)
    alpha, beta = node.attribute("alpha", 1.0), node.attribute("beta", 1.0)
    if node.attribute("transA", 0):
        a = a.transpose((1, 0))
    weights, bias = node.constant(1), node.constant(2)
    if weights is None or (node.has(2) and bias is None) or a.dtype != np.float32:
        return _arriving_gemm(node, builder, a, alpha, beta)
    matrix = (weights.T if node.attribute("transB", 0) else weights) * np.float32(alpha)
    if bias is None:
        return _dense(node, builder, a, matrix, None)
    bias = bias.astype(np.float32) * np.float32(beta)
    if bias.size in (1, matrix.shape[1]) and (bias.ndim < 2 or bias.shape[0] == 1):
        return _dense(node, builder, a, matrix, np.broadcast_to(bias.reshape(-1), (matrix.shape[1],)))
    y = _dense(node, builder, a, matrix, None, plain=True)
    return _finish(node, builder, apply_binary(builder, Binary.ADD, y, builder.constant(bias)), None)


def _arriving_gemm(node: Lowering, builder: Builder, a: View, alpha: float, beta: float) -> View:
    """Gemm whose B or C arrives: what can not be taken into a constant is done to the product."""
    b = node.view(1).transpose((1, 0)) if node.attribute("transB", 0) else node.view(1)
    y = multiply(builder, a, b, a.dtype)
    if y.dtype.kind in "iu" and not (float(alpha).is_integer() and float(beta).is_integer()):
        raise node.refuse(f"attributes alpha and beta are {alpha} and {beta}", "integers need whole factors")
    if alpha != 1:
        y = apply_binary(builder, Binary.MUL, y, builder.constant(np.array(alpha, y.dtype)))
    if node.has(2):
        c = node.view(2)
        if beta != 1:
            c = apply_binary(builder, Binary.MUL, c, builder.constant(np.array(beta, y.dtype)))
        y = apply_binary(builder, Binary.ADD, y, c)
    return _finish(node, builder, y, None)


def _dense(
    node: Lowering, builder: Builder, x: View, weights: np.ndarray, bias: np.ndarray | None, *, plain: bool = False
) -> View:
    """x [..., inner] times constant [inner, columns]; `plain` leaves the node's activation to the caller."""
    inner, columns = weights.shape
    y = builder.allocate((*x.shape[:-1], columns))
    flat = y.reshape((x.size // inner, columns))
    assert flat is not None  # y is dense
    activation = None if plain else node.activation(columns)
    dense_product(builder, builder.reshape(x, (x.size // inner, inner)), weights, flat, bias, activation)
    return y


def dense_product(
    builder: Builder,
    x: View,
    weights: np.ndarray,
    y: View,
    bias: np.ndarray | None = None,
    activation: dict[str, Any] | None = None,
) -> None:
    """y [rows, columns] = activation(x [rows, inner] times constant weights [inner, columns] + bias [columns])."""
    builder.emit(
        "dense",
        x=x,
        weights=builder.constant(packing.dense(weights.astype(np.float32))),
        bias=None if bias is None else builder.constant(packing.bias(bias)),
        y=y,
        **(activation or activation_operands()),
    )


def multiply(builder: Builder, a: View, b: View, dtype: np.dtype = FLOAT32) -> View:
    """numpy.matmul of two views, in a carrier, up to two batch axes after merging.

    Anything but float32 is summed in float64, or as integers modulo 2^64.
    """
    squeeze_rows, squeeze_columns = a.rank == 1, b.rank == 1
    a = a[None] if squeeze_rows else a
    b = b[:, None] if squeeze_columns else b
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    a = a.broadcast((*batch, *a.shape[-2:]))
    b = b.broadcast((*batch, *b.shape[-2:]))
    y = builder.allocate((*batch, a.shape[-2], b.shape[-1]), dtype=dtype)
    lead = (int(np.prod(batch[:-1], dtype=np.int64)), batch[-1] if batch else 1)
    target = y.reshape((*lead, *y.shape[-2:]))
    assert target is not None  # y is dense
    builder.emit(
        "matmul" if a.dtype == b.dtype == dtype == FLOAT32 else "matmul_general",
        a=builder.reshape(a, (*lead, *a.shape[-2:])),
        b=builder.reshape(b, (*lead, *b.shape[-2:])),
        y=target,
    )
    if squeeze_columns:
        y = y[..., 0]
    return y[..., 0, :] if squeeze_rows and not squeeze_columns else y[..., 0] if squeeze_rows else y


def _finish(node: Lowering, builder: Builder, y: View, bias: np.ndarray | None) -> View:
    """Bias and activation after a product whose kernel has none."""
    if bias is not None:
        y = apply_binary(builder, Binary.ADD, y, builder.constant(bias.astype(np.float32)))
    activation = node.activation(y.shape[-1] if y.rank else 1)
    code = activation["activation"]
    if code is Activation.PRELU:
        slope = activation["slope"]
        return apply_binary(builder, Binary.PRELU, y, slope[: y.shape[-1]] if y.rank else slope[0])
    if code is not Activation.NONE:
        return apply_unary(builder, _AFTER[code], y, activation["alpha"], activation["beta"])
    return y
