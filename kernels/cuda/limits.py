"""What a launch may take of a card, and from which sizes on the ways to run an instruction pay."""

from __future__ import annotations

from dataclasses import dataclass

from .tiles import SMALLEST_TILED

MOST_LANES = 65_535
"""Of a launch: where each lane has blocks of its own, lanes are a grid's second axis."""


@dataclass(frozen=True)
class Limits:
    """Of one launch. What a card decides is by default that of the smallest one that there are kernels for."""

    threads: int = 256
    """Of a block."""
    blocks: int = 512
    """Of a lane: so many fill any device, and threads beyond them take several numbers each."""
    smallest_tiled: int = SMALLEST_TILED
    """Outputs of a lane from which on what can be done in tiles is."""
    together: bool = True
    """Whether lanes are taken together where a kernel can."""
    slices: int = 32
    """Threads that share the inner axis of a product of all lanes."""
    multiprocessors: int = 40
    """Blocks that surely run at the same time."""
    shared_bytes: int = 65_536
    """Of a block, at most."""
    shared_hidden: int = 128
    """Hidden size from which on blocks share a sequence: below, waiting for each other takes longer than one of them
    alone. An estimate, not measured yet."""


ANY_CARD = Limits()
