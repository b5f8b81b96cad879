"""Compares wavetile's server with what people would run instead: one load generator for all, results checked first.

    python tests/benchmarks/servers/run.py [silero_vad | gtcrn] [--seconds N] [--only PART] [--sides NAME ...]

Three parts: `limit`, how many streams each server holds with 99 % of the frames answered within one hop and none
missed; `rate`, how many messages a second wavetile and a bare echo carry when as many come as they can take; `latency`,
how long one stream waits on an idle server. Sides take turns. Weights are found through WAVETILE_MODELS, else in
../shared/models. Triton runs in an environment of its own (nvidia-pytriton needs an older NumPy): --triton-python names
its interpreter, which has nvidia-pytriton, onnxruntime and grpcio.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from tests.benchmarks.servers.networks import Network
    from tests.benchmarks.servers.sides import Side

REPOSITORY = Path(__file__).resolve().parents[3]
PARTS = ("limit", "rate", "latency")
OURS = ("wavetile", "wavetile, 2 workers")
PEERS = ("triton", "onnxruntime", "onnxruntime, thread")
ECHOES = ("echo", "echo of bytes")
LIMIT_TARGETS = {"gtcrn": 5.0, "silero_vad": 2.0}
RATE_TARGET, LATENCY_TARGET_MS = 0.7, 0.4
ROUNDS = 3
RATE_STREAMS, RATE_DEPTH = 64, 2
STREAMS_PER_CONNECTION = 8
"""A server's workers share connections, not streams."""
SIGNAL_SECONDS = 8
TOLERANCE = 1e-4


def main() -> int:
    """Start the servers, compare results, measure, print."""
    options = _options()
    os.environ.setdefault("WAVETILE_MODELS", str(REPOSITORY.parent / "shared" / "models"))
    sys.path.append(str(REPOSITORY))  # for `tests`; `wavetile` is the installed one

    from tests.benchmarks.servers.networks import load
    from tests.benchmarks.servers.sides import commands

    for name in options.models or ("silero_vad", "gtcrn"):
        network = load(name)
        with ExitStack() as stack:
            sides: dict[str, Side] = {}
            for side, arguments in commands(name).items():
                if not options.sides or side in options.sides:
                    python = options.triton_python if side == "triton" else sys.executable
                    _start(side, [python, *arguments], network, stack, sides)
            print(f"\n## {name}\n")
            _check(network, sides)
            if "limit" in options.only:
                _limits(network, {side: sides[side] for side in (*OURS, *PEERS) if side in sides}, options.seconds)
            if "rate" in options.only:
                _rates({side: sides[side] for side in (*OURS, *ECHOES) if side in sides}, options.seconds)
            if "latency" in options.only:
                _latency({side: sides[side] for side in ("wavetile", *ECHOES) if side in sides}, options.seconds)
    return 0


def _start(name: str, arguments: list[str], network: Network, stack: ExitStack, sides: dict[str, Side]) -> None:
    from tests.benchmarks.servers.sides import Side, StartError, running
    from tests.benchmarks.servers.triton_wire import TritonWire
    from wavetile.clients.load import StreamWire, Target

    try:
        address, pid = stack.enter_context(running(arguments, REPOSITORY))
    except StartError as error:
        print(f"{name} is left out: {error}")
        return
    signals = [_signal(network)]
    wire = TritonWire(network, signals) if name == "triton" else StreamWire(_description(network), signals)
    target = Target.of(address, streams_per_connection=STREAMS_PER_CONNECTION)
    sides[name] = Side(name, target, wire, (pid,))


def _signal(network: Network) -> np.ndarray:
    """Noisy speech, `[samples]`, a whole number of hops."""
    from wavetile.engine.commands.load import signals

    (signal,) = signals(_description(network), None)
    return signal[: SIGNAL_SECONDS * 16000 // network.hop_samples * network.hop_samples]


def _description(network: Network):  # noqa: ANN202
    from wavetile.clients import ModelDescription

    return ModelDescription(
        name=network.name, kind="audio", sample_rate_hz=16000, hop_samples=network.hop_samples, delay_samples=0,
        feature_count=0, returns_audio=network.name == "gtcrn", value_names=(), inputs=(), outputs=(), operators={},
        multiply_adds=0, weight_bytes=0, state_bytes=0, license="", pixels=None,
    )  # fmt: skip


def _check(network: Network, sides: dict[str, Side]) -> None:
    """Compare what each server gives with onnxruntime on the whole signal."""
    import numpy as np

    from tests.benchmarks.servers.networks import whole
    from tests.benchmarks.servers.one_stream import collect

    signal = _signal(network)
    expected = whole(network, signal).ravel()
    for name, side in sides.items():
        if name in ECHOES:
            continue
        got = asyncio.run(collect(side, network, len(signal) // network.hop_samples))
        count = min(len(got), len(expected))
        difference = float(np.abs(got[:count] - expected[:count]).max())
        if difference > TOLERANCE or count < len(expected) - network.hop_samples:
            raise SystemExit(f"{name} gives other numbers: {count} of {len(expected)}, |difference| {difference:.1e}")
        print(f"{name}: max |difference| to onnxruntime {difference:.0e} over {len(signal) / 16000:g} s")


def _limits(network: Network, sides: dict[str, Side], seconds: float) -> None:
    """Streams held by each side; the sides take turns, one try each."""
    from wavetile.clients.load import LimitSearch, Traffic, run_load

    searches = {name: LimitSearch() for name in sides}
    while any(search.streams for search in searches.values()):
        for name, search in searches.items():
            if not search.streams:
                continue
            side = sides[name]
            figures = run_load(side.target, side.wire, Traffic(streams=search.streams, seconds=seconds))
            print(
                f"  {name}: {search.streams} streams {'held' if figures.held else 'not held'}, p99 "
                f"{figures.latency.percentile_ns(99) / 1e6:.1f} ms, {figures.counts['missed']} missed, generator late "
                f"by p99 {figures.sent_late.percentile_ns(99) / 1e6:.1f} ms",
                file=sys.stderr,
            )
            search.tell(figures.held)
    print("\n| server | streams held |\n| --- | ---: |")
    for name, search in searches.items():
        print(f"| {name} | {search.limit} |")
    best = max((search.limit for name, search in searches.items() if name not in OURS), default=0)
    for name in OURS:
        if best and name in searches:
            ratio, target = searches[name].limit / best, LIMIT_TARGETS[network.name]
            print(f"\n{name} / the better peer: {ratio:.1f}x (target {target:g}x, {_word(ratio >= target)})")


def _rates(sides: dict[str, Side], seconds: float) -> None:
    """Messages a second when each stream sends its next chunk as soon as one is answered."""
    from wavetile.clients.load import Traffic, run_load

    rates: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    traffic = Traffic(streams=RATE_STREAMS, seconds=seconds, depth=RATE_DEPTH)
    for _ in range(ROUNDS):
        for name, side in sides.items():
            before_s = side.processor_s()
            figures = run_load(side.target, side.wire, traffic)
            spent_us = (side.processor_s() - before_s) * 1e6 / max(figures.counts["responses"], 1)
            rates[name].append((figures.counts["frames"] * 1e3 / figures.counts["measured ms"], spent_us))
    print(f"\n| server | answers a second ({RATE_STREAMS} streams) | processor time an answer |\n| --- | ---: | ---: |")
    medians = {name: statistics.median(rate for rate, _ in found) for name, found in rates.items()}
    for name, found in rates.items():
        print(f"| {name} | {medians[name]:.0f} | {statistics.median(spent for _, spent in found):.0f} us |")
    for name in OURS:
        if name in medians and "echo" in medians:
            share = medians[name] / medians["echo"]
            print(f"\n{name} / echo: {share:.0%} (target {RATE_TARGET:.0%}, {_word(share >= RATE_TARGET)})")


def _latency(sides: dict[str, Side], seconds: float) -> None:
    """Latency of one stream at the pace of its signal."""
    from wavetile.clients.load import Traffic, run_load

    medians: dict[str, list[float]] = {name: [] for name in sides}
    compute_ms: list[float] = []
    for turn in range(ROUNDS):
        for name, side in sides.items():
            figures = run_load(side.target, side.wire, Traffic(streams=1, seconds=seconds, seed=turn))
            late_ms = figures.sent_late.percentile_ns(50) / 1e6
            medians[name].append(figures.latency.percentile_ns(50) / 1e6 - late_ms)
            if name == "wavetile":
                compute_ms.append(figures.compute.percentile_ns(50) / 1e6)
    print("\n| server | median latency from the sending of a chunk |\n| --- | ---: |")
    for name, found in medians.items():
        print(f"| {name} | {statistics.median(found):.3f} ms |")
    if "wavetile" in medians and "echo" in medians:
        echo_ms, compute = statistics.median(medians["echo"]), statistics.median(compute_ms)
        beyond = statistics.median(medians["wavetile"]) - echo_ms - compute
        print(
            f"\nwavetile beyond echo + compute ({compute:.3f} ms): {beyond:.3f} ms "
            f"(target {LATENCY_TARGET_MS:g} ms, {_word(beyond <= LATENCY_TARGET_MS)})"
        )


def _word(reached: bool) -> str:
    return "reached" if reached else "missed"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", metavar="MODEL", help="silero_vad, gtcrn (default: both)")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each try (default: 5)")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="of the three parts")
    parser.add_argument("--triton-python", default=sys.executable, metavar="FILE", help="Python with nvidia-pytriton")
    parser.add_argument("--sides", nargs="+", metavar="NAME", help="of the servers")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
