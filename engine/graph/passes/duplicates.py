"""Equal constants: kept once."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from ..ir import Graph
from ..prune import prune, substitute

_SAMPLED_ELEMENTS = 64
"""Constants that differ in one of so many elements are not the same; only others are hashed."""


def share_constants(graph: Graph) -> Graph:
    """Return the graph with constants of the same type and bits under one name. Graph outputs keep their own."""
    kept = graph.kept_names()
    alike: dict[tuple, list[str]] = {}
    for name, array in graph.constants.items():
        sample = array.reshape(-1)[:: array.size // _SAMPLED_ELEMENTS + 1].tobytes()
        alike.setdefault((array.dtype.str, array.shape, sample), []).append(name)
    same: dict[str, str] = {}
    for names in alike.values():
        first: dict[bytes, str] = {}
        for name in names if len(names) > 1 else ():
            bits = hashlib.blake2b(graph.constants[name].tobytes(), digest_size=16).digest()
            original = first.setdefault(bits, name)
            if original != name and name not in kept:
                same[name] = original
    return prune(replace(graph, nodes=[substitute(node, same) for node in graph.nodes]))
