"""Half an hour of streams that come and go: does the server's memory grow, is a sample wrong, a deadline missed?

    python tests/soak/soak.py [MODEL] [--minutes N] [--streams N] [--share P] [--seed N]

The server is a process of its own. First the most streams that it holds are looked for, unless --streams says how many
there shall be; then as many arrive, on average, as make --share of that (default: 0.6), a fifth of which are cancelled
and a tenth vanish. Outputs are compared, to the bit, with what the same signal gives in process. Memory must be flat:
its mean in the last third within 2 % of that in the middle third. Weights are found through WAVETILE_MODELS, else in
../shared/models.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from wavetile.clients.load import Figures, StreamWire, Target
    from wavetile.clients.load.wire import Expected

REPOSITORY = Path(__file__).resolve().parents[2]
MINUTES = 30.0
SHARE, CANCELLED, VANISHING = 0.6, 0.2, 0.1
DURATION_MEAN_S, CHECKED_S = 4.0, 30
LIMIT_SECONDS = 4.0
SAMPLES = 600
"""Of the memory, over the whole run."""
FLAT = 0.02


@dataclass(frozen=True)
class Verdict:
    """What a soak has shown."""

    figures: Figures
    middle_bytes: float
    last_bytes: float
    """Mean memory of the server in the middle and in the last third."""

    @property
    def growth(self) -> float:
        """Of the last third over the middle third."""
        return self.last_bytes / self.middle_bytes - 1

    @property
    def deadlines_missed(self) -> int:
        """As the server's own clock says, and frames without an answer."""
        return self.figures.counts["late by the server"] + self.figures.counts["missed"]

    @property
    def passed(self) -> bool:
        """Whether memory was flat, and nothing wrong, late or refused."""
        counts = self.figures.counts
        right = not counts["wrong"] and not self.deadlines_missed and not self.figures.refused
        return right and abs(self.growth) <= FLAT and counts["frames"] > 0

    def lines(self) -> list[str]:
        """A short table."""
        counts = self.figures.counts
        endings = ", ".join(f"{count} {name}" for name, count in sorted(self.figures.endings.items()))
        latency = ", ".join(f"{name} {ms:.3g}" for name, ms in self.figures.latency.summary_ms().items()) + " ms"
        return [
            f"streams: {counts['streams']} ({endings})",
            f"frames: {counts['frames']}, wrong answers: {counts['wrong']}, missed deadlines: {self.deadlines_missed}",
            f"latency, the generator's own lateness in it: {latency}",
            f"memory: {self.middle_bytes / 1e6:.1f} MB in the middle third, then {self.growth:+.2%}",
            "passed" if self.passed else "FAILED",
        ]


def verdict(figures: Figures, memory_bytes: Sequence[float]) -> Verdict:
    """Of the memory as it was at equal intervals."""
    third = max(len(memory_bytes) // 3, 1)
    return Verdict(figures, statistics.fmean(memory_bytes[third : 2 * third]), statistics.fmean(memory_bytes[-third:]))


def expected_of(name: str, signal: np.ndarray) -> Expected:
    """What `CHECKED_S` of a signal that is played over and over give in process."""
    import wavetile
    from wavetile.clients.load.wire import Expected

    with wavetile.load(name).stream() as stream:
        rate_hz = stream.sample_rate_hz
        count = -(-CHECKED_S * rate_hz // len(signal))
        output = stream.process(np.tile(signal, count))
        hop, delay = stream.hop_samples, stream.delay_samples
    audio = b"" if output.samples is None else output.samples.astype("<f4").tobytes()
    values = {name: array.ravel().tolist() for name, array in output.values.items()}
    lengths = [len(array) for array in output.values.values()]
    frames = min(lengths) if output.samples is None else (len(output.samples) - delay) // hop
    return Expected(audio, values, frames)


def soak(name: str, *, minutes: float, streams: int, share: float, seed: int) -> Verdict:
    """Start a server, put the load on it, watch its memory."""
    from tests.benchmarks.servers.sides import resident_bytes, running
    from wavetile.clients.load import Target, Traffic, run_load

    command = [
        sys.executable,
        "-m",
        "wavetile.engine",
        "serve",
        name,
        "--port",
        "0",
        "--max-streams",
        "8192",
        "--max-load",
        "0",
    ]
    with running(command, REPOSITORY) as (address, pid):
        target, wire = Target.of(address), _wire(address, name)
        held = streams or _limit(target, wire)
        traffic = Traffic(
            arrivals_per_s=max(held * share, 1.0) / DURATION_MEAN_S,
            duration_mean_s=DURATION_MEAN_S,
            seconds=60 * minutes,
            cancel_share=CANCELLED,
            vanish_share=VANISHING,
            seed=seed,
        )
        memory: list[float] = []
        over = threading.Event()

        def watch() -> None:
            while not over.wait(60 * minutes / SAMPLES):
                memory.append(resident_bytes(pid))

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            figures = run_load(target, wire, traffic)
        finally:
            over.set()
            watcher.join()
    return verdict(figures, memory)


def _wire(address: str, name: str) -> StreamWire:
    import asyncio

    from wavetile.clients import ModelDescription, StreamClient
    from wavetile.clients.load import StreamWire
    from wavetile.engine.commands.load import signals

    async def describe() -> ModelDescription:
        async with StreamClient(address) as client:
            return await client.describe_model(name)

    model = asyncio.run(describe())
    (signal,) = signals(model, None)
    signal = signal[: len(signal) // model.hop_samples * model.hop_samples]
    return StreamWire(model, [signal], expected=[expected_of(name, signal)])


def _limit(target: Target, wire: StreamWire) -> int:
    from wavetile.clients.load import Traffic, find_limit, run_load

    def holds(streams: int) -> bool:
        return run_load(target, wire, Traffic(streams=streams, seconds=LIMIT_SECONDS)).held

    limit = find_limit(holds)
    print(f"the server holds {limit} streams")
    return limit


def main() -> int:
    """Run it, and tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default="silero_vad", metavar="MODEL", help="default: silero_vad")
    parser.add_argument("--minutes", type=float, default=MINUTES, metavar="N", help=f"default: {MINUTES:g}")
    parser.add_argument("--streams", type=int, default=0, metavar="N", help="that the server holds (default: measured)")
    parser.add_argument("--share", type=float, default=SHARE, metavar="P", help=f"of those (default: {SHARE:g})")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    os.environ.setdefault("WAVETILE_MODELS", str(REPOSITORY.parent / "shared" / "models"))
    sys.path.append(str(REPOSITORY))  # for `tests`; `wavetile` is the installed one
    found = soak(
        options.model, minutes=options.minutes, streams=options.streams, share=options.share, seed=options.seed
    )
    print("\n".join(found.lines()))
    return 0 if found.passed else 1


if __name__ == "__main__":
    sys.exit(main())
