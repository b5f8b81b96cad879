"""How many streams can be computed in time: what batches cost on this machine, and what the streams ask for.

In one hop of a model each of its streams completes a frame. All that are ready are computed in one batch, as many as an
executor has lanes, and under load batches are full: n lanes of hop H on executors of B lanes keep a compute thread busy

    floor(n / B) * cost(B) + cost(n mod B)

in every H. The shares of all models add up, divided by the compute threads. Reading and answering a frame takes the
event loop `message_s`, of which there is one. A model whose streams can fill every thread at once with batches that
last longer than another one's hop would make that one late, however little of it there is: nothing interrupts a batch.
"""

from __future__ import annotations

import math
import statistics
import time
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .scheduled import ScheduledSession
from .scheduled_model import StepExecutor

WARM_UP_RUNS = 3
WARM_UP_BUDGET_S = 0.1
"""A model's measuring begins no larger batch after this time; what larger ones cost is continued from the last two."""
CORRECTION = 0.05
"""What a served batch adds to what is known of its size."""
MOST_CORRECTION = 0.5
"""What any number of them adds at once."""
RELAX_S = 10.0
"""After so long without a batch, what was learned by serving counts for a third: the reason may be gone."""


Change = tuple[Hashable, int, int]
"""A model, and how many lanes and streams of it there are more, or fewer."""


class BatchCosts:
    """What a batch of a model takes by its lanes: a line through measured points, corrected by what serving takes."""

    def __init__(self, measured_s: Mapping[int, float]) -> None:
        """`measured_s`: lanes -> seconds of a batch; nothing is known of the cost where it is empty."""
        self._lanes = np.array(sorted(measured_s), np.float64)
        self._measured_s = np.array([measured_s[int(lanes)] for lanes in self._lanes], np.float64)
        self._now_s = self._measured_s.copy()

    def seconds(self, lanes: int) -> float:
        """What a batch of so many lanes takes; 0 of none, and never less than one of fewer lanes."""
        if not lanes or not len(self._lanes):
            return 0.0
        low, share = self._place(lanes)
        costs_s = np.maximum.accumulate(self._now_s)
        if share is None:
            return float(costs_s[low])
        return float(costs_s[low] + share * (costs_s[low + 1] - costs_s[low]))

    def observe(self, lanes: int, batches: int, seconds: float) -> None:
        """Correct the cost by `batches` served ones of so many lanes, which took `seconds` on average."""
        if not len(self._lanes):
            return
        low, share = self._place(lanes)
        parts = {low: 1.0} if share is None else {low: max(0.0, 1.0 - share), low + 1: min(share, 1.0)}
        rate = min(MOST_CORRECTION, 1.0 - (1.0 - CORRECTION) ** batches)
        error_s = seconds - self.seconds(lanes)
        norm = sum(part * part for part in parts.values())
        for index, part in parts.items():
            self._now_s[index] = max(0.0, self._now_s[index] + rate * error_s * part / norm)

    def relax(self, elapsed_s: float) -> None:
        """Go back towards what was measured, for time without a batch."""
        self._now_s += (1.0 - math.exp(-elapsed_s / RELAX_S)) * (self._measured_s - self._now_s)

    def _place(self, lanes: int) -> tuple[int, float | None]:
        """The point below, and how far it is from there to the next one; None: that point alone."""
        points = self._lanes
        if len(points) == 1 or lanes <= points[0]:
            return 0, None
        low = min(int(np.searchsorted(points, lanes, "right")) - 1, len(points) - 2)
        return low, float((lanes - points[low]) / (points[low + 1] - points[low]))


@dataclass(frozen=True, slots=True)
class ModelCost:
    """A model's batches, and what a hop of its streams lasts."""

    batches: BatchCosts
    max_lanes: int
    hop_s: float

    def compute_share(self, lanes: int) -> float:
        """Of one compute thread, to compute so many lanes in time."""
        full, rest = divmod(lanes, self.max_lanes)
        return (full * self.batches.seconds(self.max_lanes) + self.batches.seconds(rest)) / self.hop_s

    def longest_batch_s(self, lanes: int) -> float:
        """Of streams with so many lanes."""
        return self.batches.seconds(min(lanes, self.max_lanes))


@dataclass(frozen=True, slots=True)
class Load:
    """What streams ask for, as shares of what there is: above 1, frames are late."""

    compute: float
    """Of the compute threads."""
    messages: float
    """Of the event loop."""
    blocking: float
    """The longest batch that other models' frames may have to wait for, by the shortest hop of these."""

    @property
    def largest(self) -> float:
        """The one that decides."""
        return max(self.compute, self.messages, self.blocking)


class Capacity:
    """The streams that were let in, and the load that they are. Models are told apart by whatever they are keyed by."""

    def __init__(self, models: Mapping[Any, ModelCost], threads: int, message_s: float = 0.0) -> None:
        self.models: dict[Any, ModelCost] = dict(models)
        """What is known of each; others may be put here, or taken away once they have no streams."""
        self.message_s = message_s
        """What reading and answering a frame takes the event loop."""
        self._threads = threads
        self._lanes: Counter[Hashable] = Counter()
        self._streams: Counter[Hashable] = Counter()

    def add(self, model: Hashable, lanes: int) -> None:
        """A stream comes in."""
        self._lanes[model] += lanes
        self._streams[model] += 1

    def remove(self, model: Hashable, lanes: int) -> None:
        """A stream has gone."""
        self._lanes[model] -= lanes
        self._streams[model] -= 1
        if not self._streams[model]:  # a model that is taken away is not kept here
            del self._lanes[model], self._streams[model]

    def lanes_a_stream(self, model: Hashable) -> float:
        """On average; 1 of a model without streams."""
        streams = self._streams[model]
        return self._lanes[model] / streams if streams else 1.0

    def message_load(self, changes: Sequence[Change]) -> float:
        """What the messages of these streams take of the event loop."""
        return sum(streams * self.message_s / self.models[model].hop_s for model, _, streams in changes)

    def load(self, changes: Sequence[Change] = ()) -> Load:
        """The load of the streams; `changes` are models with lanes and streams more, or fewer."""
        lanes, streams = self._lanes, self._streams
        if changes:
            lanes, streams = lanes.copy(), streams.copy()
            for model, more_lanes, more_streams in changes:
                lanes[model] += more_lanes
                streams[model] += more_streams
        compute = messages = 0.0
        for name, model in self.models.items():
            compute += model.compute_share(lanes[name]) / self._threads
            messages += streams[name] * self.message_s / model.hop_s
        return Load(compute, messages, self._blocking(lanes, streams))

    def _blocking(self, lanes: Mapping[Hashable, int], streams: Mapping[Hashable, int]) -> float:
        live = [name for name, count in streams.items() if count > 0]
        worst = 0.0
        for name in live:
            hops_s = [self.models[other].hop_s for other in live if other != name]
            if hops_s and streams[name] >= self._threads:
                worst = max(worst, self.models[name].longest_batch_s(lanes[name]) / min(hops_s))
        return worst


def measure_batches(
    executor: StepExecutor, open_session: Callable[[], ScheduledSession], hop: np.ndarray
) -> dict[int, float]:
    """Seconds of a batch by its lanes, up to all that `executor` has: the median of a few runs, after one to warm up.

    `open_session` gives sessions of one lane; `hop` is fed to them until a frame is complete.
    """
    max_lanes = executor.max_lanes
    measured_s: dict[int, float] = {}
    sessions: list[ScheduledSession] = []
    began_s = time.perf_counter()
    try:
        lanes = 1
        while True:
            sessions += [open_session() for _ in range(lanes - len(sessions))]
            _run(executor, sessions, hop)
            measured_s[lanes] = statistics.median(_run(executor, sessions, hop) for _ in range(WARM_UP_RUNS))
            if lanes == max_lanes or time.perf_counter() - began_s > WARM_UP_BUDGET_S:
                return measured_s
            lanes = min(2 * lanes, max_lanes)
    finally:
        for session in sessions:
            session.close()


def _run(executor: StepExecutor, sessions: Sequence[ScheduledSession], hop: np.ndarray) -> float:
    """Seconds of a batch with a frame of each session."""
    for session in sessions:
        while not session.ready:
            session.feed(hop)
    began_s = time.perf_counter()
    executor.step(sessions)
    took_s = time.perf_counter() - began_s
    for session in sessions:
        session.drain()
    return took_s
