"""Times calls against each other: in one thread, taking turns, so that both sides meet the same machine."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

MIN_STEPS = 20
WARM_STEPS = 10

TURN_CALLS = 10
TURN_SECONDS = 0.02
"""A turn is as many calls as fit, of the slower side, but at most TURN_CALLS."""


@dataclass(frozen=True, slots=True)
class Timing:
    """What many calls of one side took, in microseconds."""

    calls: int
    median_us: float
    p99_us: float
    first_us: float
    """Median of the first calls of a turn: those find the caches as the other side left them."""


def take_turns(
    sides: Mapping[str, Callable[[int], object]],
    *,
    seconds: float,
    min_steps: int = MIN_STEPS,
    warm_steps: int = WARM_STEPS,
) -> dict[str, Timing]:
    """Call every side with the numbers of steps, for about `seconds`, and at least `min_steps` times.

    Sides take turns of several calls. The side that begins changes from round to round: who comes second finds other
    caches than who comes first. The first `warm_steps` are not counted. Python's garbage collector rests meanwhile.
    """
    names = list(sides)
    spent: dict[str, list[list[int]]] = {name: [] for name in names}
    collecting = gc.isenabled()
    gc.disable()
    try:
        slowest = max(max(_turn(sides[name], 0, warm_steps)) for name in names)
        calls = min(max(int(TURN_SECONDS * 1e9 / max(slowest, 1)), 1), TURN_CALLS)
        deadline = time.perf_counter_ns() + int(seconds * 1e9)
        step, turns = warm_steps, 0
        while step < warm_steps + min_steps or time.perf_counter_ns() < deadline:
            for name in names if turns % 2 else reversed(names):
                spent[name].append(_turn(sides[name], step, calls))
            step, turns = step + calls, turns + 1
    finally:
        if collecting:
            gc.enable()
    return {name: _timing(turns) for name, turns in spent.items()}


def _turn(call: Callable[[int], object], step: int, calls: int) -> list[int]:
    """Nanoseconds of each of some calls."""
    clock, spent = time.perf_counter_ns, []
    for number in range(step, step + calls):
        started = clock()
        call(number)
        spent.append(clock() - started)
    return spent


def _timing(turns: list[list[int]]) -> Timing:
    times = np.array([time for turn in turns for time in turn]) / 1e3
    median, p99 = np.percentile(times, (50, 99))
    return Timing(len(times), float(median), float(p99), float(np.median([turn[0] for turn in turns]) / 1e3))
