"""Operators that write at positions: a copy of the data, in place where nothing else reads it, then the updates."""

from __future__ import annotations

import numpy as np

from ....kernels.opcodes import Binary
from ....kernels.opcodes_general import GeneralBinary
from ....kernels.opcodes_indexing import Scatter
from ..builder import Builder
from ..carriers import INT64, UINT64, carrier, conform, convert
from ..view import View
from .elementwise import apply_binary, apply_general_binary, from_signed_order, in_signed_order
from .indexing import along_last_axis
from .places import flat_positions, scatter_at
from .registry import Lowering, rule
from .views import regular_steps

_ARITHMETIC = (Scatter.ADD, Scatter.MUL)
_ORDERED = (Scatter.MAX, Scatter.MIN)


@rule("Scatter", "ScatterElements", keeps_range=True)
def scatter_elements(node: Lowering, builder: Builder) -> View:
    """Each update names its position along the axis; one outside it is dropped."""
    reduction, y, updates = _operands(node, builder)
    indices = node.operand(1)
    if indices.shape != updates.shape or indices.rank != y.rank:
        shapes = f"indices {list(indices.shape)} and updates {list(updates.shape)} of data {list(y.shape)}"
        raise node.refuse(shapes, "indices and updates of one shape, with as many axes as the data, would work")
    axis = node.attribute("axis", 0) % y.rank
    target = along_last_axis(y, axis, indices.shape)[..., None]
    updates = updates.swap(axis, -1)[..., None]
    scatter_at(builder, target, indices.swap(axis, -1), updates, reduction)
    return _finished(node, builder, y, reduction)


@rule("ScatterND", keeps_range=True)
def scatter_nd(node: Lowering, builder: Builder) -> View:
    """Rows or elements by their indices along the first axes; updates outside of these are dropped.

    Exporters write `cache[:, i] = new` as a ScatterND whose constant indices are a regular box: that is a copy.
    """
    shape, depth = node.shape(0), node.shape(1)[-1]
    kept = int(np.prod(shape[depth:], dtype=np.int64))
    reduction, y, updates = _operands(node, builder)
    window = _regular_window(node, y) if reduction is Scatter.NONE else None
    if window is not None:
        builder.copy(updates, window)
        return y
    numbers = flat_positions(builder, node.operand(1), shape[:depth])
    rows = y.reshape((int(np.prod(shape[:depth], dtype=np.int64)), kept))
    assert rows is not None  # y is dense
    scatter_at(
        builder,
        rows,
        builder.reshape(numbers, (numbers.size,)),
        builder.reshape(updates, (numbers.size, kept)),
        reduction,
    )
    return _finished(node, builder, y, reduction)


def _operands(node: Lowering, builder: Builder) -> tuple[Scatter, View, View]:
    """The reduction, the data in memory that may be overwritten, and the updates.

    Sums and products of narrow integers are computed in int64; the order of uint64 in that of int64. The sum of truth
    values is the larger one.
    """
    name = node.attribute("reduction", "none").upper()
    if name not in Scatter.__members__:
        raise node.refuse(f"attribute reduction is {name.lower()!r}", "use none, add, mul, max or min")
    reduction = Scatter[name]
    if reduction is Scatter.ADD and node.input_type(0) == np.bool_:
        reduction = Scatter.MAX
    if reduction in _ORDERED and node.view(0).dtype == UINT64:
        return reduction, in_signed_order(builder, node.view(0)), in_signed_order(builder, node.view(2))
    if reduction in _ARITHMETIC:
        data, updates = node.operand(0), node.operand(2)
    else:
        data, updates = node.view(0), node.view(2)
    y = node.take_over(0) if data is node.view(0) else None
    if y is None:
        y = builder.allocate(data.shape, dtype=data.dtype)
        builder.copy(data, y)
    return reduction, y, updates


def _finished(node: Lowering, builder: Builder, y: View, reduction: Scatter) -> View:
    """The data after the updates, as a value of its type."""
    if reduction in _ORDERED:
        return from_signed_order(builder, y, node.output_type())
    return conform(builder, y, node.output_type()) if reduction in _ARITHMETIC else y


def _regular_window(node: Lowering, y: View) -> View | None:
    """The view of y, dense, that constant indices in a regular box name; None if they are not, or arrive."""
    indices = node.constant(1)
    if indices is None or not indices.size:
        return None
    depth = indices.shape[-1]
    counted = np.array(y.shape[:depth])
    flat = indices.reshape(-1, depth)
    flat = np.where(flat < 0, flat + counted, flat)
    if (flat < 0).any() or (flat >= counted).any():
        raise node.refuse(f"indices outside of {counted.tolist()}", "use those that the data has")
    positions = np.asarray(np.ravel_multi_index(tuple(flat.T), tuple(counted.tolist()))).reshape(indices.shape[:-1])
    steps = regular_steps(positions)
    if steps is None or len(np.unique(positions)) != positions.size:
        return None
    inner = int(np.prod(y.shape[depth:], dtype=np.int64))
    tail = tuple(int(np.prod(y.shape[axis + 1 :], dtype=np.int64)) for axis in range(depth, y.rank))
    return y.strided(
        y.offset + int(positions.flat[0]) * inner,
        (*positions.shape, *y.shape[depth:]),
        (*(step * inner for step in steps), *tail),
    )


@rule("TensorScatter", keeps_range=True)
def tensor_scatter(node: Lowering, builder: Builder) -> View:
    """A sequence of updates to a cache, from an index for each batch on; round its end if circular."""
    past, updates = node.view(0), node.view(1)
    axis = node.attribute("axis", -2) % past.rank
    steps = builder.constant(np.arange(updates.shape[axis]))
    indices = steps[None]
    if node.has(2):
        first = builder.reshape(node.operand(2), (past.shape[0], 1))
        indices = apply_general_binary(builder, GeneralBinary.ADD, first, steps)
    if node.attribute("mode", "linear") == "circular":
        length = builder.constant(np.array(past.shape[axis]))
        indices = apply_general_binary(builder, GeneralBinary.MOD, indices, length)
    y = node.take_over(0)
    if y is None:
        y = builder.allocate(past.shape, dtype=past.dtype)
        builder.copy(past, y)
    heads = past.shape[:axis]
    table = indices.broadcast((past.shape[0], indices.shape[1]))
    table = table[(slice(None), *(None,) * (len(heads) - 1))].broadcast((*heads, table.shape[1]))
    rows = [builder.reshape(view, (*heads, view.shape[axis], -1)) for view in (y, updates)]
    scatter_at(builder, rows[0], table, rows[1])
    return y


@rule("OneHot", shaping=(1,), keeps_range=True)
def one_hot(node: Lowering, builder: Builder) -> View:
    """ONNX OneHot: all `off`, then `on` at each index that there is; indices outside the axis leave all off."""
    indices = node.view(0)
    if indices.dtype == UINT64:  # as int64 the highest would count from the end
        limit = builder.constant(np.array(np.iinfo(np.int64).max, np.uint64))
        indices = apply_binary(builder, Binary.MIN, indices, limit)
    indices = convert(builder, indices, INT64)
    off_and_on = node.view(2)
    shape = node.output_shape()
    axis = node.attribute("axis", -1) % len(shape)
    y = builder.allocate(shape, dtype=carrier(node.output_type()))
    builder.copy(off_and_on[0], y)
    target = y.transpose([*(a for a in range(y.rank) if a != axis), axis])[..., None]
    on = off_and_on[1].broadcast((*indices.shape, 1, 1))
    scatter_at(builder, target, indices[..., None], on)
    return y
