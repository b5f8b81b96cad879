"""One rule for each family of operators: how its elements along a streaming axis are counted, and how a step is cut."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...errors import UnsupportedError
from ...graph import Node
from .bindings import WORKS, Bindings
from .span import ALIGNED, Flow


@dataclass(frozen=True)
class Site:
    """A node where it stands: in a network of which it is known what streams along which axis."""

    node: Node
    bindings: Bindings
    axis: int

    def dim(self, position: int = 0) -> int | None:
        """The dimension of an input along which it streams on this axis."""
        name = self.node.inputs[position] if position < len(self.node.inputs) else ""
        return self.bindings.dims[name][self.axis] if name else None

    def output_dim(self) -> int | None:
        """The dimension of the first output along which it streams on this axis."""
        return self.bindings.dims[self.node.outputs[0]][self.axis]

    def rank(self, position: int = 0) -> int:
        """How many dimensions an input has."""
        return len(self.bindings.graph.types[self.node.inputs[position]].shape)

    def constant(self, position: int, *, grown: bool = False) -> np.ndarray | None:
        """The value of a constant input, in the graph or where this axis is longer; None if it is not one."""
        if position >= len(self.node.inputs):
            return None
        graph = self.bindings.grown[self.axis] if grown else self.bindings.graph
        return graph.constants.get(self.node.inputs[position])

    def is_read(self, name: str) -> bool:
        """Whether an output of the node is an output of the network, or is read by a node."""
        graph = self.bindings.graph
        return bool(name) and (name in graph.outputs or any(name in node.reads for node in graph.nodes))

    def refuse(self, reason: str) -> UnsupportedError:
        """What to raise if the node can not stream along this axis."""
        return UnsupportedError(
            f"{self.node}: {reason} {self.bindings.axes[self.axis].name!r}, so it can not stream exactly; {WORKS}"
        )


FlowOf = Callable[[Site], Flow]
"""The flow of a node along an axis on which one of its inputs streams; raises UnsupportedError if it can not."""
Cut = Callable[[Any], None]
"""Adds a node's part to a step; its argument is a `call.Call`."""


@dataclass(frozen=True)
class StreamRule:
    """How an operator streams."""

    flow: FlowOf
    cut: Cut | None
    """None: the node is the same in a step, on what it is given."""
    carries: bool = False
    """It keeps a state beside its input's last elements."""


STREAM_RULES: dict[tuple[str, str], StreamRule] = {}
"""(domain, operator) -> its rule."""


def rule_of(site: Site) -> StreamRule:
    """The rule of a node. Raises UnsupportedError if there is none."""
    rule = STREAM_RULES.get((site.node.domain, site.node.op))
    if rule is None:
        raise site.refuse("there is no rule for this operator along")
    return rule


def stream_rule(*ops: str, flow: FlowOf, domain: str = "", carries: bool = False) -> Callable[[Cut], Cut]:
    """Register a function that cuts nodes of these operators to a step."""

    def register(cut: Cut) -> Cut:
        for op in ops:
            STREAM_RULES[domain, op] = StreamRule(flow, cut, carries)
        return cut

    return register


def same_in_a_step(*ops: str, flow: FlowOf, domain: str = "") -> None:
    """Register operators whose nodes stay as they are."""
    for op in ops:
        STREAM_RULES[domain, op] = StreamRule(flow, None)


def aligned_unless(dims: Callable[[Site], Sequence[int] | None], reason: str) -> FlowOf:
    """The flow of a node that works along some dimensions of its first input: aligned if the axis is none of them."""

    def flow(site: Site) -> Flow:
        working = dims(site)
        if working is None or site.dim() in {dim % site.rank() for dim in working}:
            raise site.refuse(reason)
        return ALIGNED

    return flow
