"""What a step of a program must read and write at least, counted from the operands of its instructions."""

from __future__ import annotations

from typing import NamedTuple

from ...kernels.contract import Space, Tensor, TensorRef
from ...kernels.schemas import KERNELS
from .program import Program


class Traffic(NamedTuple):
    """Bytes of one step of one lane."""

    weight_bytes: int
    """Packed weights and constants, each read once."""
    activation_bytes: int
    """Activations and state, read or written by each instruction that has them as operands; no scratch."""

    @property
    def all_bytes(self) -> int:
        """Of both."""
        return self.weight_bytes + self.activation_bytes


def traffic(program: Program) -> Traffic:
    """Count a step's bytes. What an instruction reads several times, such as overlapping windows, counts once."""
    weights: dict[int, int] = {}
    activations = 0
    for kernel_id, words in program.table.instructions():
        schema = KERNELS[kernel_id]
        operands = schema.decode(words)
        for field in schema.fields:
            ref = operands[field.name]
            if not isinstance(field, Tensor) or not isinstance(ref, TensorRef) or field.name == "scratch":
                continue
            if ref.space is Space.WEIGHTS:
                weights[ref.offset_bytes] = max(weights.get(ref.offset_bytes, 0), _bytes(ref))
            else:
                activations += _bytes(ref)
    return Traffic(sum(weights.values()), activations)


def _bytes(ref: TensorRef) -> int:
    """Of the elements that differ: an axis without stride repeats one."""
    size = ref.element.dtype.itemsize
    for count, stride in zip(ref.shape, ref.strides, strict=True):
        size *= count if stride else min(count, 1)
    return size
