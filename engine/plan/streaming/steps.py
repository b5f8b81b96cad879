"""Runs a plan's steps one after the other."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ....kernels.table import aligned_bytes
from ..workspace import Workspace
from .plan import Step, StepKind, StreamPlan


class Steps:
    """Runs the steps of a plan, one after the other, and hands on what is carried between them."""

    def __init__(self, plan: StreamPlan, backend: str = "cpu", *, poisoned: bool = False) -> None:
        """`poisoned`: memory that a step has not written is NaN (see `Workspace.poison`)."""
        self.plan = plan
        self._backend = backend
        self._poisoned = poisoned
        self._workspaces: dict[tuple[StepKind, ...], tuple[Step, Workspace | None]] = {}
        self._arena = np.empty((1, 0), np.uint8)
        """One for all steps: they run one after the other, and what is carried between them is copied."""
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
        step, workspace = self._bound(kinds)
        if workspace is None or step.program is None:
            return {}
        if self._poisoned:
            workspace.poison()
        for name in step.program.inputs:
            value = self._carried[name] if name in self._carried else inputs[name]
            workspace.input(name)[0] = value
        workspace.run(1)
        made = {name: workspace.output(name)[0] for name in step.program.outputs}
        self._carried = {before: made[after].copy() for before, after in step.graph.carried.items()}
        self._most_carried = max(self._most_carried, sum(array.nbytes for array in self._carried.values()))
        return made

    @property
    def carried_bytes(self) -> int:
        """The most that was carried from one step to the next."""
        return self._most_carried

    def multiply_adds(self, kinds: tuple[StepKind, ...]) -> int:
        """Of a step."""
        program = self.plan.step(kinds).program
        return 0 if program is None else program.multiply_adds

    def _bound(self, kinds: tuple[StepKind, ...]) -> tuple[Step, Workspace | None]:
        if kinds not in self._workspaces:
            step = self.plan.step(kinds)
            workspace = None
            if step.program is not None:
                if step.program.arena_bytes > self._arena.shape[1]:
                    self._arena = aligned_bytes(1, step.program.arena_bytes)
                    self._workspaces.clear()
                workspace = Workspace(step.program, self._backend, arena=self._arena)
            self._workspaces[kinds] = step, workspace
        return self._workspaces[kinds]
