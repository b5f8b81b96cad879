"""The CUDA C of a program: what is generated from the schemas, the kernels' own files, and the functions to launch.

Two ways to run a table, from the same device functions. `walk` is the resident interpreter: a block takes a lane and
goes through all instructions. `step_NAME` and `wait_NAME` run one instruction: the first on as many blocks a lane as it
has work for, the second on one, whose threads wait for each other.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple

from ..contract import OFFSET_MASK, PANEL, SPACE_MASK, SPACE_SHIFT, Choice, Kernel, TensorRef
from ..errors import KernelError
from ..packing import CHANNEL_BLOCK
from ..packing_spectrum import HEADER_WORDS
from ..schemas import KERNEL_BY_NAME, KERNEL_IDS
from ..schemas.chain import CHAIN_INPUTS, CHAIN_OUTPUTS, CHAIN_TEMPORARIES, CHAIN_WORDS

FOLDER = Path(__file__).parent

FAMILIES: dict[str, tuple[str, ...]] = {
    "movement": ("copy", "fill", "gather"),
    "elementwise": ("unary", "binary", "where", "chain"),
    "reduction": ("reduce", "softmax", "normalize"),
    "products": ("dense", "dense_half", "matmul"),
    "convolution": ("conv_wide", "conv_short", "conv_narrow", "conv_depthwise", "conv_volume"),
    "pooling": ("max_pool", "average_pool"),
    "recurrent": ("lstm", "lstm_half", "gru", "gru_half"),
    "gru_small": ("gru_small",),
    "spectrum": ("real_fft", "inverse_real_fft", "complex_fft"),
}
"""File -> the kernels that it has; it names the files whose functions it uses with `#include`."""

WAITING = frozenset({*FAMILIES["recurrent"], *FAMILIES["gru_small"], *FAMILIES["spectrum"]})
"""Kernels whose threads wait for each other: one block a lane."""

OVERLAPPING = frozenset({"copy"})
"""Kernels whose output may lie in the memory of their input; where it does, threads wait for each other."""

NAMES = frozenset(name for names in FAMILIES.values() for name in names)
"""Kernels that this back end has."""

_STEP, _WAIT = "step", "wait"
_INCLUDE = re.compile(r'^#include "(\w+\.cuh)"\n', re.MULTILINE)
_OPERANDS = re.compile(r"\boperands::(\w+)")
_WORD = re.compile(r"\b\w+\b")
_CONSTANTS = {
    "SPACE_SHIFT": SPACE_SHIFT,
    "SPACE_MASK": SPACE_MASK,
    "OFFSET_MASK": OFFSET_MASK,
    "PANEL": PANEL,
    "CHANNEL_BLOCK": CHANNEL_BLOCK,
    "HEADER_WORDS": HEADER_WORDS,
    "CHAIN_INPUTS": CHAIN_INPUTS,
    "CHAIN_TEMPORARIES": CHAIN_TEMPORARIES,
    "CHAIN_OUTPUTS": CHAIN_OUTPUTS,
    "CHAIN_WORDS": CHAIN_WORDS,
}


class Launch(NamedTuple):
    """The function that runs an instruction."""

    function: str
    waits: bool
    """Whether its threads wait for each other, so that a lane has one block."""


def launch(kernel: Kernel, words: Sequence[int]) -> Launch:
    """How the instruction of a kernel with these operand words is run by itself."""
    waits = kernel.name in WAITING or (kernel.name in OVERLAPPING and _overlaps(**kernel.decode(words)))
    return Launch(f"{_WAIT if waits else _STEP}_{kernel.name}", waits)


def entries(names: Iterable[str]) -> list[str]:
    """The functions that run one instruction of one of these kernels."""
    wanted = sorted(names)
    steps = [f"{_STEP}_{name}" for name in wanted if name not in WAITING]
    return steps + [f"{_WAIT}_{name}" for name in wanted if name in WAITING | OVERLAPPING]


def _overlaps(x: TensorRef, y: TensorRef) -> bool:
    first, last = (
        (t.offset_bytes, t.offset_bytes + _extent_bytes(t)) for t in sorted((x, y), key=lambda t: t.offset_bytes)
    )
    return x.space is y.space and last[0] < first[1]


def _extent_bytes(tensor: TensorRef) -> int:
    last = sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.strides, strict=True))
    return (last + 1) * tensor.element.dtype.itemsize


def check(names: Iterable[str]) -> None:
    """Raise KernelError if this back end lacks one of these kernels."""
    if missing := sorted(set(names) - NAMES):
        raise KernelError(f"the back end 'cuda' has no kernel {', '.join(missing)}; the back end 'cpu' has them all")


def source(names: Iterable[str], *, resident: bool = True) -> str:
    """CUDA C with the functions that run these kernels one by one and, if `resident`, all together.

    Raises KernelError: one of them is not there.
    """
    wanted = set(names)
    check(wanted)
    ordered = [name for names in FAMILIES.values() for name in names if name in wanted]
    parts = [_alone(entry) for entry in entries(ordered)]
    if resident:
        parts.append(walk(ordered))
    return joined([f"{family}.cuh" for family in families(wanted)], "\n".join(parts))


def families(names: Iterable[str]) -> list[str]:
    """The files that have these kernels."""
    wanted = set(names)
    return [family for family, has in FAMILIES.items() if wanted.intersection(has)]


def joined(files: Iterable[str], code: str) -> str:
    """These files and those that they include, each once, then `code`; before them what they use of the schemas."""
    texts: dict[str, str] = {}
    for file in ("contract.cuh", "functions.cuh", *files):
        _read(file, texts)
    whole = "\n".join([*texts.values(), code]).replace("#pragma once\n", "")
    return f"{_generated(whole)}\n{whole}"


def _read(file: str, texts: dict[str, str]) -> None:
    if file not in texts:
        text = (FOLDER / file).read_text()
        for included in _INCLUDE.findall(text):
            _read(included, texts)
        texts[file] = _INCLUDE.sub("", text)


def _generated(code: str) -> str:
    """What `code` uses of the schemas: where the operands of kernels lie, and the numbers of operators."""
    used = set(_WORD.findall(code))
    constants = {name: value for name, value in _CONSTANTS.items() if name in used}
    options = {
        field.options for kernel in KERNEL_BY_NAME.values() for field in kernel.fields if isinstance(field, Choice)
    }
    lines = [f"[[maybe_unused]] constexpr long long {name} = {value};" for name, value in constants.items()]
    lines += [_numbers(kind) for kind in sorted(options, key=lambda kind: kind.__name__) if kind.__name__ in used]
    operands = [_operands(KERNEL_BY_NAME[name]) for name in sorted(set(_OPERANDS.findall(code)))]
    return "\n".join([*lines, "namespace operands {", *operands, "}"])


def _numbers(kind: type[IntEnum]) -> str:
    members = ", ".join(f"{member.name} = {int(member)}" for member in kind)
    return f"struct {kind.__name__} {{ enum : int {{ {members} }}; }};"


def _operands(kernel: Kernel) -> str:
    # `operator` is a word of the language.
    fields = {"operator_" if name == "operator" else name: word for name, word in kernel.positions().items()}
    members = ", ".join(f"{name} = {word}" for name, word in fields.items())
    return f"struct {kernel.name} {{ enum : int {{ {members} }}; }};"


def _alone(entry: str) -> str:
    how, name = entry.split("_", 1)
    team = "Block" if how == _WAIT else "Grid"
    return f"""
extern "C" __global__ void {entry}(const word* words, Spaces spaces) {{
    {name}(words, spaces.of(blockIdx.y), {team}());
}}"""


def walk(names: Iterable[str]) -> str:
    """CUDA C of the resident interpreter for these kernels."""
    cases = "\n".join(f"            case {KERNEL_IDS[name]}: {name}(words, memory, block); break;" for name in names)
    return f"""
extern "C" __global__ void walk(const word* kernels, const word* starts, const word* operand_words, int instructions,
                                Spaces spaces) {{
    const Memory memory = spaces.of(blockIdx.y);
    const Block block;
    for (int instruction = 0; instruction < instructions; ++instruction) {{
        const word* words = operand_words + starts[instruction];
        switch (kernels[instruction]) {{
{cases}
        }}
        block.sync();
    }}
}}
"""
