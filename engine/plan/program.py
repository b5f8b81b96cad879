"""The program: a network compiled to a flat table of kernel calls over weights, arena and state."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...kernels.contract import Kernel, Space, TensorRef
from ...kernels.schemas import KERNEL_BY_NAME, KERNEL_IDS, KERNELS
from ...kernels.table import WHOLE, Port, Table, align, aligned_bytes
from .builder import Builder, Instruction, merged_operands
from .memory import lifetimes, place_by_lifetime, place_in_order
from .view import Buffer, View
from .weights import WeightMemory


@dataclass(frozen=True)
class Program:
    """An immutable compiled network. `Workspace` runs it; any number of workspaces may share one program."""

    name: str
    inputs: dict[str, Port]
    outputs: dict[str, Port]
    table: Table
    weights: np.ndarray
    """[bytes] uint8, read-only; other programs of the same network may read parts of it too."""
    weight_bytes: int
    """Packed weights and constants that it reads, with alignment; held once for all lanes."""
    arena_bytes: int
    """A lane."""
    initial_state: np.ndarray
    """[state_bytes] uint8: what a fresh slot holds."""
    multiply_adds: int
    """A lane and step."""
    nodes: tuple[str, ...]
    """The graph node that each instruction came from."""

    @property
    def state_bytes(self) -> int:
        """What a stream keeps between steps: the size of its slot."""
        return len(self.initial_state)

    @property
    def instruction_count(self) -> int:
        """Kernel calls in a step."""
        return len(self.table.kernels)

    def kernel_counts(self) -> Counter[str]:
        """How often each kernel is called in a step."""
        return Counter(KERNELS[kernel_id].name for kernel_id in self.table.kernels)

    def multiply_adds_by_node(self) -> Counter[str]:
        """Multiply-adds of a step by the graph node that they came from."""
        counts: Counter[str] = Counter()
        for index, (schema, operands) in enumerate(self._instructions()):
            counts[self.nodes[index]] += schema.multiply_adds(operands)
        return counts

    def _instructions(self) -> Iterator[tuple[Kernel, dict[str, Any]]]:
        """Each instruction's kernel and operands."""
        for kernel_id, words in self.table.instructions():
            yield KERNELS[kernel_id], KERNELS[kernel_id].decode(words)

    def listing(self) -> str:
        """The table as text, one instruction a line: number, kernel, operands, node."""
        lines = []
        for index, (schema, given) in enumerate(self._instructions()):
            operands = [f"{name}={_describe(value)}" for name, value in given.items() if value is not None]
            lines.append(f"{index:4} {schema.name:15} {' '.join(operands)}  # {self.nodes[index]}")
        return "\n".join(lines)


def _describe(value: object) -> str:
    if isinstance(value, TensorRef):
        shape = "x".join(map(str, value.shape)).removeprefix("1x" * max(0, len(value.shape) - 2))
        return f"{value.space.name[0]}{value.offset_bytes:#x}[{shape}]"
    return getattr(value, "name", str(value))


def assemble(
    name: str, builder: Builder, inputs: dict[str, View], outputs: dict[str, View], weights: WeightMemory
) -> Program:
    """Lay out memory, encode the instructions and freeze the program. `weights`: where it finds its own."""
    instructions = builder.instructions
    constants = _buffers(instructions, Space.WEIGHTS)
    memory = weights.place(constants)
    state_bytes = place_in_order(buffer for buffer, _ in builder.states)
    spans = lifetimes(instructions)
    for view in (*inputs.values(), *outputs.values()):
        if view.buffer.space is Space.ARENA:
            spans[view.buffer] = (-1, len(instructions))
    arena_bytes = place_by_lifetime(spans)

    initial = aligned_bytes(align(max(state_bytes, 1)))
    for buffer, value in builder.states:
        initial[buffer.byte_range()] = value.reshape(-1).view(np.uint8)
    initial.flags.writeable = False

    words: list[int] = []
    starts = [0]
    multiply_adds = 0
    for instruction in instructions:
        schema = KERNEL_BY_NAME[instruction.kernel]
        operands = {k: v.ref() if isinstance(v, View) else v for k, v in merged_operands(instruction).items()}
        multiply_adds += schema.multiply_adds(operands)
        words += schema.encode(operands)
        starts.append(len(words))
    kernels = [KERNEL_IDS[instruction.kernel] for instruction in instructions]
    parts = [WHOLE if instruction.part is None else instruction.part for instruction in instructions]
    numbers = (np.array(column, np.int64) for column in (kernels, words, starts, parts))
    table = Table(*numbers)
    return Program(
        name=name,
        inputs={key: _port(key, view) for key, view in inputs.items()},
        outputs={key: _port(key, view) for key, view in outputs.items()},
        table=table,
        weights=memory,
        weight_bytes=sum(align(buffer.nbytes) for buffer in constants),
        arena_bytes=align(max(arena_bytes, 1)),
        initial_state=initial if state_bytes else initial[:0],
        multiply_adds=multiply_adds,
        nodes=tuple(instruction.node for instruction in instructions),
    )


def _port(name: str, view: View) -> Port:
    ref = view.ref()
    return Port(name, view.shape, ref.offset_bytes, view.dtype)


def _buffers(instructions: Sequence[Instruction], space: Space) -> list[Buffer]:
    """The buffers of one space in the order of their first use, so that a step reads weights front to back."""
    found: dict[Buffer, None] = {}
    for instruction in instructions:
        for _, view in instruction.tensors():
            if view.buffer.space is space:
                found.setdefault(view.buffer)
    return list(found)
