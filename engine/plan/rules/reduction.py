"""Reductions and the softmax family."""

from __future__ import annotations

import numpy as np

from ....kernels.opcodes import Binary, Reduce, Unary
from ..builder import Builder, merge_axes
from ..carriers import conform, integer_format
from ..view import View
from .elementwise import apply_binary, apply_unary, select
from .registry import Lowering, rule

_REDUCE = {
    "ReduceSum": Reduce.SUM,
    "ReduceMean": Reduce.MEAN,
    "ReduceMax": Reduce.MAX,
    "ReduceMin": Reduce.MIN,
    "ReduceProd": Reduce.PROD,
    "ReduceSumSquare": Reduce.SUM_SQUARE,
    "ReduceL1": Reduce.L1,
    "ReduceL2": Reduce.L2,
}

_PAIRS = {
    Reduce.SUM: (None, Binary.ADD, None),
    Reduce.MAX: (None, Binary.MAX, None),
    Reduce.MIN: (None, Binary.MIN, None),
    Reduce.PROD: (None, Binary.MUL, None),
    Reduce.SUM_SQUARE: (Unary.SQUARE, Binary.ADD, None),
    Reduce.L1: (Unary.ABS, Binary.ADD, None),
    Reduce.L2: (Unary.SQUARE, Binary.ADD, Unary.SQRT),
}
"""What a reduction of two elements is: an operator on each, one on both, one on the result."""

_SIDE = 3
"""Kept and reduced axes that the kernel has."""


_OF_ONE_ELEMENT = {
    "ReduceSumSquare": Unary.SQUARE,
    "ReduceL1": Unary.ABS,
    "ReduceL2": Unary.ABS,
    "ReduceLogSum": Unary.LOG,
}
"""What a reduction of no axes still does to each element; the other operators leave it as it is."""


@rule("ReduceMax", "ReduceMin", shaping=(1,), keeps_range=True)
@rule(*(_REDUCE.keys() - {"ReduceMax", "ReduceMin"}), shaping=(1,))
def reduce(node: Lowering, builder: Builder) -> View:
    """Axes are an attribute or, later, an input; none means all, unless noop_with_empty_axes."""
    axes = node.argument(1, "axes") or []
    if _reduces_nothing(node, axes):
        return _each_element(node, builder)
    return reduce_axes(node, builder, _REDUCE[node.op], axes)


@rule("ReduceLogSum", shaping=(1,))
def reduce_log_sum(node: Lowering, builder: Builder) -> View:
    """ONNX ReduceLogSum: the logarithm of a sum; axes as in the other reductions."""
    axes = node.argument(1, "axes") or []
    if _reduces_nothing(node, axes):
        return _each_element(node, builder)
    return apply_unary(builder, Unary.LOG, reduce_axes(node, builder, Reduce.SUM, axes))


def _reduces_nothing(node: Lowering, axes: list[int]) -> bool:
    return not axes and bool(node.attribute("noop_with_empty_axes", 0))


def _each_element(node: Lowering, builder: Builder) -> View:
    """The reduction of each element by itself, as the specification of noop_with_empty_axes says."""
    operator = _OF_ONE_ELEMENT.get(node.op)
    return node.view(0) if operator is None else apply_unary(builder, operator, node.view(0))


@rule("GlobalMaxPool", keeps_range=True)
@rule("GlobalAveragePool")
def global_pool(node: Lowering, builder: Builder) -> View:
    """ONNX GlobalAveragePool, GlobalMaxPool: one value a channel, the axes behind it kept with size 1."""
    operator = Reduce.MEAN if node.op == "GlobalAveragePool" else Reduce.MAX
    return reduce_axes(node, builder, operator, list(range(2, len(node.shape(0)))))


def reduce_axes(node: Lowering, builder: Builder, operator: Reduce, axes: list[int]) -> View:
    """A new buffer with the axes (all if empty) of the first input reduced, in the node's output shape."""
    x = node.operand(0)
    if not x.size:
        return _of_nothing(node, builder, operator, x.dtype)
    reduced = sorted({axis % x.rank for axis in axes}) or list(range(x.rank))
    return builder.reshape(reduce_view(builder, operator, x, reduced), node.output_shape())


def reduce_view(builder: Builder, operator: Reduce, x: View, reduced: list[int]) -> View:
    """A new buffer with some axes reduced: [axes that are kept], of x's carrier."""
    kept = [axis for axis in range(x.rank) if axis not in reduced]
    turned = x.transpose([*kept, *reduced])
    if len(reduced) == 1 and turned.shape[-1] == 2 and operator in _PAIRS and x.dtype == np.float32:
        return _reduce_pairs(builder, operator, turned)
    y = builder.allocate([x.shape[axis] for axis in kept], dtype=x.dtype)
    grouped = _three_and_three(builder, turned, len(kept))
    target = y.reshape(grouped.shape[:_SIDE])
    assert target is not None  # y is dense
    builder.emit("reduce" if x.dtype == np.float32 else "reduce_general", operator=operator, x=grouped, y=target)
    return y


def _of_nothing(node: Lowering, builder: Builder, operator: Reduce, dtype: np.dtype) -> View:
    """The reduction of no elements: the operator's neutral element, for a mean NaN.

    Source: ONNX ReduceMax and its siblings, "reduction over an empty set of values".
    """
    limits: tuple[float, float] = (0, 1) if node.input_type(0) == np.bool_ else (-np.inf, np.inf)
    if (integer := integer_format(node.input_type(0))) is not None:
        bits, signed = integer
        limits = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
    neutral = {Reduce.MAX: limits[0], Reduce.MIN: limits[1], Reduce.PROD: 1, Reduce.MEAN: np.nan}.get(operator, 0)
    return builder.constant(np.array(neutral, dtype)).broadcast(node.output_shape())


def _reduce_pairs(builder: Builder, operator: Reduce, x: View) -> View:
    """Over a last axis of 2, such as (real, imaginary): whole vectors of pairs at once, not pair by pair."""
    before, join, after = _PAIRS[operator]
    halves = [x[..., index] for index in range(2)]
    if before is not None:
        halves = [apply_unary(builder, before, half) for half in halves]
    joined = apply_binary(builder, join, *halves)
    return joined if after is None else apply_unary(builder, after, joined)


def _three_and_three(builder: Builder, x: View, kept: int) -> View:
    """x [kept ..., reduced ...] with either side as three axes; copied if its strides do not merge that far."""
    shape = _merged_shape(x, 0, kept) + _merged_shape(x, kept, x.rank)
    if len(shape) == 2 * _SIDE:
        return builder.reshape(x, shape)
    flat = builder.reshape(x, (int(np.prod(x.shape[:kept], dtype=np.int64)), -1))
    return flat[None, None, :, None, None, :]


def _merged_shape(x: View, start: int, stop: int) -> tuple[int, ...]:
    """The sizes of some axes, merged and filled up with ones to three; longer if they do not merge so far."""
    index = tuple(slice(None) if start <= axis < stop else 0 for axis in range(x.rank))
    shape = merge_axes(x[index])[0].shape
    return (1,) * (_SIDE - len(shape)) + shape


@rule("LpNormalization")
def lp_normalization(node: Lowering, builder: Builder) -> View:
    """Each element by the sum of absolute values along the axis (p = 1) or by its L2 norm; 0 where that is 0."""
    x, p = node.view(0), node.attribute("p", 2)
    if p not in (1, 2):
        raise node.refuse(f"attribute p is {p}", "use 1 or 2")
    axis = node.attribute("axis", -1) % x.rank
    norm = reduce_view(builder, Reduce.L1 if p == 1 else Reduce.L2, x, [axis])
    norm = builder.reshape(norm, (*x.shape[:axis], 1, *x.shape[axis + 1 :]))
    zero = builder.constant(np.zeros((), x.dtype))
    quotient = apply_binary(builder, Binary.DIV, x, norm)
    return select(builder, apply_binary(builder, Binary.EQUAL, norm, zero), zero, quotient)


@rule("Softmax", "LogSoftmax")
def softmax(node: Lowering, builder: Builder) -> View:
    """Below opset 13 the input is flattened to 2-D at the axis; from 13 on the axis alone is normalised."""
    x = node.view(0)
    axis = node.attribute("axis", -1 if node.opset >= 13 else 1) % x.rank
    if not x.size:
        return x
    outer = int(np.prod(x.shape[:axis], dtype=np.int64))
    inner = int(np.prod(x.shape[axis + 1 :], dtype=np.int64)) if node.opset >= 13 else 1
    shape = (outer, x.size // (outer * inner), inner)
    if node.input_type(0) != np.float32:
        return builder.reshape(_softmax_in_steps(node, builder, builder.reshape(x, shape)), x.shape)
    y = builder.allocate(shape)
    builder.emit("softmax", x=builder.reshape(x, shape), y=y, logarithm=int(node.op == "LogSoftmax"))
    return builder.reshape(y, x.shape)


def _softmax_in_steps(node: Lowering, builder: Builder, x: View) -> View:
    """Over the middle axis of three: of float64, and of narrow floats.

    These are rounded after each step, as ONNX's definition of Softmax has it.
    """
    dtype = node.input_type(0)

    def rounded(view: View) -> View:
        return conform(builder, view, dtype)

    def along(operator: Reduce, view: View) -> View:
        return reduce_view(builder, operator, view, [1])[:, None]

    shifted = rounded(apply_binary(builder, Binary.SUB, x, along(Reduce.MAX, x)))
    powers = rounded(apply_unary(builder, Unary.EXP, shifted))
    total = rounded(along(Reduce.SUM, powers))
    if node.op == "LogSoftmax":
        return apply_binary(builder, Binary.SUB, shifted, rounded(apply_unary(builder, Unary.LOG, total)))
    return apply_binary(builder, Binary.DIV, powers, total)
