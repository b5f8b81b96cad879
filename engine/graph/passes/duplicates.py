"""Equal constants: kept once."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from ..ir import Graph
from ..prune import prune, substitute


def share_constants(graph: Graph) -> Graph:
    """Return the graph with constants of the same type and bits under one name. Graph outputs keep their own."""
    kept = graph.kept_names()
    first: dict[tuple, str] = {}
    same: dict[str, str] = {}
    for name, array in graph.constants.items():
        bits = hashlib.blake2b(array.tobytes(), digest_size=16).digest()
        original = first.setdefault((array.dtype.str, array.shape, bits), name)
        if original != name and name not in kept:
            same[name] = original
    return prune(replace(graph, nodes=[substitute(node, same) for node in graph.nodes]))
