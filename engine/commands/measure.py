"""Times calls against each other: in one thread, taking turns, so that both sides meet the same machine."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

MIN_STEPS = 20
WARM_STEPS = 10


@dataclass(frozen=True, slots=True)
class Timing:
    """What many calls of one side took, in microseconds."""

    calls: int
    median_us: float
    p99_us: float


def take_turns(
    sides: Mapping[str, Callable[[int], object]],
    *,
    seconds: float,
    min_steps: int = MIN_STEPS,
    warm_steps: int = WARM_STEPS,
) -> dict[str, Timing]:
    """Call each side once a step, with the step's number, for about `seconds`, and at least `min_steps` times.

    The side that begins changes from step to step: who comes second finds other caches than who comes first. The first
    `warm_steps` are not counted. Python's garbage collector rests meanwhile.
    """
    names = list(sides)
    spent: dict[str, list[int]] = {name: [] for name in names}
    clock = time.perf_counter_ns
    collecting = gc.isenabled()
    gc.disable()
    try:
        deadline = None
        step = 0
        while deadline is None or step < warm_steps + min_steps or clock() < deadline:
            if step == warm_steps:
                deadline = clock() + int(seconds * 1e9)
            for name in names if step % 2 else reversed(names):
                call = sides[name]
                started = clock()
                call(step)
                ended = clock()
                if step >= warm_steps:
                    spent[name].append(ended - started)
            step += 1
    finally:
        if collecting:
            gc.enable()
    return {name: _timing(times) for name, times in spent.items()}


def _timing(times_ns: list[int]) -> Timing:
    median, p99 = np.percentile(np.array(times_ns) / 1e3, (50, 99))
    return Timing(len(times_ns), float(median), float(p99))
