"""A step of a network as a graph, and what goes from one step to others."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ...graph import Graph


@dataclass(frozen=True)
class Strip:
    """What goes from the steps of one row of rectangles to those of the next, in the same columns."""

    value: str
    """The value whose columns these are."""
    dim: int
    """Along which they lie."""
    above: str | None
    """The input for what comes from above."""
    below: str | None
    """The output of what goes below."""


@dataclass
class StepGraph:
    """A step of a network as a graph of its own, and what has to be handed from step to step."""

    graph: Graph
    carried: dict[str, str] = field(default_factory=dict)
    """Input of the next step along the innermost axis -> the output of this one that holds its value."""
    strips: dict[str, Strip] = field(default_factory=dict)
    """What has to be handed to the steps below, by name."""
    initial: dict[str, np.ndarray] = field(default_factory=dict)
    """What inputs of `carried` hold before the first step, where that is not zero."""
