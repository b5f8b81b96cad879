"""Operators that order and accumulate along an axis. NaN counts as larger than every number."""

from __future__ import annotations

import numpy as np

from ....kernels.opcodes_indexing import Cumulate
from ..builder import Builder
from ..carriers import INT64
from ..view import View
from .elementwise import from_signed_order, in_signed_order
from .places import scatter_at
from .registry import Lowering, rule


def _around(builder: Builder, x: View, axis: int) -> View:
    """x as [outer, axis, inner]."""
    outer = int(np.prod(x.shape[:axis], dtype=np.int64))
    inner = int(np.prod(x.shape[axis + 1 :], dtype=np.int64))
    return builder.reshape(x, (outer, x.shape[axis], inner))


@rule("ArgMax", "ArgMin")
def arg_reduce(node: Lowering, builder: Builder) -> View:
    """ONNX ArgMax, ArgMin: the first position of the best, or the last with select_last_index."""
    x = node.view(0)
    last = bool(node.attribute("select_last_index", 0))
    return _arg_reduce(node, builder, x, node.attribute("axis", 0) % x.rank, node.op == "ArgMax", last)


def _arg_reduce(node: Lowering, builder: Builder, x: View, axis: int, largest: bool, last: bool) -> View:
    """Positions [outer, inner] along an axis."""
    if not x.shape[axis]:
        raise node.refuse(f"axis {axis} of its input is empty", "use one of at least one element")
    grouped = _around(builder, in_signed_order(builder, x), axis)
    y = builder.allocate((grouped.shape[0], grouped.shape[2]), dtype=INT64)
    builder.emit("arg_reduce", largest=int(largest), last=int(last), x=grouped, y=y)
    return y


@rule("Hardmax")
def hardmax(node: Lowering, builder: Builder) -> View:
    """1 at the first largest element, else 0; below opset 13 the input is flattened to 2-D at the axis."""
    x = node.view(0)
    axis = node.attribute("axis", -1 if node.opset >= 13 else 1) % x.rank
    shape = x.shape
    if node.opset < 13:
        outer = int(np.prod(shape[:axis], dtype=np.int64))
        x, axis = builder.reshape(x, (outer, x.size // outer)), 1
    positions = _arg_reduce(node, builder, x, axis, largest=True, last=False)
    y = builder.allocate(x.shape, dtype=x.dtype)
    builder.fill(y, 0.0)
    one = builder.constant(np.ones((), x.dtype))
    target = _around(builder, y, axis).swap(1, 2)
    scatter_at(builder, target[..., None], positions[..., None], one.broadcast((*positions.shape, 1, 1)))
    return builder.reshape(y, shape)


@rule("TopK", shaping=(1,), keeps_range=True)
def top_k(node: Lowering, builder: Builder) -> list[View]:
    """ONNX TopK: always in order, of equals the first; `sorted` = 0 allows any order, this one too."""
    x = node.view(0)
    axis = node.attribute("axis", -1) % x.rank
    kept = node.output_shape(0)[axis]
    if kept > x.shape[axis]:
        raise node.refuse(f"k is {kept} on an axis of size {x.shape[axis]}", "use at most its size")
    grouped = _around(builder, in_signed_order(builder, x), axis)
    shape = (grouped.shape[0], kept, grouped.shape[2])
    values, indices = builder.allocate(shape, dtype=grouped.dtype), builder.allocate(shape, dtype=INT64)
    largest = int(node.attribute("largest", 1))
    builder.emit("top_k", largest=largest, x=grouped, values=values, indices=indices)
    return [from_signed_order(builder, values, x.dtype), indices]


@rule("CumSum", "CumProd", shaping=(1,))
def cumulate(node: Lowering, builder: Builder) -> View:
    """ONNX CumSum, CumProd: running sums or products, from the end with reverse, without themselves if exclusive."""
    x = node.operand(0)
    axis = int(node.needs_constant(1, "axis").reshape(-1)[0]) % x.rank
    y = builder.allocate(x.shape, dtype=x.dtype)
    views = [_around(builder, view, axis) for view in (x, y)]
    if node.attribute("reverse", 0):
        views = [view[:, ::-1] for view in views]
    operator = Cumulate.SUM if node.op == "CumSum" else Cumulate.PROD
    exclusive = int(node.attribute("exclusive", 0))
    builder.emit("cumulate", operator=operator, exclusive=exclusive, x=views[0], y=views[1])
    return y


@rule("Unique", keeps_range=True)
def unique(node: Lowering, builder: Builder) -> list[View]:
    """The different elements, or slices along the axis; where each is first, which each was, how often; how many."""
    x, axis = node.view(0), node.attribute("axis")
    axis = None if axis is None else axis % x.rank
    turned = x if axis is None else x.transpose([axis, *(other for other in range(x.rank) if other != axis)])
    count = x.size if axis is None else x.shape[axis]
    rows = in_signed_order(builder, builder.reshape(turned, (count, x.size // count if count else 0)))
    y = builder.allocate(rows.shape, dtype=rows.dtype)
    first, inverse, counts = (builder.allocate((count,), dtype=INT64) for _ in range(3))
    found = builder.allocate((1,), dtype=INT64)
    builder.emit(
        "unique",
        ordered=int(node.attribute("sorted", 1)),
        x=rows,
        y=y,
        first=first,
        inverse=inverse,
        counts=counts,
        count=found,
    )
    y = from_signed_order(builder, y, x.dtype)
    if axis is not None:
        y = builder.reshape(y, turned.shape)
        y = y.transpose(np.argsort([axis, *(other for other in range(x.rank) if other != axis)]).tolist())
    return [y, first, inverse, counts, found]


@rule("NonMaxSuppression", shaping=(2,))
def non_max_suppression(node: Lowering, builder: Builder) -> list[View]:
    """ONNX NonMaxSuppression: (batch, class, box) of the boxes that stay, and how many these are."""
    boxes, scores = node.view(0), node.view(1)
    most = int(node.needs_constant(2, "max_output_boxes_per_class").reshape(-1)[0]) if node.has(2) else 0
    thresholds = {}
    for index, name, absent in ((3, "iou_threshold", 0.0), (4, "score_threshold", -np.inf)):
        absent_value = builder.constant(np.full(1, absent, np.float32))
        thresholds[name] = builder.reshape(node.view(index), (1,)) if node.has(index) else absent_value
    y, count = builder.allocate(node.output_shape(0), dtype=INT64), builder.allocate((1,), dtype=INT64)
    if not y.size:
        return [y, builder.constant(np.zeros(1, np.int64))]
    builder.emit(
        "non_max_suppression",
        center_point_box=int(node.attribute("center_point_box", 0)),
        most=most,
        boxes=boxes,
        scores=scores,
        y=y,
        count=count,
        **thresholds,
    )
    return [y, count]
