"""A model in the scheduler's hands: its executors, its streams that are ready, and what was computed of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from .counts import ModelCounts
from .ready_queue import ReadyQueue


class StepExecutor(Protocol):
    """One workspace of a compiled program."""

    max_lanes: int

    def step(self, sessions: Sequence[Any], /) -> None:
        """Run one hop of each of these distinct sessions in one native call."""
        ...


@dataclass(slots=True, eq=False, weakref_slot=True)
class ScheduledModel:
    """One model, or one version of it, whose streams share batches; made by `Scheduler.add`.

    Guarded by the scheduler's lock, but for the name and the number of lanes, which stay.
    """

    name: str
    """Of the model; several versions of it have the same one."""
    executors: int
    idle: list[StepExecutor]
    """Those of the executors that nobody uses."""
    max_lanes: int
    """That every executor has."""
    ready: ReadyQueue
    counts: ModelCounts = field(default_factory=ModelCounts)
    removed: bool = False

    def let_go(self) -> None:
        """Keep nothing of executors and streams here, for whoever still has this."""
        self.idle.clear()
        self.ready.clear()
