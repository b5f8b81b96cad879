"""When the frames of a stream are due, what happens to those that are late, and what became of each."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum


class LatePolicy(Enum):
    """What happens to a frame that is not being computed when its deadline passes."""

    PROCESS = "process"
    """It is computed all the same."""
    SKIP = "skip"
    """It is computed, so that the state goes on exactly, but nothing of it is given out."""
    BYPASS = "bypass"
    """It is not computed: its audio goes out as it came in. See `Bypass`."""


class Outcome(StrEnum):
    """What became of a frame; each has one. A string, whose hash is cheap: outcomes are counted a frame at a time."""

    MET = "met"
    """It was computed by its deadline."""
    LATE = "late"
    """It was computed, later than that."""
    SKIPPED = "skipped"
    """It was late, and is not given out."""
    BYPASSED = "bypassed"
    """What is given out is its input: it was late, or the model has to hear more before it can be heard again."""


@dataclass(frozen=True, slots=True)
class Deadlines:
    """A frame is due `budget_ns` after its arrival; of a burst, as if it had arrived a frame each `hop_ns`."""

    budget_ns: int
    hop_ns: int
    policy: LatePolicy = LatePolicy.PROCESS

    def expected_ns(self, arrival_ns: int, before_ns: int | None) -> int:
        """When a frame is taken to have arrived, given the same of the frame before it if that still waits.

        A burst, such as a file sent at once, so queues behind live streams and not before them, and is late only where
        it is computed slower than in real time. Where nothing waits this starts anew: it can not drift away from
        the clock.
        """
        return arrival_ns if before_ns is None else max(arrival_ns, before_ns + self.hop_ns)
