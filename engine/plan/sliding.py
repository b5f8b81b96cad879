"""Keeps sliding windows in place: a cache that is joined with the newest values and cut again each step.

An export joins a cache with what is new, reads the window, and stores all but the oldest as the next cache: two copies
of the cache a step. Here the window itself lives in the stream's slot, and a step begins by moving it on: one copy.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import numpy as np

from ...kernels.contract import Space
from .builder import Builder, Instruction, merge_axes
from .elide import overlap, same_elements
from .view import Buffer, View


def keep_windows(builder: Builder) -> None:
    """Rewrite the builder's instructions and states in place; copies must have been elided."""
    for loading, saving in list(_pairs(builder.instructions)):
        window, cache = loading.operands["y"].buffer, loading.operands["x"]
        if not _can_stay(builder.instructions, loading, saving):
            continue
        before = next(value for buffer, value in builder.states if buffer is cache.buffer)
        initial = np.zeros(window.elements, np.float32)
        _placed(saving.operands["x"], initial)[...] = _placed(cache, before.reshape(-1))
        window.space, window.pinned = Space.STATE, True
        builder.states.append((window, initial))
        moving = Instruction("copy", {"x": saving.operands["x"], "y": loading.operands["y"]}, loading.node)
        first = next(i for i, item in enumerate(builder.instructions) if _touches(item, window))
        builder.instructions.insert(first, moving)
        builder.instructions = [item for item in builder.instructions if item is not loading and item is not saving]
    used = {view.buffer for item in builder.instructions for _, view in item.tensors()}
    builder.states = [(buffer, value) for buffer, value in builder.states if buffer in used]


def _placed(view: View, memory: np.ndarray) -> np.ndarray:
    """The elements of another memory that lie where a view's lie in its buffer."""
    strides = [stride * memory.itemsize for stride in view.strides]
    return np.lib.stride_tricks.as_strided(memory[view.offset :], view.shape, strides)


def _pairs(instructions: list[Instruction]) -> Iterator[tuple[Instruction, Instruction]]:
    """Copies from a part of a state to a window, each with the later copy from the window to that part."""
    loads: dict[Buffer, list[Instruction]] = defaultdict(list)
    for item in instructions:
        if item.kernel != "copy":
            continue
        source, target = item.operands["x"], item.operands["y"]
        if source.buffer.space is Space.STATE and target.buffer.space is Space.ARENA and not target.buffer.pinned:
            loads[target.buffer].append(item)
        for loading in loads.get(source.buffer, []):
            if same_elements(loading.operands["x"], target):
                yield loading, item


def _can_stay(instructions: list[Instruction], loading: Instruction, saving: Instruction) -> bool:
    """Whether the window can live from step to step, moved on before a step's first use of it."""
    cache, old, new = loading.operands["x"], loading.operands["y"], saving.operands["x"]
    window = old.buffer
    others = [item for item in instructions if item is not loading and item is not saving]
    saved = False
    for item in instructions:
        saved = saved or item is saving
        for field, view in item.tensors():
            if item is loading or item is saving:
                continue
            if view.buffer is cache.buffer and overlap(view, cache):
                return False  # somebody else reads or writes the cache itself
            if view.buffer is window and field.written and (saved or overlap(view, old)):
                return False
    return window.space is Space.ARENA and _moves_down(new, old) and any(_touches(item, window) for item in others)


def _moves_down(source: View, target: View) -> bool:
    """Whether a copy from row to row of one buffer, upwards through memory, reads each element before it is lost."""
    if source.shape != target.shape or source.strides != target.strides or source.offset <= target.offset:
        return False
    merged, _ = merge_axes(source, target)
    strides = merged.strides
    return len(strides) <= 2 and strides[-1:] == (1,) and all(stride > 0 for stride in strides)


def _touches(item: Instruction, buffer: Buffer) -> bool:
    return any(view.buffer is buffer for _, view in item.tensors())
