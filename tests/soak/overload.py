"""Three times the streams that a server can serve, for half a minute: are those in time that it lets in?

    python tests/soak/overload.py [MODEL] [--seconds N] [--factor N] [--max-load SHARE]

The server is a process of its own. First as many streams are opened as it takes: its capacity, as it measured it. Then
streams arrive at random, as many as would be --factor times that at any time, where all came in. One stream of high
priority is there before, throughout and after. Shown are, of the streams that were let in, the frames that missed their
deadlines by the server's clock and, with all that lies between, by the client's; whether who was refused was told when
to come back; and the latency of the one stream in the last seconds before the load and from one second after it on.
Weights are found through WAVETILE_MODELS, else in ../shared/models.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from wavetile.clients import ModelDescription, StreamClient
    from wavetile.clients.load import Figures

REPOSITORY = Path(__file__).resolve().parents[2]
SECONDS, FACTOR, MAX_LOAD = 30.0, 3.0, 0.7
DURATION_MEAN_S = 5.0
BEFORE_S, HEALED_AFTER_S, AFTER_S = 4.0, 1.0, 4.0
PROBE_EVERY_S = 0.5
MOST_MISSED = 0.01
LATENCY_MARGIN, LATENCY_MARGIN_S = 1.25, 0.001
"""What the latency after may be above the one before: medians of some hundred frames differ by that."""


@dataclass
class Steady:
    """The stream that is there all the time."""

    due_s: list[float] = field(default_factory=list)
    """Of each frame, when the hop that completed it was to be sent."""
    latency_s: list[float] = field(default_factory=list)

    def median_ms(self, begin_s: float, end_s: float) -> float:
        """Of the frames that were due in this time."""
        due_s, latency_s = np.array(self.due_s[: len(self.latency_s)]), np.array(self.latency_s)
        return float(1e3 * np.median(latency_s[(due_s >= begin_s) & (due_s < end_s)]))


@dataclass(frozen=True)
class Verdict:
    """What an overload has shown."""

    capacity: int
    factor: float
    figures: Figures
    before_ms: float
    during_ms: float
    after_ms: float
    refused: int
    """Probes."""
    hinted: int
    """Of these, told when to come back."""

    @property
    def missed(self) -> float:
        """Share of frames that were late by the server's clock, or got no answer."""
        counts = self.figures.counts
        return (counts["late by the server"] + counts["missed"]) / max(1, self.figures.latency.count)

    @property
    def missed_by_client(self) -> float:
        """Share of frames that were answered later than a hop after they were due."""
        return self.figures.counts["over deadline"] / max(1, self.figures.latency.count)

    @property
    def checks(self) -> list[tuple[str, str, bool]]:
        """What was looked at, what was found, whether that is as it has to be."""
        most_ms = max(LATENCY_MARGIN * self.before_ms, self.before_ms + 1e3 * LATENCY_MARGIN_S)
        return [
            ("frames missed, server's clock", f"{self.missed:.3%} (< {MOST_MISSED:.0%})", self.missed < MOST_MISSED),
            (
                "frames missed, client's clock",
                f"{self.missed_by_client:.3%} (< {MOST_MISSED:.0%})",
                self.missed_by_client < MOST_MISSED,
            ),
            (
                "refused, of these told when to come back",
                f"{self.refused}, {self.hinted}",
                0 < self.refused == self.hinted,
            ),
            (
                f"median latency before, during, {HEALED_AFTER_S:g} s after",
                f"{self.before_ms:.2f}, {self.during_ms:.2f}, {self.after_ms:.2f} ms (<= {most_ms:.2f})",
                self.after_ms <= most_ms,
            ),
        ]

    @property
    def passed(self) -> bool:
        """Whether all is as it has to be."""
        return self.figures.latency.count > 0 and all(good for _, _, good in self.checks)

    def lines(self) -> list[str]:
        """A short table."""
        endings = ", ".join(f"{count} {name}" for name, count in sorted(self.figures.endings.items()))
        latency = ", ".join(f"{name} {ms:.3g}" for name, ms in self.figures.latency.summary_ms().items())
        lines = [
            f"{'streams that the server takes':42} {self.capacity}; {self.factor:g} times as many are there",
            f"{'how streams ended':42} {endings}",
            f"{'frames of those let in':42} {self.figures.latency.count}; ms: {latency}",
        ]
        return lines + [f"{what:42} {found}  {'ok' if good else 'MISSED'}" for what, found, good in self.checks]


async def count_streams(client: StreamClient, model: str) -> int:
    """As many as come in."""
    from wavetile.engine.errors import ServerError

    async with AsyncExitStack() as stack:
        count = 0
        while True:
            try:
                await stack.enter_async_context(client.stream(model))
            except ServerError as error:
                if error.code != "RESOURCE_EXHAUSTED" or error.retry_after_s is None:
                    raise
                if "just come in" not in error.message:
                    return count
                await asyncio.sleep(0.1)
            else:
                count += 1


async def play_steady(client: StreamClient, model: ModelDescription, steady: Steady, until: asyncio.Event) -> None:
    """Send silence at its pace until told to end, and note when each hop's frame is answered."""
    hop_s = model.hop_samples / model.sample_rate_hz
    hop = np.zeros(model.hop_samples, np.float32)
    async with client.stream(model.name, priority="high") as stream:
        ahead = -(-stream.info.first_frame_samples // model.hop_samples) - 1
        began_s = time.monotonic()

        async def source() -> AsyncIterator[np.ndarray]:
            index = 0
            while not until.is_set():
                due_s = began_s + index * hop_s
                await asyncio.sleep(max(0.0, due_s - time.monotonic()))
                if index >= ahead:
                    steady.due_s.append(due_s)
                yield hop
                index += 1

        async for result in stream.exchange(source()):
            now_s, first = time.monotonic(), result.first_frame_index
            steady.latency_s += [now_s - due_s for due_s in steady.due_s[first : first + result.frame_count]]


async def probe(client: StreamClient, model: str) -> list[float | None]:
    """Ask for a stream twice a second; of each refusal, when it said to come back. Until cancelled."""
    from wavetile.engine.errors import ServerError

    hints: list[float | None] = []
    try:
        while True:
            try:
                async with client.stream(model):
                    pass
            except ServerError as error:
                if error.code == "RESOURCE_EXHAUSTED":
                    hints.append(error.retry_after_s)
            await asyncio.sleep(PROBE_EVERY_S)
    except asyncio.CancelledError:
        return hints


async def overload(address: str, name: str, *, seconds: float, factor: float) -> Verdict:
    """Put the load on the server at `address`."""
    from wavetile.clients import StreamClient
    from wavetile.clients.load import StreamWire, Target, Traffic, run_load
    from wavetile.engine.commands.load import signals

    async with StreamClient(address) as client:
        model = await client.describe_model(name)
        wire = StreamWire(model, signals(model, None))
        capacity = await count_streams(client, name)
        traffic = Traffic(
            arrivals_per_s=factor * capacity / DURATION_MEAN_S, duration_mean_s=DURATION_MEAN_S, seconds=seconds
        )
        steady, ended = Steady(), asyncio.Event()
        playing = asyncio.create_task(play_steady(client, model, steady, ended))
        await asyncio.sleep(1.0 + BEFORE_S)
        begun_s = time.monotonic()
        probing = asyncio.create_task(probe(client, name))
        figures = await asyncio.to_thread(run_load, Target.of(address), wire, traffic)
        over_s = begun_s + seconds  # later than the first stream by as much as the load took to begin
        over_s = max(over_s, time.monotonic() - 0.5)
        probing.cancel()
        hints = await probing
        await asyncio.sleep(HEALED_AFTER_S + AFTER_S)
        ended.set()
        await playing
    return Verdict(
        capacity,
        factor,
        figures,
        steady.median_ms(begun_s - BEFORE_S, begun_s),
        steady.median_ms(begun_s + 2, over_s),
        steady.median_ms(over_s + HEALED_AFTER_S, over_s + HEALED_AFTER_S + AFTER_S),
        len(hints),
        sum(hint is not None for hint in hints),
    )


def main() -> int:
    """Run it, and tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default="gtcrn", metavar="MODEL", help="default: gtcrn")
    parser.add_argument("--seconds", type=float, default=SECONDS, metavar="N", help=f"default: {SECONDS:g}")
    parser.add_argument("--factor", type=float, default=FACTOR, metavar="N", help=f"default: {FACTOR:g}")
    parser.add_argument("--max-load", type=float, default=MAX_LOAD, metavar="SHARE", help=f"default: {MAX_LOAD:g}")
    options = parser.parse_args()
    os.environ.setdefault("WAVETILE_MODELS", str(REPOSITORY.parent / "shared" / "models"))
    sys.path.append(str(REPOSITORY))  # for `tests`; `wavetile` is the installed one
    from tests.benchmarks.servers.sides import running

    command = [sys.executable, "-m", "wavetile.engine", "serve", options.model, "--port", "0"]
    command += ["--max-streams", "8192", "--max-load", str(options.max_load)]
    with running(command, REPOSITORY) as (address, _):
        found = asyncio.run(overload(address, options.model, seconds=options.seconds, factor=options.factor))
    print("\n".join(found.lines()))
    return 0 if found.passed else 1


if __name__ == "__main__":
    sys.exit(main())
