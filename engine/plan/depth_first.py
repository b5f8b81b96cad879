"""Runs a batch of images through several layers a few at a time, where all together leave the second-level cache.

Layer after layer, a batch is written to memory and read again as a whole. Where neighbouring instructions work on each
image by itself, their order can be turned: all of them on the first images, then all on the next. What only they touch
shrinks to the size of one part, and every part uses the same memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ...kernels.contract import PANEL, Space
from ...kernels.schemas import KERNEL_BY_NAME
from ...kernels.winograd import count_tiles
from .builder import Builder, Instruction
from .partition import LOOPS, shapes
from .view import Buffer, View

WHOLE_BYTES = 1 << 19
"""What an instruction on the whole batch must touch before its order is turned: half a second-level cache."""

PART_BYTES = 1 << 18
"""What an instruction on one part should touch at most."""

_MOST_PARTS = 64
_FEWEST_INSTRUCTIONS = 2
_FEWEST_TILES = 4 * PANEL

_SEPARABLE = frozenset(
    {"conv_wide", "conv_narrow", "conv_winograd", "conv_depthwise", "max_pool", "average_pool", "resize_linear"}
)
"""Kernels whose x and y have the batch as their first axis and that compute each image by itself."""


@dataclass
class _Run:
    """Neighbouring instructions that can be turned."""

    batch: int
    start: int
    """Index of the first instruction."""
    instructions: list[Instruction] = field(default_factory=list)
    strides: dict[Buffer, int] = field(default_factory=dict)
    """Elements from image to image in each buffer; 0 where images are not apart, which is right if all only read."""
    written: set[Buffer] = field(default_factory=set)

    def takes(self, instruction: Instruction) -> bool:
        """Add an instruction, unless an image could then meet another one's elements."""
        strides, written = dict(self.strides), self.written | {view.buffer for view in instruction.writes()}
        images = dict(_images(instruction))
        for operand, view in instruction.tensors():
            step = _step(view) if operand.name in images else 0
            if strides.setdefault(view.buffer, step) != step:
                strides[view.buffer] = 0
        if any(strides[buffer] == 0 for buffer in written - _scratch(instruction)):
            return False
        self.instructions.append(instruction)
        self.strides, self.written = strides, written - _scratch(instruction)
        return True


def turn_batches(builder: Builder) -> None:
    """Rewrite the builder's instructions in place; best when operands are where they will stay."""
    instructions = builder.instructions
    touching: dict[Buffer, list[int]] = {}
    for index, instruction in enumerate(instructions):
        for _, view in instruction.tensors():
            touching.setdefault(view.buffer, []).append(index)
    result: list[Instruction] = []
    for run in _runs(instructions):
        pays = len(run.instructions) >= _FEWEST_INSTRUCTIONS and max(map(_bytes, run.instructions)) > WHOLE_BYTES
        result += _turned(builder, run, touching) if run.batch > 1 and pays else run.instructions
    builder.instructions = result


def _runs(instructions: Sequence[Instruction]) -> list[_Run]:
    """All instructions in runs; those that can not be turned are runs of batch 1."""
    runs: list[_Run] = []
    for index, instruction in enumerate(instructions):
        batch = _batch(instruction)
        if batch > 1 and runs and runs[-1].batch == batch and runs[-1].takes(instruction):
            continue
        run = _Run(batch, index)
        if batch == 1 or not run.takes(instruction):
            run = _Run(1, index, [instruction])
        runs.append(run)
    return runs


def _batch(instruction: Instruction) -> int:
    """Images that an instruction computes one by one; 1 if it does not."""
    if instruction.kernel in LOOPS:
        sizes = {view.shape[:1] for _, view in _images(instruction)}
        return sizes.pop()[0] if len(sizes) == 1 and () not in sizes else 1
    if instruction.kernel not in _SEPARABLE:
        return 1
    batch, _, height, width = instruction.operands["y"].shape
    if instruction.kernel == "conv_winograd":
        # Tiles of several images share vectors: few of one would not fill them.
        return batch if count_tiles(height) * count_tiles(width) >= _FEWEST_TILES else 1
    # A single pixel an image is a matrix product: its weights are read once for all images.
    return batch if height * width > 1 else 1


def _images(instruction: Instruction) -> list[tuple[str, View]]:
    """The operands that have a batch axis."""
    loops = instruction.kernel in LOOPS
    return [
        (operand.name, view)
        for operand, view in instruction.tensors()
        if (operand.dtype != "int32" if loops else operand.name in ("x", "y"))
    ]


def _step(view: View) -> int:
    """Elements from image to image, if images lie apart from the buffer's start on; else 0."""
    step, inner = view.strides[0], view.strides[1:]
    extent = 1 + sum((size - 1) * stride for size, stride in zip(view.shape[1:], inner, strict=True))
    return step if step > 0 and min(inner, default=0) >= 0 and view.offset + extent <= step else 0


def _scratch(instruction: Instruction) -> set[Buffer]:
    """What each part gets anew."""
    scratch = instruction.operands.get("scratch")
    return {scratch.buffer} if scratch else set()


def _bytes(instruction: Instruction) -> int:
    return sum(4 * view.size for _, view in _images(instruction))


def _turned(builder: Builder, run: _Run, touching: dict[Buffer, list[int]]) -> list[Instruction]:
    images = max(1, PART_BYTES * run.batch // max(map(_bytes, run.instructions)))
    images = max(images, -(-run.batch // _MOST_PARTS))
    own = {buffer for buffer in run.written if _is_own(buffer, run, touching[buffer])}
    result = []
    for first in range(0, run.batch, images):
        end = min(first + images, run.batch)
        places = {buffer: _smaller(buffer, run.strides[buffer] * (end - first)) for buffer in own}
        result += [_part(builder, instruction, first, end, places) for instruction in run.instructions]
    return result


def _is_own(buffer: Buffer, run: _Run, touching: Sequence[int]) -> bool:
    """Whether nobody else touches a buffer, so that it may be smaller."""
    inside = run.start <= touching[0] and touching[-1] < run.start + len(run.instructions)
    return buffer.space is Space.ARENA and not buffer.pinned and inside


def _smaller(buffer: Buffer, elements: int) -> Buffer:
    return Buffer(buffer.space, np.empty(elements, buffer.phantom.dtype))


def _part(
    builder: Builder, instruction: Instruction, first: int, end: int, places: dict[Buffer, Buffer]
) -> Instruction:
    """One instruction on the images first .. end - 1."""
    operands: dict[str, Any] = dict(instruction.operands)
    for name, view in _images(instruction):
        if view.buffer in places:
            place = View.whole(places[view.buffer], (places[view.buffer].elements,))
            operands[name] = place.strided(view.offset, (end - first, *view.shape[1:]), view.strides)
        else:
            operands[name] = view[first:end]
    schema = KERNEL_BY_NAME[instruction.kernel]
    if schema.scratch is not None:
        operands["scratch"] = builder.allocate((schema.scratch(shapes(operands)),))
    return replace(instruction, operands=operands)
