"""Makes one instruction of element-wise ones that follow each other over one shape.

A short tensor costs an element-wise instruction more to enter than to compute, and a long one is read from and written
to memory between any two. In a chain the values stay in the first-level cache. The steps are those of the unary,
binary and where kernels, so no bit changes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...kernels.contract import Space
from ...kernels.opcodes import Binary
from ...kernels.schemas.chain import CHAIN_INPUTS, CHAIN_OUTPUTS, CHAIN_TEMPORARIES, CHAIN_WORDS
from .builder import Builder, Instruction, loop_views, merge_axes
from .elide import same_elements
from .view import Buffer, View

_FAMILIES = {"unary": (0, ("x",)), "binary": (1, ("a", "b")), "where": (2, ("condition", "a", "b"))}
_FIRST_OUTPUT = CHAIN_INPUTS + CHAIN_TEMPORARIES
_MOST_STEPS = 32
_SHORT_ROW = 128
"""Elements; the loops of longer rows cost more than their start."""
_SPREAD_BYTES = 16384
"""Constants up to this size are stored as often as they are used, so that a short loop need not repeat them."""


def fuse_chains(builder: Builder) -> None:
    """Rewrite the builder's instructions in place: each run of element-wise ones becomes a few chains."""
    instructions = builder.instructions
    touching: dict[Buffer, set[int]] = defaultdict(set)
    for index, instruction in enumerate(instructions):
        for _, view in instruction.tensors():
            touching[view.buffer].add(index)
    fused: list[Instruction] = []
    start = 0
    while start < len(instructions):
        chain = _longest(instructions, start, touching)
        fused.append(instructions[start] if chain is None else chain.instruction(builder))
        start += 1 if chain is None else len(chain.steps)
    builder.instructions = fused


def _longest(instructions: Sequence[Instruction], start: int, touching: dict[Buffer, set[int]]) -> _Chain | None:
    """The longest chain from an instruction on, or None where it stays alone."""
    best = None
    for stop in range(start + 1, min(start + _MOST_STEPS, len(instructions)) + 1):
        if not _extends(instructions[start], instructions[stop - 1]):
            break
        chain = _Chain(instructions[start:stop], range(start, stop), touching)
        if not chain.is_sound:
            break
        if chain.fits and (stop > start + 1 or _has_short_rows(instructions[start])):
            best = chain
    return best


def _extends(first: Instruction, instruction: Instruction) -> bool:
    """Whether an instruction is element-wise, in float32, and over the same shape as the first of a chain."""
    if instruction.kernel not in _FAMILIES:
        return False
    views = [view for _, view in instruction.tensors()]
    if any(view.dtype != np.float32 for view in views) or not instruction.operands["y"].size:
        return False
    # The powers of a number are those of the kernel for a number alone.
    if instruction.kernel == "binary" and instruction.operands["operator"] is Binary.POW:
        exponent = instruction.operands["b"]
        if exponent.buffer.space is not Space.WEIGHTS or any(exponent.strides):
            return False
    return instruction.operands["y"].shape == first.operands["y"].shape


def _has_short_rows(instruction: Instruction) -> bool:
    """Whether the loops of an instruction do not merge into long rows: a chain then gathers several to a block."""
    rank = len(merge_axes(*(view for _, view in instruction.tensors()))[0].shape)
    merged = loop_views(*(view for _, view in instruction.tensors()))
    return rank > 1 and merged[-1].shape[-1] <= _SHORT_ROW


class _Chain:
    """Some neighbouring instructions as steps on registers."""

    def __init__(self, steps: Sequence[Instruction], span: range, touching: dict[Buffer, set[int]]) -> None:
        self.steps = steps
        self._inputs: list[View] = []
        self._made: dict[Buffer, int] = {}  # buffer -> the step that made what it holds
        self._last_use: dict[int, int] = {}  # step -> the last step that reads its result
        self._reads: list[list[int]] = []  # of each step: steps as they are, inputs as -1, -2 ...
        self.is_sound = all(self._add(number, step) for number, step in enumerate(steps))
        inside = set(span)
        self._stored = [
            number
            for number, step in enumerate(steps)
            if _is_kept(step.operands["y"].buffer) or not touching[step.operands["y"].buffer] <= inside
        ]
        self.is_sound = self.is_sound and not self._inputs_overlap_outputs()

    def _add(self, number: int, step: Instruction) -> bool:
        """Take one more step; whether it can be one."""
        reads = []
        for name in _FAMILIES[step.kernel][1]:
            view = step.operands[name]
            maker = self._made.get(view.buffer)
            if maker is None:
                reads.append(self._input(view))
            elif same_elements(view, self.steps[maker].operands["y"]):
                self._last_use[maker] = number
                reads.append(maker)
            else:
                return False
        self._reads.append(reads)
        y = step.operands["y"]
        if y.buffer in self._made:
            return False
        self._made[y.buffer] = number
        return True

    def _input(self, view: View) -> int:
        for index, other in enumerate(self._inputs):
            if same_elements(view, other):
                return -1 - index
        self._inputs.append(view)
        return -len(self._inputs)

    def _inputs_overlap_outputs(self) -> bool:
        """Whether a stored result lies in an input's memory: a later step could read what is already new."""
        written = {self.steps[number].operands["y"].buffer for number in self._stored}
        return any(view.buffer in written for view in self._inputs)

    @property
    def fits(self) -> bool:
        """Whether the registers suffice."""
        if len(self._inputs) > CHAIN_INPUTS or not 1 <= len(self._stored) <= CHAIN_OUTPUTS:
            return False
        return self._registers() is not None

    def _registers(self) -> list[int] | None:
        """The register of each step's result; None if there are too few temporaries."""
        free = list(range(CHAIN_INPUTS, _FIRST_OUTPUT))
        result: list[int] = []
        for number in range(len(self.steps)):
            done = (maker for maker in set(self._reads[number]) if self._last_use.get(maker) == number)
            free += [result[maker] for maker in done if maker not in self._stored]  # a step may write where it reads
            if number in self._stored:
                result.append(_FIRST_OUTPUT + self._stored.index(number))
            elif free:
                result.append(free.pop())
            else:
                return None
        return result

    def instruction(self, builder: Builder) -> Instruction:
        """The chain as one instruction."""
        registers = self._registers()
        assert registers is not None  # it fits
        program = np.zeros((len(self.steps), CHAIN_WORDS), np.int32)
        for number, step in enumerate(self.steps):
            reads = [registers[read] if read >= 0 else -1 - read for read in self._reads[number]]
            program[number, :3] = _FAMILIES[step.kernel][0], step.operands.get("operator", 0), registers[number]
            program[number, 3 : 3 + len(reads)] = reads
            shape = np.array([step.operands.get("alpha", 0), step.operands.get("beta", 0)], np.float32)
            program[number, 6:] = shape.view(np.int32)
        operands: dict[str, Any] = {"program": builder.constant(program)}
        operands |= {f"x{index}": _spread(builder, view) for index, view in enumerate(self._inputs)}
        operands |= {f"y{index}": self.steps[number].operands["y"] for index, number in enumerate(self._stored)}
        return Instruction("chain", operands, self.steps[-1].node)


def _is_kept(buffer: Buffer) -> bool:
    return buffer.pinned or buffer.space is not Space.ARENA


def _spread(builder: Builder, view: View) -> View:
    """A small constant that is repeated along some axes, written out, so that loops over it merge."""
    repeated = any(stride == 0 and size > 1 for stride, size in zip(view.strides, view.shape, strict=True))
    if view.buffer.space is not Space.WEIGHTS or not repeated or not any(view.strides):
        return view
    if view.size * view.array.itemsize > _SPREAD_BYTES:
        return view
    return builder.constant(np.array(view.array))
