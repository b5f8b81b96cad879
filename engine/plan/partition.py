"""Cuts the big instructions of a program into parts that several threads compute side by side.

A part is an ordinary instruction on views of the same buffers: a share of the images of a batch, of the rows or of the
channels of a result. No sum is cut, so a result has the same bits on any number of threads. Parts stand next to each
other in the table; back ends that know nothing of threads run them one after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from ...kernels import winograd
from ...kernels.contract import PANEL, TensorRef
from ...kernels.packing import CHANNEL_BLOCK
from ...kernels.schemas import KERNEL_BY_NAME
from .builder import Builder, Instruction
from .view import View

SMALLEST_PROGRAM = 20_000_000
"""Multiply-adds a step below which a program stays on one thread: it takes less than half a millisecond."""

SMALLEST_INSTRUCTION = 1_000_000
"""Multiply-adds that are worth a barrier, which takes about a microsecond where both threads compute."""

SMALLEST_RESULT = 1 << 16
"""Elements that are worth a barrier in an instruction that moves or combines them."""

_LEAST_BALANCE = 0.8
"""Share of the threads' time that a cut must use, if there is no better one."""

Operands = dict[str, Any]


@dataclass(frozen=True)
class _Cut:
    """One way of cutting an instruction."""

    size: int
    """Along the axis that is cut."""
    step: int
    """Parts start at multiples of it."""
    part: Callable[[int, int], Operands]
    """(first, end) -> the operands that change."""

    def shares(self, threads: int) -> list[tuple[int, int]]:
        """(first, end) of each part, as equal as can be."""
        steps = -(-self.size // self.step)
        bounds = [min(self.size, steps * i // threads * self.step) for i in range(threads)] + [self.size]
        return [(first, end) for first, end in pairwise(bounds) if end > first]

    def balance(self, threads: int) -> float:
        """Average part over largest part: 1 at best."""
        return self.size / threads / max(end - first for first, end in self.shares(threads))


def partition(builder: Builder, threads: int) -> None:
    """Rewrite the builder's instructions in place, for a program of a size that pays; best when nothing else follows.

    Args:
        threads: parts of a cut instruction, at most.
    """
    sizes = [_multiply_adds(instruction) for instruction in builder.instructions]
    if threads < 2 or sum(sizes) < SMALLEST_PROGRAM:
        return
    result: list[Instruction] = []
    for instruction, size in zip(builder.instructions, sizes, strict=True):
        result += _parts(builder, instruction, threads) if _is_big(instruction, size) else [instruction]
    builder.instructions = result


def _multiply_adds(instruction: Instruction) -> int:
    return KERNEL_BY_NAME[instruction.kernel].multiply_adds(shapes(instruction.operands))


def shapes(operands: Operands) -> Operands:
    """Operands with references that have shapes and strides alone, as schemas look at them."""
    return {
        key: TensorRef(value.buffer.space, 0, value.shape, value.strides) if isinstance(value, View) else value
        for key, value in operands.items()
    }


def _is_big(instruction: Instruction, multiply_adds: int) -> bool:
    elements = max((view.size for _, view in instruction.tensors()), default=0)
    return multiply_adds >= SMALLEST_INSTRUCTION or elements >= SMALLEST_RESULT


def _parts(builder: Builder, instruction: Instruction, threads: int) -> list[Instruction]:
    """The instruction in parts, or as it is where no cut is good."""
    cuts = [cut for cut in _cuts(instruction) if cut.size > 1] if _writes_apart(instruction) else []
    best = max(cuts, key=lambda cut: round(cut.balance(threads), 1), default=None)  # the first of equals
    if best is None or best.balance(threads) < _LEAST_BALANCE:
        return [instruction]
    parts = []
    for number, (first, end) in enumerate(best.shares(threads)):
        operands = {**instruction.operands, **best.part(first, end)}
        schema = KERNEL_BY_NAME[instruction.kernel]
        if schema.scratch is not None:
            operands["scratch"] = builder.allocate((schema.scratch(shapes(operands)),))
        parts.append(replace(instruction, operands=operands, part=number))
    return parts


def _writes_apart(instruction: Instruction) -> bool:
    """Whether no part can write what another one reads: memory is not shared, or element by element."""
    reads, writes = instruction.reads(), instruction.writes()
    shared = [(r, w) for r in reads for w in writes if r.buffer is w.buffer]
    in_place = all((r.offset, r.shape, r.strides) == (w.offset, w.shape, w.strides) for r, w in shared)
    return not shared or (in_place and instruction.kernel in LOOPS)


def _cuts(instruction: Instruction) -> Sequence[_Cut]:
    """Ways of cutting an instruction, the cheapest first."""
    kernel, o = instruction.kernel, instruction.operands
    if kernel in _CHANNEL_STEPS:
        step = winograd.TILE if kernel == "conv_winograd" else 1  # no row of tiles is cut
        return [_along(o, 0, "x", "y"), _conv_windows(o, "height", "pad_top", step), *_conv_channels(kernel, o)]
    if kernel == "conv_depthwise":
        return [_along(o, 0, "x", "y"), _conv_windows(o, "height", "pad_top")]
    if kernel == "conv_volume":
        return [_along(o, 0, "x", "y"), _conv_windows(o, "depth", "pad_front")]
    if kernel == "sample":
        return [_along(o, 0, "x", "grid", "y"), _points(o)]
    if kernel in ("max_pool", "average_pool", "resize_linear", "reduce"):
        return [_along(o, 0, "x", "y"), _along(o, 1, "x", "y")]
    if kernel in ("dense", "gather"):  # not softmax, whose order of additions goes by the number of rows
        return [_along(o, 0, "x", "y")]
    if kernel == "matmul":
        return [_along(o, 0, "a", "b", "y"), _along(o, 1, "a", "b", "y"), _along(o, 2, "a", "y")]
    if kernel in LOOPS:
        # All tensors have the shape of what is written; a chain's program is none of them.
        shape = instruction.writes()[0].shape
        views = [field.name for field, view in instruction.tensors() if field.dtype != "int32"]
        if any(o[name].shape != shape for name in views):
            return []
        axes = [axis for axis, size in enumerate(shape) if size > 1]
        return [_along(o, axis, *views, step=_LOOP_STEP if axis == len(shape) - 1 else 1) for axis in axes[:2]]
    return []


LOOPS = frozenset({"copy", "fill", "unary", "binary", "where", "chain"})
"""Kernels all of whose tensors have one shape, and no axis a meaning; a chain's program is no tensor of these."""

_LOOP_STEP = 64 * PANEL
"""Elements in a row are cut where their vectors, and vectors of vectors, begin."""

_CHANNEL_STEPS = {
    "conv_wide": CHANNEL_BLOCK,
    "conv_narrow": PANEL,
    "conv_winograd": winograd.ROW_BLOCK * winograd.GROUP_BLOCKS,
}
"""Output channels after which a kernel's packed weights go on with the next block."""


def _along(o: Operands, axis: int, *names: str, step: int = 1) -> _Cut:
    """The same axis of several tensors."""

    def part(first: int, end: int) -> Operands:
        return {name: o[name][(slice(None),) * axis + (slice(first, end),)] for name in names}

    return _Cut(o[names[-1]].shape[axis], step, part)


def _conv_windows(o: Operands, along: str, pad: str, step: int = 1) -> _Cut:
    """Rows or planes of the result, its axis 2; the input starts with the first one that they read."""
    stride = o[f"stride_{along}"]

    def part(first: int, end: int) -> Operands:
        start = first * stride - o[pad]
        return {"x": o["x"][:, :, max(start, 0) :], "y": o["y"][:, :, first:end], pad: max(-start, 0)}

    # Windows that lie beyond the input stay with those that do not.
    reaches = (o["y"].shape[2] - 1) * stride - o[pad] < o["x"].shape[2]
    return _Cut(o["y"].shape[2] if reaches else 1, step, part)


def _points(o: Operands) -> _Cut:
    """Points of a grid."""

    def part(first: int, end: int) -> Operands:
        return {"grid": o["grid"][:, first:end], "y": o["y"][:, :, first:end]}

    return _Cut(o["y"].shape[2], 1, part)


def _conv_channels(kernel: str, o: Operands) -> list[_Cut]:
    """Output channels, block by block of the packed weights; each part reads all of the input."""
    outputs, step = o["y"].shape[1], _CHANNEL_STEPS[kernel]
    if o["groups"] != 1:
        return []
    taps = winograd.PLANES if kernel == "conv_winograd" else o["kernel_height"] * o["kernel_width"]
    column = taps * o["x"].shape[1]

    def part(first: int, end: int) -> Operands:
        last = -(-end // step) * step
        changed: Operands = {"y": o["y"][:, first:end], "weights": o["weights"][first * column : last * column]}
        for name in ("bias", "slope"):
            if o[name] is not None:
                changed[name] = o[name][first:]
        return changed

    return [_Cut(outputs, step, part)]
