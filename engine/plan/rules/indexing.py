"""Operators that read at positions: constant ones become views or tables, others arrive with the signal."""

from __future__ import annotations

import numpy as np

from ....kernels.opcodes_general import GeneralBinary
from ..builder import Builder
from ..carriers import INT64
from ..view import View
from .elementwise import apply_general_binary, select
from .places import flat_positions, gather_at
from .registry import Lowering, rule
from .views import gather_axis, regular_steps


@rule("Gather", keeps_range=True)
def gather(node: Lowering, builder: Builder) -> View:
    """Constant indices: an element, an arithmetic sequence or an unfolding is a view, anything else a kernel call.

    An index that arrives and lies outside the axis gives zeros.
    """
    x = node.view(0)
    axis = node.attribute("axis", 0) % x.rank
    indices = node.constant(1)
    if indices is None:
        return _gather_arriving(node, builder, axis)
    size = x.shape[axis]
    positions = np.where(indices < 0, indices + size, indices).reshape(-1)
    if positions.size and (positions.min() < 0 or positions.max() >= size):
        raise node.refuse(f"indices {indices.reshape(-1).tolist()} on an axis of size {size}", f"use 0 to {size - 1}")
    steps = regular_steps(positions.reshape(indices.shape)) if positions.size else None
    if steps is None:
        found = gather_axis(builder, x, axis, positions)
    else:
        stride = x.strides[axis]
        found = x.strided(
            x.offset + int(positions[0]) * stride,
            (*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]),
            (*x.strides[:axis], *(step * stride for step in steps), *x.strides[axis + 1 :]),
        )
    return builder.reshape(found, (*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]))


def _gather_arriving(node: Lowering, builder: Builder, axis: int) -> View:
    x, indices = node.view(0), node.operand(1)
    outer = int(np.prod(x.shape[:axis], dtype=np.int64))
    inner = int(np.prod(x.shape[axis + 1 :], dtype=np.int64))
    table = builder.reshape(indices, (1, indices.size)).broadcast((outer, indices.size))
    return gather_at(builder, builder.reshape(x, (outer, x.shape[axis], inner)), table)


@rule("GatherElements", keeps_range=True)
def gather_elements(node: Lowering, builder: Builder) -> View:
    """Each output element names the position of its own along the axis; one outside it gives 0."""
    x, indices = node.view(0), node.operand(1)
    axis = node.attribute("axis", 0) % x.rank
    x, indices = along_last_axis(x, axis, indices.shape), indices.swap(axis, -1)
    return gather_at(builder, x[..., None], indices)[..., 0].swap(axis, -1)


def along_last_axis(x: View, axis: int, shape: tuple[int, ...]) -> View:
    """x with its axis last and all others cut to a shape.

    Raises:
        ValueError: the shape has other axes than x, or is longer along one of them.
    """
    others = [(size, length) for index, (size, length) in enumerate(zip(shape, x.shape, strict=False)) if index != axis]
    if len(shape) != x.rank or any(size > length for size, length in others):
        raise ValueError(
            f"indices {list(shape)} do not fit data {list(x.shape)}: but for axis {axis}, none may be longer"
        )
    cut = tuple(slice(None) if index == axis else slice(size) for index, size in enumerate(shape))
    return x[cut].swap(axis, -1)


@rule("GatherND", keeps_range=True)
def gather_nd(node: Lowering, builder: Builder) -> View:
    """Rows or elements by their indices along the first axes behind the batch; outside of these: zeros."""
    x, indices = node.view(0), node.operand(1)
    batch_axes = node.attribute("batch_dims", 0)
    depth = indices.shape[-1]
    batch = int(np.prod(x.shape[:batch_axes], dtype=np.int64))
    counted, kept = x.shape[batch_axes : batch_axes + depth], x.shape[batch_axes + depth :]
    numbers = builder.reshape(flat_positions(builder, indices, counted), (batch, -1))
    rows = builder.reshape(x, (batch, int(np.prod(counted)), int(np.prod(kept, dtype=np.int64))))
    return gather_at(builder, rows, numbers)


@rule("ReverseSequence", keeps_range=True)
def reverse_sequence(node: Lowering, builder: Builder) -> View:
    """Position t of a sequence of length n reads n - 1 - t; behind its end every element stays."""
    x, lengths = node.view(0), node.operand(1)
    time_axis, batch_axis = (node.attribute(f"{name}_axis", default) for name, default in (("time", 0), ("batch", 1)))
    order = [batch_axis, time_axis, *(axis for axis in range(x.rank) if axis not in (batch_axis, time_axis))]
    x = x.transpose(order)
    steps = builder.constant(np.arange(x.shape[1]))
    lengths = builder.reshape(lengths, (x.shape[0], 1))
    turned = apply_general_binary(builder, GeneralBinary.SUB, lengths, builder.constant(np.arange(1, x.shape[1] + 1)))
    inside = apply_general_binary(builder, GeneralBinary.GREATER, lengths, steps)
    found = gather_at(builder, builder.reshape(x, (*x.shape[:2], -1)), select(builder, inside, turned, steps))
    back = found.reshape(x.shape)
    assert back is not None  # found is dense
    return back.transpose(np.argsort(order).tolist())


def non_zero(builder: Builder, x: View) -> tuple[View, View]:
    """Where x [any shape] is not 0: positions [elements] in the flat x, first as many as count [1] says; both int64."""
    flat = builder.reshape(x, (x.size,))
    positions, count = builder.allocate((x.size,), dtype=INT64), builder.allocate((1,), dtype=INT64)
    builder.emit("non_zero", x=flat, y=positions, count=count)
    return positions, count


@rule("Compress", keeps_range=True)
def compress(node: Lowering, builder: Builder) -> list[View]:
    """The slices, or elements if there is no axis, whose condition holds, and how many these are."""
    x = node.view(0)
    axis = node.attribute("axis")
    x = builder.reshape(x, (1, x.size, 1)) if axis is None else x
    axis = 1 if axis is None else axis % x.rank
    condition = node.view(1)[: x.shape[axis]]
    positions, count = non_zero(builder, condition)
    outer = int(np.prod(x.shape[:axis], dtype=np.int64))
    table = positions[None].broadcast((outer, positions.size))
    return [gather_at(builder, builder.reshape(x, (outer, x.shape[axis], -1)), table), count]


@rule("NonZero")
def where_not_zero(node: Lowering, builder: Builder) -> list[View]:
    """The indices [axes, elements] of all elements that are not 0, and how many these are."""
    x = node.view(0)
    positions, count = non_zero(builder, x)
    y = builder.allocate(node.output_shape(), dtype=INT64)
    inner = 1
    for axis in reversed(range(x.rank)):
        size, step = (builder.constant(np.array(number)) for number in (x.shape[axis], inner))
        index = apply_general_binary(builder, GeneralBinary.DIV, positions, step)
        builder.copy(apply_general_binary(builder, GeneralBinary.MOD, index, size), y[axis])
        inner *= x.shape[axis]
    return [y, count]
