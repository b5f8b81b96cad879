"""Runs a plan's steps one after the other."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..workspace import SharedArena, Workspace
from .plan import StepKind, StreamPlan
from .step_graph import StepGraph


class Steps:
    """Runs the steps of a plan, one after the other, and hands on what is carried between them."""

    def __init__(self, plan: StreamPlan, backend: str = "cpu", *, poisoned: bool = False) -> None:
        """`poisoned`: memory that a step has not written is NaN (see `Workspace.poison`)."""
        self.plan = plan
        self._poisoned = poisoned
        self._bounds: dict[tuple[StepKind, ...], _Bound] = {}
        self._arena = SharedArena(backend)
        """What is carried between steps is copied."""
        self._carried: dict[str, np.ndarray] = {}
        self._most_carried = 0

    def restart(self) -> None:
        """Forget what is carried along the innermost axis."""
        self._carried = {}

    def run(self, kinds: tuple[StepKind, ...], inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run one step.

        Args:
            kinds: of the step, along each axis.
            inputs: the newest elements of each input, and what is above.

        Returns:
            What the step makes of each output, and what steps below will read; live views, until the next step.
        """
        bound = self._bound(kinds)
        if bound is None:
            return {}
        if self._poisoned:
            bound.workspace.poison()
        for name, port in bound.inputs:
            port[...] = self._carried[name] if name in self._carried else inputs[name]
        bound.workspace.run(1)
        self._carried = {before: bound.outputs[after].copy() for before, after in bound.carried}
        self._most_carried = max(self._most_carried, sum(array.nbytes for array in self._carried.values()))
        return bound.outputs

    def end(self, kinds: tuple[StepKind, ...]) -> dict[str, np.ndarray]:
        """What would come out if the signal ended here; the stream goes on as if nobody had asked.

        Args:
            kinds: of a step that takes nothing.

        Returns:
            As `run`.
        """
        carried = self._carried
        made = self.run(kinds, {})
        self._carried = carried
        return made

    @property
    def carried_bytes(self) -> int:
        """The most that was carried from one step to the next."""
        return self._most_carried

    def multiply_adds(self, kinds: tuple[StepKind, ...]) -> int:
        """Of a step."""
        program = self.plan.step(kinds).program
        return 0 if program is None else program.multiply_adds

    def _bound(self, kinds: tuple[StepKind, ...]) -> _Bound | None:
        bound = self._bounds.get(kinds)
        if bound is None:
            step = self.plan.step(kinds)
            if step.program is None:
                return None
            if not self._arena.has_room(step.program):
                self._bounds.clear()
            bound = self._bounds[kinds] = _Bound(step.graph, self._arena.bind(step.program))
        return bound


class _Bound:
    """A step with its ports at hand: looking them up takes longer than a small step."""

    def __init__(self, graph: StepGraph, workspace: Workspace) -> None:
        self.workspace = workspace
        program = workspace.program
        # The dots make views of tensors without dimensions, which [0] alone would copy.
        self.inputs = [(name, workspace.input(name)[0, ...]) for name in program.inputs]
        self.outputs = {name: workspace.output(name)[0, ...] for name in program.outputs}
        self.carried = list(graph.carried.items())
