"""How fast a program could be on this machine at best, how fast it is, and what bounds it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cache

import numpy as np

from ...kernels.cpu.floor import bytes_per_second, multiply_adds_per_second
from ..plan import Program, Workspace
from ..plan.traffic import Traffic, traffic

MEASURED_SECONDS = 0.2
MIN_STEPS = 3


@dataclass(frozen=True, slots=True)
class Floor:
    """A step of one lane on one core. A program that multiplies less than it says, by Winograd, may be below it."""

    multiply_adds: int
    weight_bytes: int
    activation_bytes: int
    multiply_adds_per_second: float
    weight_bytes_per_second: float
    """Read again and again from a memory as large as weights and activations together."""
    activation_bytes_per_second: float
    """Likewise, as large as the activations alone."""
    step_us: float
    """Median of the step itself, with everything that it reads where the step before left it."""

    @property
    def arithmetic_us(self) -> float:
        """What the multiply-adds take if nothing else is done."""
        return 1e6 * self.multiply_adds / self.multiply_adds_per_second

    @property
    def memory_us(self) -> float:
        """What moving the bytes takes if nothing else is done."""
        weights = self.weight_bytes / self.weight_bytes_per_second
        return 1e6 * (weights + self.activation_bytes / self.activation_bytes_per_second)

    @property
    def floor_us(self) -> float:
        """No step is faster than both."""
        return max(self.arithmetic_us, self.memory_us)

    @property
    def bound(self) -> str:
        """What a perfect step would wait for."""
        return "arithmetic" if self.arithmetic_us >= self.memory_us else "memory"

    @property
    def distance(self) -> float:
        """How many times the floor a step takes."""
        return self.step_us / self.floor_us if self.floor_us else 0.0


def measure_floor(program: Program) -> Floor:
    """Measure this machine at the program's size, and a step of the program. Takes half a second or a few steps."""
    moved: Traffic = traffic(program)
    return Floor(
        program.multiply_adds,
        moved.weight_bytes,
        moved.activation_bytes,
        _multiply_adds_per_second(),
        _bytes_per_second(_rounded(moved.weight_bytes + program.arena_bytes)),
        _bytes_per_second(_rounded(program.arena_bytes)),
        _step_us(program),
    )


_multiply_adds_per_second = cache(multiply_adds_per_second)
_bytes_per_second = cache(bytes_per_second)


def _rounded(size: int) -> int:
    """Down to 3 significant bits: close enough for a level of a cache, and measured once for many programs."""
    shift = max(0, size.bit_length() - 3)
    return size >> shift << shift


def _step_us(program: Program) -> float:
    workspace = Workspace(program)
    rng = np.random.default_rng(0)
    for name in program.inputs:
        port = workspace.input(name)
        port[...] = 0.1 * rng.standard_normal(port.shape)
    workspace.run(1)
    spent: list[int] = []
    ends = time.perf_counter_ns() + int(MEASURED_SECONDS * 1e9)
    while len(spent) < MIN_STEPS or time.perf_counter_ns() < ends:
        started = time.perf_counter_ns()
        workspace.run(1)
        spent.append(time.perf_counter_ns() - started)
    return float(np.median(spent)) / 1e3
