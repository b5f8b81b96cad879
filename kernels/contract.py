"""The contract between programs and kernels: memory spaces, operand schemas, and the context of every kernel call.

A program is a table of instructions. Each instruction is a kernel and a run of int64 words, the *operands*, laid out
by that kernel's schema. A back end is anything that can run the table: `kernels.reference` decodes the words into NumPy
views, `kernels.cpu` hands the words to native code as they are.

Memory. A tensor operand names one of three spaces and a byte offset in it:

    WEIGHTS   read-only, one for all lanes
    ARENA     activations and scratch; every lane (one stream of a batch) has an arena of its own, laid out alike
    STATE     what a stream keeps between steps; lane i works on slot `slots[i]`

Encoding. A tensor of rank r takes 1 + 2 r words: address, r sizes, r strides in elements. The address is
`element type << 56 | space << 48 | byte offset`, or ABSENT. Integers and choices take one word, floats one word that
holds the bits of a float64. Rank and order are fixed by the schema, so native code reads words at constant positions.

Element types. A program knows few, the *carriers*: float32 also carries float16, bfloat16, smaller floats, truth values
(0.0 and 1.0) and integers of up to 16 bits, all of which it holds exactly; int64 carries all wider integers; float64
itself. What arithmetic leaves outside the range of the narrow type is rounded or wrapped by an instruction of its own.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Literal, NamedTuple

import numpy as np

from .errors import KernelError

PANEL = 16
"""Columns in one panel of packed weights: one 512-bit vector of float32, two of 256 bits, four of 128."""

ALIGNMENT_BYTES = 64
"""Every buffer, packed weight and state starts on a cache line."""

LOOP_RANK = 6
"""Rank of the element-wise and data-moving kernels; the plan merges axes and fills up with ones at the front."""

ABSENT = -1
TYPE_SHIFT = 56
SPACE_SHIFT = 48
SPACE_MASK = (1 << (TYPE_SHIFT - SPACE_SHIFT)) - 1
OFFSET_MASK = (1 << SPACE_SHIFT) - 1


class Space(IntEnum):
    """The memory that an address points into."""

    WEIGHTS = 0
    ARENA = 1
    STATE = 2


class ElementType(IntEnum):
    """What the elements of a tensor are in memory; INT32 is for tables of indices in the weights alone."""

    FLOAT32 = 0
    INT32 = 1
    INT64 = 2
    FLOAT64 = 3

    @property
    def dtype(self) -> np.dtype:
        """The element type as NumPy's."""
        return np.dtype(self.name.lower())


class Context(IntEnum):
    """Words of the context, the second argument of every kernel (int64 each)."""

    WEIGHTS_BASE = 0
    ARENA_BASE = 1
    STATE_BASE = 2
    WEIGHTS_STRIDE = 3
    """Bytes from one lane to the next: always 0."""
    ARENA_STRIDE = 4
    STATE_STRIDE = 5
    """Bytes from one slot to the next."""
    LANES = 6
    SLOTS = 7
    """Address of int64[lanes]: the slot of each lane."""


CONTEXT_WORDS = len(Context)

Layout = Literal["any", "rows", "dense"]
"""What strides a kernel takes: any; innermost axis contiguous; fully contiguous in C order."""


OperandType = Literal["float32", "int32", "carrier"]
"""What a tensor operand may hold; "carrier": float32, int64 or float64, as its address says."""


class TensorRef(NamedTuple):
    """Where a tensor lies: the value of a tensor operand."""

    space: Space
    offset_bytes: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    """In elements."""
    element: ElementType = ElementType.FLOAT32


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor operand; sizes and strides count elements."""

    name: str
    rank: int
    layout: Layout = "any"
    written: bool = False
    optional: bool = False
    dtype: OperandType = "float32"

    @property
    def words(self) -> int:
        """Operand words: address, sizes, strides."""
        return 1 + 2 * self.rank

    def encode(self, kernel: str, value: TensorRef | None) -> list[int]:
        """The reference as words; an absent one is ABSENT and zeros.

        Raises:
            KernelError: it is missing but not optional, or its rank, strides or element type do not fit.
        """
        if value is None:
            if not self.optional:
                raise KernelError(f"{kernel}: operand {self.name!r} is missing; it is not optional")
            return [ABSENT, *([0] * (2 * self.rank))]
        if len(value.shape) != self.rank:
            raise KernelError(f"{kernel}: operand {self.name!r} has shape {value.shape}; rank {self.rank} is needed")
        if not fits_layout(self.layout, value.shape, value.strides):
            raise KernelError(
                f"{kernel}: operand {self.name!r} has strides {value.strides} for shape {value.shape}; "
                f"layout {self.layout!r} is needed"
            )
        self.check_type(kernel, value.element.name.lower())
        address = value.element << TYPE_SHIFT | value.space << SPACE_SHIFT | value.offset_bytes
        return [address, *value.shape, *value.strides]

    def check_type(self, kernel: str, name: str) -> None:
        """Raise KernelError if the operand may not hold elements of the type of that name."""
        if self.dtype != name and (self.dtype != "carrier" or name == "int32"):
            raise KernelError(f"{kernel}: operand {self.name!r} is {name}; {self.dtype} is needed")

    def decode(self, words: Sequence[int]) -> TensorRef | None:
        """The reference that the words hold; None if it is absent."""
        if words[0] == ABSENT:
            return None
        shape, strides = tuple(words[1 : 1 + self.rank]), tuple(words[1 + self.rank : 1 + 2 * self.rank])
        space = Space(words[0] >> SPACE_SHIFT & SPACE_MASK)
        return TensorRef(space, words[0] & OFFSET_MASK, shape, strides, ElementType(words[0] >> TYPE_SHIFT))


@dataclass(frozen=True, slots=True)
class Int:
    """An integer operand."""

    name: str
    words: int = field(default=1, init=False)

    def encode(self, kernel: str, value: int) -> list[int]:
        """The integer as one word."""
        return [int(value)]

    def decode(self, words: Sequence[int]) -> int:
        """The integer in the word."""
        return int(words[0])


@dataclass(frozen=True, slots=True)
class Float:
    """A floating-point operand: the bits of a float64 in one word."""

    name: str
    words: int = field(default=1, init=False)

    def encode(self, kernel: str, value: float) -> list[int]:
        """The bits of the value as a little-endian float64."""
        return [struct.unpack("<q", struct.pack("<d", value))[0]]

    def decode(self, words: Sequence[int]) -> float:
        """The value whose bits the word holds."""
        return struct.unpack("<d", struct.pack("<q", int(words[0])))[0]


@dataclass(frozen=True, slots=True)
class Choice:
    """One member of an IntEnum."""

    name: str
    options: type[IntEnum]
    words: int = field(default=1, init=False)

    def encode(self, kernel: str, value: IntEnum) -> list[int]:
        """The member's number as one word.

        Raises:
            KernelError: it is not a member of `options`.
        """
        if not isinstance(value, self.options):
            raise KernelError(f"{kernel}: {self.name} is {value!r}; one of {[o.name for o in self.options]} is needed")
        return [int(value)]

    def decode(self, words: Sequence[int]) -> IntEnum:
        """The member whose number the word holds."""
        return self.options(int(words[0]))


Field = Tensor | Int | Float | Choice


def fits_layout(layout: Layout, shape: Sequence[int], strides: Sequence[int]) -> bool:
    """Whether strides (in elements) satisfy a layout; axes of size 1 never matter."""
    if layout == "any":
        return True
    if layout == "rows":
        return not shape or shape[-1] <= 1 or strides[-1] == 1
    expected = 1
    for size, stride in zip(reversed(shape), reversed(strides), strict=True):
        if size != 1 and stride != expected:
            return False
        expected *= size
    return True


@dataclass(frozen=True)
class Kernel:
    """One kernel's schema: what it computes is its function in `kernels.reference`, under the same name."""

    name: str
    fields: tuple[Field, ...]
    scratch: Callable[[Mapping[str, Any]], int] | None = None
    """Float32 elements of scratch that a lane needs, from the other operands; the plan adds it as operand 'scratch'."""
    multiply_adds: Callable[[Mapping[str, Any]], int] = lambda operands: 0
    """Multiply-adds a lane and step, from the operands."""

    def positions(self) -> dict[str, int]:
        """First word of each operand."""
        result, position = {}, 0
        for operand in self.fields:
            result[operand.name] = position
            position += operand.words
        return result

    @property
    def words(self) -> int:
        """Operand words of one instruction."""
        return sum(operand.words for operand in self.fields)

    def encode(self, operands: Mapping[str, Any]) -> list[int]:
        """Lay operands out as int64 words.

        Raises:
            KernelError: an operand is missing, unknown, of the wrong rank or of strides that the kernel does not take.
        """
        unknown = set(operands) - {operand.name for operand in self.fields}
        if unknown:
            raise KernelError(f"{self.name}: unknown operands {sorted(unknown)}; it has {list(self.positions())}")
        words: list[int] = []
        for operand in self.fields:
            value = operands.get(operand.name)
            if value is None and not isinstance(operand, Tensor):
                raise KernelError(f"{self.name}: operand {operand.name!r} is missing")
            words += operand.encode(self.name, value)  # type: ignore[arg-type]
        return words

    def decode(self, words: Sequence[int]) -> dict[str, Any]:
        """The inverse of `encode`."""
        result, position = {}, 0
        for operand in self.fields:
            result[operand.name] = operand.decode(words[position : position + operand.words])
            position += operand.words
        return result
