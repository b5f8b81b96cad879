"""How an instruction is run by itself: which function, on how many blocks and threads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import prod
from typing import Any, NamedTuple

from ..contract import Kernel, Tensor
from ..schemas.movement import MOVING_DOWN, moves_down
from .lanes import shape_of_lanes
from .limits import ANY_CARD, Limits
from .source import TILED, Entry, Team, teams
from .tiles import TILE_THREADS, count_tiles

_SHARING_INPUTS = frozenset({"reduce", "reduce_general", "softmax", "normalize", "arg_reduce", "top_k"})
"""Kernels whose threads take elements of x: a result needs many of them."""


class Launch(NamedTuple):
    """One instruction's launch for lanes 0 .. lanes - 1."""

    entry: Entry
    grid: tuple[int, int]
    """Blocks: of a lane x lanes; for `Team.LANES` of all lanes x 1."""
    threads: int
    """Of a block."""
    shared_bytes: int = 0
    """Shared memory of a block beyond what the function itself declares."""
    arrivals: int = 0
    """Numbers at `Spaces.arrivals` that it uses: zeros, which it leaves as zeros."""
    cooperative: bool = False
    """Whether all blocks have to run at the same time: they wait for each other."""


def launch(kernel: Kernel, words: Sequence[int], lanes: int, limits: Limits = ANY_CARD) -> Launch:
    """How the instruction of a kernel with these operand words is run by itself."""
    operands = kernel.decode(words)
    if limits.together and Team.LANES in teams(kernel.name):
        shape = shape_of_lanes(kernel, operands, lanes, limits)
        if shape is not None:
            return Launch(Entry(kernel.name, Team.LANES), *shape)
    team, threads = _team(kernel.name, operands, limits), limits.threads
    match team:
        case Team.TILES:
            blocks, threads = count_tiles(operands), TILE_THREADS
        case Team.GRID:
            blocks = -(-_shared_out(kernel, operands) // threads)
        case _:
            blocks = 1
    return Launch(Entry(kernel.name, team), (min(limits.blocks, blocks), lanes), threads)


def most_arrivals(widest: Iterable[Launch], limits: Limits) -> int:
    """Numbers at `Spaces.arrivals` that any launches for as many lanes as `widest`, or fewer, take.

    A cooperative launch, which fewer lanes may have instead, has no more groups than there are multiprocessors.
    """
    return max([2 * limits.multiprocessors, *(one.arrivals for one in widest)])


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
