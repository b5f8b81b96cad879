"""The CUDA C of a program: what is generated from the schemas, the kernels' own files, and the functions to launch.

Two ways to run a table, from the same device functions. `walk` is the resident interpreter: a block takes a lane and
goes through all instructions. An `Entry` runs one instruction; which, and on how many blocks, says
kernels/cuda/launch.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import NamedTuple

from ..contract import OFFSET_MASK, PANEL, SPACE_MASK, SPACE_SHIFT, TYPE_SHIFT, Choice, ElementType, Kernel, Space
from ..errors import KernelError
from ..packing import CHANNEL_BLOCK
from ..packing_rounded import CHANNELS, STAGE_WORDS
from ..packing_spectrum import HEADER_WORDS
from ..schemas import KERNEL_BY_NAME, KERNEL_IDS
from ..schemas.chain import CHAIN_INPUTS, CHAIN_OUTPUTS, CHAIN_TEMPORARIES, CHAIN_WORDS
from ..schemas.indexing import HEADS, NOWHERE
from ..schemas.movement import MOVING_DOWN
from ..schemas.recurrent import RECURRENT_STEPS
from ..schemas.recurrent_general import EXACT_PRODUCTS
from .lanes import DENSE_COLUMNS, LANES_BYTES, LANES_THREADS, MOST_ROWS
from .tiles import TILE_BLOCKS, TILE_POSITIONS, TILE_THREADS

FOLDER = Path(__file__).parent


class Team(StrEnum):
    """The threads that share an instruction, by the name of their type in contract.cuh."""

    GRID = "Grid"
    """Of as many blocks as a lane has work for; they do not wait for each other."""
    BLOCK = "Block"
    """Of one block a lane; they may wait for each other."""
    TILES = "Tiles"
    """Of as many blocks as a lane has tiles; those of one block wait for each other."""
    LANES = "Lanes"
    """Of blocks that each take a part of the result of several lanes."""


class Entry(NamedTuple):
    """A function that runs one instruction of a kernel."""

    kernel: str
    team: Team

    @property
    def function(self) -> str:
        """Its name in the source."""
        return f"{self.kernel}_{self.team.name.lower()}"


class Family(NamedTuple):
    """The kernels of one file."""

    free: tuple[str, ...] = ()
    """Those whose threads work apart from each other."""
    waiting: tuple[str, ...] = ()
    """Those whose threads wait for each other."""
    tiled: tuple[str, ...] = ()
    """Those whose threads work apart, or where there is much to do a block of them on each tile."""
    of_lanes: tuple[str, ...] = ()
    """Those of them that can be run for all lanes together, too."""

    @property
    def names(self) -> tuple[str, ...]:
        """All of them."""
        return self.free + self.waiting + self.tiled


_LAYERS = "lstm", "lstm_half", "gru", "gru_half"

FAMILIES: dict[str, Family] = {
    "movement": Family(("copy", "copy_wide", "fill", "gather")),
    "elementwise": Family(("unary", "binary", "where", "where_wide", "chain")),
    "reduction": Family(("reduce", "reduce_general", "softmax", "normalize")),
    "products": Family(("dense", "dense_half", "matmul"), of_lanes=("dense", "dense_half")),
    "convolution": Family(("conv_short", "conv_narrow", "conv_depthwise"), tiled=("conv_wide", "conv_volume")),
    "convolution_rounded": Family(tiled=("conv_rounded",)),
    "pooling": Family(("max_pool", "average_pool")),
    "positions": Family(("max_pool_positions",), waiting=("place",)),
    "sampling": Family(("sample",)),
    "regions": Family(("roi_align", "max_roi_pool")),
    "resize": Family(("resize_linear",)),
    "interpolation": Family(("interpolate",)),
    "indexing": Family(("flat_positions", "gather_at", "scatter_at"), waiting=("non_zero",)),
    "ordering": Family(("arg_reduce", "top_k"), waiting=("unique",)),
    "suppression": Family(waiting=("non_max_suppression",)),
    "recurrent_tiles": Family(waiting=_LAYERS, of_lanes=_LAYERS),
    "gru_small": Family(waiting=("gru_small",)),
    "recurrent_general": Family(waiting=("recurrent_general",)),
    "cumulation": Family(("cumulate",)),
    "general_arithmetic": Family(("unary_general", "binary_general")),
    "general_conversion": Family(("convert", "narrow_integer", "narrow_float", "bits")),
    "products_general": Family(("matmul_general",), waiting=("determinant",)),
    "quantisation": Family(("quantize", "dequantize")),
    "spectrum": Family(waiting=("real_fft", "inverse_real_fft", "complex_fft")),
}
"""File -> the kernels that it has; it names the files whose functions it uses with `#include`."""

NAMES = frozenset(name for family in FAMILIES.values() for name in family.names)
"""Kernels that this back end has."""

TILED = frozenset(name for family in FAMILIES.values() for name in family.tiled)
"""Kernels that are done in tiles where they have many outputs."""

_OF_LANES = frozenset(name for family in FAMILIES.values() for name in family.of_lanes)
_WAITING = frozenset(name for family in FAMILIES.values() for name in family.waiting)
_RESERVED = frozenset({"operator", "signed", "unsigned", "INFINITY", "NAN"})
"""Words of the language, and macros: an underscore follows them where they name something of ours."""
_INCLUDE = re.compile(r'^#include "(\w+\.cuh)"\n', re.MULTILINE)
_OPERANDS = re.compile(r"\boperands::(\w+)")
_WORD = re.compile(r"\b\w+\b")
_CONSTANTS = {
    "TYPE_SHIFT": TYPE_SHIFT,
    "SPACE_SHIFT": SPACE_SHIFT,
    "SPACE_MASK": SPACE_MASK,
    "OFFSET_MASK": OFFSET_MASK,
    "PANEL": PANEL,
    "RECURRENT_STEPS": RECURRENT_STEPS,
    "MOST_ROWS": MOST_ROWS,
    "DENSE_COLUMNS": DENSE_COLUMNS,
    "LANES_BYTES": LANES_BYTES,
    "LANES_THREADS": LANES_THREADS,
    "CHANNEL_BLOCK": CHANNEL_BLOCK,
    "EXACT_PRODUCTS": EXACT_PRODUCTS,
    "HEADER_WORDS": HEADER_WORDS,
    "CHAIN_INPUTS": CHAIN_INPUTS,
    "CHAIN_TEMPORARIES": CHAIN_TEMPORARIES,
    "CHAIN_OUTPUTS": CHAIN_OUTPUTS,
    "CHAIN_WORDS": CHAIN_WORDS,
    "HEADS": HEADS,
    "NOWHERE": f"{NOWHERE + 1} - 1",  # the literal is the number without its sign, which int64 does not hold
    "STAGE_WORDS": STAGE_WORDS,
    "ROUNDED_CHANNELS": CHANNELS,
    "TILE_THREADS": TILE_THREADS,
    "TILE_BLOCKS": TILE_BLOCKS,
    **{f"TILE_{channels}": positions for channels, positions in TILE_POSITIONS.items()},
}


def entries(names: Iterable[str]) -> list[Entry]:
    """The functions that run one instruction of one of these kernels."""
    return [Entry(name, team) for name in sorted(names) for team in teams(name)]


def teams(name: str) -> tuple[Team, ...]:
    """Who can run an instruction of this kernel by itself; where there are several, its operands decide."""
    alone = Team.BLOCK if name in _WAITING else Team.GRID
    others = {Team.BLOCK: name in MOVING_DOWN, Team.TILES: name in TILED, Team.LANES: name in _OF_LANES}
    return (alone, *(team for team, has in others.items() if has))


def check(names: Iterable[str]) -> None:
    """Raise KernelError if this back end lacks one of these kernels."""
    if missing := sorted(set(names) - NAMES):
        raise KernelError(f"the back end 'cuda' has no kernel {', '.join(missing)}; the back end 'cpu' has them all")


def source(names: Iterable[str], *, alone: bool = True, resident: bool = True) -> str:
    """CUDA C with the functions that run these kernels one by one, if `alone`, and all together, if `resident`.

    Raises KernelError: one of them is not there.
    """
    wanted = set(names)
    check(wanted)
    ordered = [name for family in FAMILIES.values() for name in family.names if name in wanted]
    parts = [_alone(entry) for entry in entries(ordered)] if alone else []
    if resident:
        parts.append(walk(ordered))
    return joined([f"{family}.cuh" for family in families(wanted)], "\n".join(parts))


def families(names: Iterable[str]) -> list[str]:
    """The files that have these kernels."""
    wanted = set(names)
    return [family for family, has in FAMILIES.items() if wanted.intersection(has.names)]


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
    fields = [field for kernel in KERNEL_BY_NAME.values() for field in kernel.fields]
    options = {ElementType, Space, *(field.options for field in fields if isinstance(field, Choice))}
    lines = [f"[[maybe_unused]] constexpr long long {name} = {value};" for name, value in constants.items()]
    lines += [_numbers(kind) for kind in sorted(options, key=lambda kind: kind.__name__) if kind.__name__ in used]
    operands = [_operands(KERNEL_BY_NAME[name]) for name in sorted(set(_OPERANDS.findall(code)))]
    return "\n".join([*lines, "namespace operands {", *operands, "}"])


def _numbers(kind: type[IntEnum]) -> str:
    members = ", ".join(f"{_spelled(member.name)} = {int(member)}" for member in kind)
    return f"struct {kind.__name__} {{ enum : int {{ {members} }}; }};"


def _operands(kernel: Kernel) -> str:
    members = ", ".join(f"{_spelled(name)} = {word}" for name, word in kernel.positions().items())
    return f"struct {kernel.name} {{ enum : int {{ {members} }}; }};"


def _spelled(name: str) -> str:
    return f"{name}_" if name in _RESERVED else name


def _alone(entry: Entry) -> str:
    bounds, memory = "", "spaces.of(blockIdx.y)"
    if entry.team is Team.TILES:
        bounds = "__launch_bounds__(TILE_THREADS, TILE_BLOCKS) "
    elif entry.team is Team.LANES:
        bounds, memory = "__launch_bounds__(LANES_THREADS) ", "spaces"
    return f"""
extern "C" __global__ {bounds}void {entry.function}(const word* words, Spaces spaces) {{
    {entry.kernel}(words, {memory}, {entry.team}());
}}"""


def walk(names: Iterable[str]) -> str:
    """CUDA C of the resident interpreter for these kernels."""
    cases = "\n".join(f"            case {KERNEL_IDS[name]}: {name}(words, memory, block); break;" for name in names)
    return f"""
extern "C" __global__ void walk(Walk walk, Spaces spaces) {{
    Memory memory = spaces.of(blockIdx.y);
    char*& arena = memory.spaces[Space::ARENA];
    const Block block;
    SHARED_ARENA(block_arena);
    if (walk.shared_bytes) arena = block_arena;
    for (int index = block.rank; walk.poisoned && index < walk.shared_bytes / 4; index += block.size)
        reinterpret_cast<unsigned*>(block_arena)[index] = 0xffffffffu;
    block.sync();
    walk.inputs.move<true>(blockIdx.y, arena, block);
    block.sync();
    for (int instruction = 0; instruction < walk.instructions; ++instruction) {{
        const word* words = walk.words + walk.starts[instruction];
        switch (walk.kernels[instruction]) {{
{cases}
        }}
        block.sync();
    }}
    walk.outputs.move<false>(blockIdx.y, arena, block);
}}
"""
