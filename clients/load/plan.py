"""When streams come, how long they stay, and how their clients behave: all of it drawn before the load begins."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from ...engine.errors import SignalError

Ending = Literal["finish", "cancel", "vanish"]
RAMP_STREAMS_PER_S = 200.0
"""A fixed number of streams comes at this pace: a thousand openings at once measure nothing but themselves."""
NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Traffic:
    """What a load consists of.

    Either `streams` that last from the beginning to the end, or arrivals of a Poisson process whose durations are
    exponential, as people call.
    """

    streams: int = 0
    arrivals_per_s: float = 0.0
    duration_mean_s: float = 10.0
    seconds: float = 10.0
    """Of load, after the ramp where there is one."""
    chunk_ms: float = 0.0
    """Audio a chunk; 0: one hop of the model."""
    bursty: bool = False
    """Chunks come three at a time, up to one chunk's duration late, as over a phone's network."""
    cancel_share: float = 0.0
    vanish_share: float = 0.0
    """Of the streams, how many their clients cancel, and how many end with a connection that is reset."""
    depth: int = 0
    """Not at a signal's pace: this many chunks of each stream are under way at any time, as fast as the server can."""
    seed: int = 0

    def check(self) -> None:
        """Raise SignalError where these do not go together."""
        if (self.streams > 0) == (self.arrivals_per_s > 0):
            raise SignalError("either a number of streams, or a rate at which they arrive: one of both would work")
        if not (self.cancel_share >= 0 and self.vanish_share >= 0 and self.cancel_share + self.vanish_share <= 1):
            raise SignalError(
                f"{self.cancel_share:g} of the streams are cancelled and {self.vanish_share:g} vanish; shares of at "
                "most 1 together would work"
            )

    @property
    def ramp_s(self) -> float:
        """Until all streams are there."""
        return self.streams / RAMP_STREAMS_PER_S


BURST_CHUNKS = 3


@dataclass(frozen=True, slots=True)
class Plan:
    """One stream."""

    number: int
    opens_ns: int
    """After the load's beginning."""
    duration_ns: int
    ending: Ending
    clip: int
    burst_chunks: int
    jitter_ns: int
    """The most that a burst comes late."""
    seed: int


def arrange(traffic: Traffic, clips: int, chunk_ns: int) -> list[Plan]:
    """All streams of a load, in the order in which they open; the same for the same seed. Raises SignalError."""
    traffic.check()
    draw = random.Random(traffic.seed)  # noqa: S311 - traffic, not secrets
    return [_plan(number, opens, duration, traffic, clips, chunk_ns, draw)
            for number, (opens, duration) in enumerate(_lives(traffic, draw))]  # fmt: skip


def _lives(traffic: Traffic, draw: random.Random) -> Iterator[tuple[float, float]]:
    """(opening, duration) of each stream in seconds."""
    end_s = traffic.ramp_s + traffic.seconds
    if traffic.streams:
        for number in range(traffic.streams):
            opens_s = (number + draw.random()) / RAMP_STREAMS_PER_S
            yield opens_s, end_s - opens_s
        return
    opens_s = draw.expovariate(traffic.arrivals_per_s)
    while opens_s < end_s:
        yield opens_s, min(draw.expovariate(1 / traffic.duration_mean_s), end_s - opens_s)
        opens_s += draw.expovariate(traffic.arrivals_per_s)


def _plan(
    number: int, opens_s: float, duration_s: float, traffic: Traffic, clips: int, chunk_ns: int, draw: random.Random
) -> Plan:
    chance = draw.random()
    ending: Ending = "finish"
    if chance < traffic.cancel_share + traffic.vanish_share:
        ending = "cancel" if chance < traffic.cancel_share else "vanish"
    return Plan(
        number=number,
        opens_ns=int(opens_s * NS),
        duration_ns=int(duration_s * NS),
        ending=ending,
        clip=draw.randrange(clips),
        burst_chunks=BURST_CHUNKS if traffic.bursty else 1,
        jitter_ns=chunk_ns if traffic.bursty else 0,
        seed=draw.getrandbits(32),
    )
