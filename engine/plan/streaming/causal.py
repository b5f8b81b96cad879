"""A network that gives a step out for each step in from the first one on: all its steps are alike."""

from __future__ import annotations

from ...errors import UnsupportedError
from ...graph import Graph, State
from .bindings import Bindings
from .plan import StepKind, StreamPlan


def causal_step(bindings: Bindings, count: int) -> Graph:
    """The step of a network that looks ahead nowhere, with what it keeps as states of the graph.

    Args:
        bindings: of the network, along one axis.
        count: elements of the inputs that make a step.

    Raises:
        UnsupportedError: the network can not stream, or looks ahead, or its steps are longer.
    """
    plan = StreamPlan(bindings, [count])
    (axis,) = plan.axes
    if axis.step != count:
        raise UnsupportedError(
            f"network {plan.name!r}: {count} along {axis.timeline.name!r} make no step; multiples of "
            f"{axis.timeline.grain} would work"
        )
    if axis.timeline.ramp:
        raise UnsupportedError(
            f"network {plan.name!r} looks ahead: its first output needs more than the first step along "
            f"{axis.timeline.name!r}; Model.stream(axis=...) waits for it"
        )
    step = plan.step_graph((StepKind(count, 2 * count, ended=False),))
    graph = step.graph
    for before, after in step.carried.items():
        graph.states.append(State(before, after, graph.inputs[before].shape, step.initial.get(before)))
    return graph
