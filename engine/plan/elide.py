"""Removes copies: where a buffer exists only to be copied elsewhere, its producers write to the final place at once.

This is what makes Concat, carried state and kept context cost nothing where strides allow.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...kernels.contract import Space, Tensor, fits_layout
from .builder import Builder, Instruction
from .view import Buffer, View

_MAY_ALIAS = {
    ("last_hidden", "initial_hidden"),
    ("last_cell", "initial_cell"),
}
"""(written, read) operands of one instruction that may share memory: each element is read before it is written."""


_OVERLAP_WORK: Any = 10_000
"""Candidates tried before an overlap is too hard to decide; Any, since NumPy's stubs know 0 and -1 only."""


def elide_copies(builder: Builder) -> None:
    """Rewrite the builder's instructions in place, last copy first, until no more copies go."""
    eliding = _Eliding(builder.instructions)
    copies = [i for i, item in enumerate(builder.instructions) if item.kernel == "copy"]
    before = -1
    while before < len(eliding.gone):  # one copy that goes may be what kept another
        before = len(eliding.gone)
        for index in reversed(copies):
            if index not in eliding.gone:
                eliding.redirect(index)
    builder.instructions = [item for i, item in enumerate(builder.instructions) if i not in eliding.gone]


class _Eliding:
    """The instructions, which of them touch each buffer, and which copies are gone."""

    def __init__(self, instructions: Sequence[Instruction]) -> None:
        self._instructions = instructions
        self.gone: set[int] = set()
        self._touching: dict[Buffer, set[int]] = defaultdict(set)
        for index, instruction in enumerate(instructions):
            for _, view in instruction.tensors():
                self._touching[view.buffer].add(index)

    def redirect(self, index: int) -> None:
        """Move the source of one copy to its target's memory, if that changes no number."""
        source, target = self._instructions[index].operands["x"], self._instructions[index].operands["y"]
        buffer = source.buffer
        if buffer.space is not Space.ARENA or buffer.pinned or buffer is target.buffer or not source.covers_buffer():
            return
        touching = sorted(self._touching[buffer] - self.gone - {index})
        writes = [i for i in touching if any(view.buffer is buffer for view in self._instructions[i].writes())]
        if not writes or touching[0] > index or writes[-1] > index:
            return
        moves = self._moved(touching, buffer, _Placement(source, target))
        if moves is None or not self._target_is_quiet(moves, index, touching[-1], target):
            return
        for move in moves:
            self._instructions[move.index].operands[move.field.name] = move.view
        self._touching[target.buffer] |= set(touching)
        self.gone.add(index)
        # What was first copied from the target to be written over in part is written there at once.
        self.gone |= {i for i in writes if _copies_to_itself(self._instructions[i])}

    def _moved(self, touching: Sequence[int], buffer: Buffer, place: _Placement) -> list[_Move] | None:
        """Every view of a buffer at its new place, or None where strides can not express one of them."""
        moves = []
        for i in touching:
            for field, view in self._instructions[i].tensors():
                if view.buffer is buffer:
                    moved = place.move(view)
                    if moved is None or not fits_layout(field.layout, moved.shape, moved.strides):
                        return None
                    moves.append(_Move(i, field, moved))
        return moves

    def _target_is_quiet(self, moves: Sequence[_Move], index: int, last: int, target: View) -> bool:
        """Whether the target's elements can hold the source while it is alive.

        Until the copy nobody else may write them, and nobody may read one that the source has already overwritten;
        from the copy to the source's last reader nobody may write them.
        """
        first = moves[0].index
        written = [move for move in moves if move.field.written and not self._stays(move)]
        for i in self._touching[target.buffer] - self.gone - {index}:
            if not first <= i <= max(index, last):
                continue
            for field, view in self._instructions[i].tensors():
                if view.buffer is not target.buffer or not overlap(view, target):
                    continue
                if field.written:
                    return False
                if any(move.index <= i and not _may_follow(move, i, field, view) for move in written) and i <= index:
                    return False
        return True

    def _stays(self, move: _Move) -> bool:
        """Whether a write at its new place puts there what is there already."""
        instruction = self._instructions[move.index]
        return instruction.kernel == "copy" and same_elements(instruction.operands["x"], move.view)


@dataclass(frozen=True, slots=True)
class _Move:
    """One operand of one instruction at its new place."""

    index: int
    field: Tensor
    view: View


def _copies_to_itself(instruction: Instruction) -> bool:
    return instruction.kernel == "copy" and same_elements(instruction.operands["x"], instruction.operands["y"])


def same_elements(a: View, b: View) -> bool:
    """Whether two views show the same elements in the same order."""
    return a.buffer is b.buffer and a.offset == b.offset and a.shape == b.shape and a.strides == b.strides


def _may_follow(write: _Move, index: int, field: Tensor, view: View) -> bool:
    """Whether instruction `index` may read `view` at or after a write to a new place."""
    if not overlap(write.view, view):
        return True
    same = view.offset == write.view.offset and view.size == write.view.size
    return write.index == index and same and (write.field.name, field.name) in _MAY_ALIAS


def overlap(a: View, b: View) -> bool:
    """Whether two views of one buffer may share an element; exact for small cases, careful otherwise."""
    return bool(np.may_share_memory(a.array, b.array, max_work=_OVERLAP_WORK)) if a.size and b.size else False


class _Placement:
    """How the elements of one buffer map into another: by the axes of the copy that joined them."""

    def __init__(self, source: View, target: View) -> None:
        axes = [axis for axis in range(source.rank) if source.shape[axis] > 1]
        axes.sort(key=lambda axis: -source.strides[axis])
        self._sizes = [source.shape[axis] for axis in axes]
        self._source_strides = [source.strides[axis] for axis in axes]
        self._target_strides = [target.strides[axis] for axis in axes]
        self._target = target

    def move(self, view: View) -> View | None:
        """The same elements at their new place, or None where strides can not express it."""
        base = self._split(view.offset)
        reach = list(base)
        strides: list[int] = []
        for size, stride in zip(view.shape, view.strides, strict=True):
            if size == 1 or stride == 0:
                strides.append(0)
                continue
            steps = self._step(size, stride, reach)
            if steps is None:
                return None
            strides.append(steps)
        if any(position >= size for position, size in zip(reach, self._sizes, strict=True)):
            return None
        offset = self._target.offset + sum(p * s for p, s in zip(base, self._target_strides, strict=True))
        return self._target.strided(offset, view.shape, strides)

    def _split(self, offset: int) -> list[int]:
        position = []
        for stride in self._source_strides:
            position.append(offset // stride)
            offset %= stride
        return position

    def _step(self, size: int, stride: int, reach: list[int]) -> int | None:
        """The new stride of one axis of a view, and how far it reaches along the buffer's own axes."""
        if stride < 0:
            return None
        for axis, (own, moved) in enumerate(zip(self._source_strides, self._target_strides, strict=True)):
            if stride % own == 0 and stride // own < self._sizes[axis]:
                reach[axis] += (size - 1) * (stride // own)
                if reach[axis] < self._sizes[axis]:
                    return (stride // own) * moved
                # The axis runs on into the one outside it: right if that one lies just as densely at the target.
                return self._run_on(axis, size, stride, reach)
        return None

    def _run_on(self, axis: int, size: int, stride: int, reach: list[int]) -> int | None:
        """An axis of a view that spans several axes of the buffer, all of them merged at the target too."""
        own, moved = self._source_strides[axis], self._target_strides[axis]
        if reach[axis] != (size - 1) * (stride // own):  # it must start at the beginning of the axis
            return None
        remaining, inner = size * (stride // own), axis
        while remaining > self._sizes[inner]:
            if remaining % self._sizes[inner] or inner == 0:
                return None
            outer = inner - 1
            if self._target_strides[outer] != self._target_strides[inner] * self._sizes[inner]:
                return None
            remaining //= self._sizes[inner]
            reach[inner] = self._sizes[inner] - 1
            inner = outer
        reach[inner] = remaining - 1
        return (stride // own) * moved
