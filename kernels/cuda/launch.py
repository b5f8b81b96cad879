"""How an instruction is run by itself: which function, on how many blocks and threads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple

from ..contract import Kernel, Tensor
from ..schemas.movement import MOVING_DOWN, moves_down
from .source import TILED, Entry, Team, teams
from .tiles import SMALLEST_TILED, TILE_THREADS, count_tiles


@dataclass(frozen=True)
class Limits:
    """What one launch may take of a device."""

    threads: int = 256
    """Of a block."""
    blocks: int = 512
    """Of a lane: so many fill any device, and threads beyond them take several numbers each."""
    smallest_tiled: int = SMALLEST_TILED
    """Outputs of a lane from which on what can be done in tiles is."""


_SHARING_INPUTS = frozenset({"reduce", "reduce_general", "softmax", "normalize", "arg_reduce", "top_k"})
"""Kernels whose threads take elements of x: a result needs many of them."""


class Launch(NamedTuple):
    """One instruction's launch: blocks x lanes of them, for lanes 0 .. lanes - 1."""

    entry: Entry
    blocks: int
    """Of a lane."""
    threads: int
    """Of a block."""
    shared_bytes: int = 0
    """Shared memory of a block beyond what the function itself declares."""


def launch(kernel: Kernel, words: Sequence[int], limits: Limits = Limits()) -> Launch:
    """How the instruction of a kernel with these operand words is run by itself."""
    operands = kernel.decode(words)
    team = _team(kernel.name, operands, limits)
    match team:
        case Team.BLOCK:
            blocks, threads = 1, limits.threads
        case Team.TILES:
            blocks, threads = count_tiles(operands), TILE_THREADS
        case Team.GRID:
            blocks, threads = -(-_shared_out(kernel, operands) // limits.threads), limits.threads
    return Launch(Entry(kernel.name, team), min(limits.blocks, blocks), threads)


def _team(name: str, operands: Mapping[str, Any], limits: Limits) -> Team:
    if name in MOVING_DOWN and moves_down(operands["x"], operands["y"]):
        return Team.BLOCK
    if name in TILED and prod(operands["y"].shape) >= limits.smallest_tiled:
        return Team.TILES
    return teams(name)[0]


def _shared_out(kernel: Kernel, operands: Mapping[str, Any]) -> int:
    """Elements that its threads share out, at least 1: a thread takes one, where there are threads enough."""
    shared = [operands[field.name] for field in kernel.fields if isinstance(field, Tensor) and field.written]
    if kernel.name in _SHARING_INPUTS:
        shared.append(operands["x"])
    return max([1, *(prod(tensor.shape) for tensor in shared if tensor is not None)])
