"""Lays out the arena by lifetime: buffers that never live at the same time share the same bytes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ...kernels.contract import Space
from ...kernels.table import align
from .builder import Instruction
from .view import Buffer


def place_in_order(buffers: Iterable[Buffer]) -> int:
    """Put buffers end to end and return the bytes that they take: state, which lives for ever."""
    end = 0
    for buffer in buffers:
        buffer.offset_bytes = end
        end += align(buffer.nbytes)
    return end


def moments(instructions: Sequence[Instruction]) -> list[int]:
    """When each instruction runs, counted from 0: parts that run side by side have one moment."""
    result: list[int] = []
    for instruction in instructions:
        result.append(result[-1] + (not instruction.part) if result else 0)
    return result


def lifetimes(instructions: Sequence[Instruction]) -> dict[Buffer, tuple[int, int]]:
    """First and last moment that touches each arena buffer; pinned buffers live from before to after all."""
    spans: dict[Buffer, tuple[int, int]] = {}
    for index, instruction in zip(moments(instructions), instructions, strict=True):
        for _, view in instruction.tensors():
            if view.buffer.space is Space.ARENA:
                first = spans.get(view.buffer, (index, index))[0]
                spans[view.buffer] = (first, index)
    return {buffer: (-1, len(instructions)) if buffer.pinned else span for buffer, span in spans.items()}


def place_by_lifetime(spans: dict[Buffer, tuple[int, int]]) -> int:
    """Give each buffer the lowest free place, the largest first, and return the size of the arena in bytes.

    Source: "greedy by size", Pisarchyk and Lee, Efficient Memory Management for Deep Neural Net Inference (2020), 4.3.
    """
    placed: list[tuple[int, int, int, int]] = []  # start, end, first, last
    total = 0
    for buffer, (first, last) in sorted(spans.items(), key=lambda item: -item[0].nbytes):
        size = align(max(buffer.nbytes, 1))
        start = 0
        for other_start, other_end, other_first, other_last in sorted(placed):
            if other_first <= last and first <= other_last and other_start < start + size and start < other_end:
                start = other_end
        buffer.offset_bytes = start
        placed.append((start, start + size, first, last))
        total = max(total, start + size)
    return total
