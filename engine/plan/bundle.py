"""Bundles small recurrent layers: neighbours that do not wait for each other run side by side in one instruction.

A step of a small GRU is all latency. `gru_small` has lanes for several groups of sequences, each with an x of its own;
where the x, y and states of such layers lie at equal distances, as the parts of a split tensor do, views say so.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...kernels.contract import PANEL
from ...kernels.packing_recurrent import side_by_side, small_block
from .builder import Builder, Instruction
from .view import View

_KERNEL = "gru_small"
_GROUPED = ("x", "y", "initial_hidden", "last_hidden")
"""Operands whose first axis is the group."""
_PACKED = ("input_weights", "hidden_weights", "bias")


def bundle_layers(builder: Builder) -> None:
    """Rewrite the builder's instructions in place; best when their operands are where they will stay."""
    result: list[Instruction] = []
    for instruction in builder.instructions:
        joined = _joined(builder, result[-1], instruction) if result else None
        if joined is None:
            result.append(instruction)
        else:
            result[-1] = joined
    builder.instructions = result


def _joined(builder: Builder, first: Instruction, second: Instruction) -> Instruction | None:
    """One instruction for two, if they are alike, independent, fit into one vector and lie at equal distances."""
    if first.kernel != _KERNEL or second.kernel != _KERNEL or not _independent(first, second):
        return None
    a, b = first.operands, second.operands
    groups, directions, _, _, hidden = a["y"].shape
    used = directions * small_block(hidden)
    if (groups + 1) * used > PANEL or any(a[key] != b[key] for key in a if key not in _GROUPED + _PACKED):
        return None
    joined: dict[str, Any] = dict(a)
    for key in _GROUPED:
        if a[key] is None and b[key] is None:
            continue
        view = None if a[key] is None or b[key] is None else _stacked(a[key], b[key])
        if view is None:
            return None
        joined[key] = view
    for key in _PACKED:
        # Of the first, only the groups that it has; the second has one.
        parts = [_vectors(a[key])[:, : groups * used], _vectors(b[key])[:, :used]]
        joined[key] = builder.constant(side_by_side(parts))
    return Instruction(_KERNEL, joined, first.node)


def _vectors(packed: View) -> np.ndarray:
    return packed.array.reshape(-1, PANEL)


def _independent(first: Instruction, second: Instruction) -> bool:
    """Whether neither reads or writes what the other writes."""
    return not any(
        written.buffer is other.buffer and np.shares_memory(written.array, other.array)
        for one, two in ((first, second), (second, first))
        for written in one.writes()
        for other in [*two.reads(), *two.writes()]
    )


def _stacked(groups: View, one: View) -> View | None:
    """A view of [groups, ...] and one group more [1, ...] behind it; None if no stride takes it there."""
    if groups.buffer is not one.buffer or groups.shape[1:] != one.shape[1:] or groups.strides[1:] != one.strides[1:]:
        return None
    count = groups.shape[0]
    step = one.offset - groups.offset if count == 1 else groups.strides[0]
    if one.offset - groups.offset != count * step:
        return None
    return groups.strided(groups.offset, (count + 1, *groups.shape[1:]), (step, *groups.strides[1:]))
