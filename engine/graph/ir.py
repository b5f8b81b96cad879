"""The graph: a network whose every shape is a concrete number, as a list of nodes in topological order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

STREAM_DOMAIN = "wavetile"
"""Domain of the project's own stream operators: Keep, RealFft, InverseRealFft, OverlapAdd."""


@dataclass(frozen=True, slots=True)
class TensorType:
    """Shape and element type of one value."""

    shape: tuple[int, ...]
    dtype: np.dtype

    @property
    def size(self) -> int:
        """Number of elements."""
        count = 1
        for dim in self.shape:
            count *= dim
        return count

    @property
    def nbytes(self) -> int:
        """Bytes that a dense array of this type takes."""
        return self.size * self.dtype.itemsize

    def __str__(self) -> str:
        return f"{self.dtype.name}[{', '.join(map(str, self.shape))}]"


@dataclass(slots=True)
class Node:
    """One operator call.

    `inputs` and `outputs` are value names, '' an absent optional one. `attributes` are plain Python (int, float, str,
    list of these, np.ndarray for tensors; of a Scan that is kept whole its `scans.Scan`), with the operator's defaults
    filled in. `opset` is the version of `domain` that gives the operator its meaning.

    Fusion adds attributes and inputs: see `fuse`.
    """

    op: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]
    opset: int
    domain: str = ""

    @property
    def reads(self) -> tuple[str, ...]:
        """Every value that must exist before the node runs: the inputs that are present."""
        return tuple(filter(None, self.inputs))

    def __str__(self) -> str:
        return f"{self.domain + '.' if self.domain else ''}{self.op} '{self.name}'"


@dataclass(slots=True)
class State:
    """A tensor carried from step to step: what `output` gives now, `input` reads next time."""

    input: str
    output: str
    shape: tuple[int, ...]
    initial: np.ndarray | None = None
    """Value of `input` at the first step; zeros if None."""


@dataclass(frozen=True, slots=True)
class Ragged:
    """How much of a value counts, where that depends on the data: its beginning along an axis."""

    count: str
    """The value that says it: int64 [1]."""
    axis: int


@dataclass(frozen=True, slots=True)
class Unrolled:
    """A Loop or Scan that was to stay one node, and could not."""

    loop: str
    """Its operator and name."""
    steps: int
    reason: str


@dataclass
class Graph:
    """A bound network: nodes in topological order, every value's type known.

    `types` holds inputs, constants and every node's outputs. `outputs` keep the network's names; each is made by a
    node or is a constant. Constants are read-only arrays.
    """

    name: str
    inputs: dict[str, TensorType]
    outputs: list[str]
    nodes: list[Node]
    constants: dict[str, np.ndarray]
    types: dict[str, TensorType]
    states: list[State] = field(default_factory=list)
    ragged: dict[str, Ragged] = field(default_factory=dict)
    """Outputs whose size depends on the data, by name: their types say the largest."""
    unrolled: tuple[Unrolled, ...] = ()
    """Loops that one step does not stand for."""

    def producers(self) -> dict[str, Node]:
        """Return each value's producing node; inputs and constants have none."""
        return {output: node for node in self.nodes for output in node.outputs if output}

    def consumers(self) -> dict[str, list[Node]]:
        """Return each value's reading nodes, in order, a node once per use."""
        uses: dict[str, list[Node]] = {}
        for node in self.nodes:
            for name in node.reads:
                uses.setdefault(name, []).append(node)
        return uses

    def kept_names(self) -> set[str]:
        """Return the values that must outlive every rewrite under their own name: graph outputs and carried state."""
        counts = (self.ragged[name].count for name in self.outputs if name in self.ragged)
        return {*self.outputs, *counts, *(state.output for state in self.states)}

    def histogram(self) -> dict[str, int]:
        """Return operator name -> count, most frequent first."""
        counts: dict[str, int] = {}
        for node in self.nodes:
            counts[node.op] = counts.get(node.op, 0) + 1
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes)
