"""Put a load on a server: streams at the pace of live signals, and how long their frames take.

A chunk is due when a microphone would have finished recording it, and a frame's latency counts from then, whether the
generator or the server is late (so that no omission is coordinated). Either so many streams last from the beginning to
the end, or streams arrive as a Poisson process and stay for exponential times. Without --audio, streams play noisy
speech. The generator speaks HTTP/2 itself, which costs a tenth of what gRPC's own client costs (extra `load`).
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from .arguments import above_zero, address, positive, share
from .remote import add_guards

if TYPE_CHECKING:
    import numpy as np

    from ...clients.load import Figures, StreamWire, Target, Traffic
    from ...clients.results import ModelDescription

NAME = "load"
SUMMARY = "put a load of live streams on a server"
DEFAULT_STREAMS = 16
MOST_STREAMS = 8192
FEATURE_SECONDS = 10
EXIT_NOT_HELD = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The server, the traffic, and what is written of it."""
    parser.add_argument("address", type=address, metavar="HOST:PORT")
    parser.add_argument("model", metavar="MODEL")
    add_guards(parser)
    traffic = parser.add_argument_group("traffic")
    traffic.add_argument("--streams", type=positive, metavar="N", help=f"live at a time (default: {DEFAULT_STREAMS})")
    traffic.add_argument("--arrivals", type=above_zero, metavar="RATE", help="streams that come a second, instead")
    traffic.add_argument("--duration-mean", type=above_zero, default=10.0, metavar="S", help="of those (default: 10)")
    traffic.add_argument("--seconds", type=above_zero, default=10.0, metavar="T", help="how long (default: 10)")
    traffic.add_argument("--audio", type=Path, nargs="+", metavar="FILE", help="what streams play, over and over")
    traffic.add_argument("--chunk-ms", type=above_zero, metavar="N", help="audio sent at a time (default: a frame's)")
    traffic.add_argument("--bursty", action="store_true", help="three chunks at a time, and up to one chunk late")
    traffic.add_argument("--cancel-share", type=share, default=0.0, metavar="P", help="of the streams, cancelled")
    traffic.add_argument(
        "--vanish-share", type=share, default=0.0, metavar="P", help="of the streams, lost with their connection"
    )
    traffic.add_argument("--seed", type=int, default=0, help="of all that is random (default: 0)")
    parser.add_argument(
        "--find-limit", action="store_true",
        help="the most streams with 99 %% of the frames in time and none missed; each try takes --seconds",
    )  # fmt: skip
    parser.add_argument("--deadline-ms", type=above_zero, metavar="N", help="of a frame (default: its hop)")
    parser.add_argument("--processes", type=positive, default=1, metavar="N", help="of the generator (default: 1)")
    parser.add_argument(
        "--streams-per-connection", type=positive, default=32, metavar="N", help="on one connection (default: 32)"
    )
    parser.add_argument("--json", action="store_true", help="JSON instead of a table")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write an HTML page with the curves")


def execute(options: argparse.Namespace) -> int:
    """Run the load; the exit status is 3 if the server did not hold it."""
    import asyncio

    from ...clients.load import Target, Traffic
    from .remote import transport

    _check_extra()
    model = asyncio.run(_describe(options))
    wire = _wire(model, options)
    target = Target.of(
        options.address,
        transport(options),
        processes=options.processes,
        streams_per_connection=options.streams_per_connection,
    )
    traffic = Traffic(
        streams=options.streams or (0 if options.arrivals else DEFAULT_STREAMS),
        arrivals_per_s=options.arrivals or 0.0,
        duration_mean_s=options.duration_mean,
        seconds=options.seconds,
        bursty=options.bursty,
        cancel_share=options.cancel_share,
        vanish_share=options.vanish_share,
        seed=options.seed,
    )
    if options.find_limit:
        return _find_limit(target, wire, traffic, options)
    figures = _run(target, wire, traffic, options)
    _tell(figures, options)
    return 0 if figures.held else EXIT_NOT_HELD


def _find_limit(target: Target, wire: StreamWire, traffic: Traffic, options: argparse.Namespace) -> int:
    """Try numbers of streams, and tell of the most that held."""
    from dataclasses import replace

    from ...clients.load import find_limit
    from .console import notices

    tried: dict[int, Figures] = {}

    def holds(streams: int) -> bool:
        figures = tried[streams] = _run(target, wire, replace(traffic, streams=streams, arrivals_per_s=0.0), options)
        word = "held" if figures.held else "not held"
        p99_ms = figures.latency.percentile_ns(99) / 1e6
        notices().print(f"{streams} streams: {word}, p99 {p99_ms:.2f} ms, {figures.counts['missed']} frames missed")
        return figures.held

    limit = find_limit(holds, most=MOST_STREAMS)
    if not limit:
        _tell(min(tried.items())[1], options)
        return EXIT_NOT_HELD
    _tell(tried[limit], options, limit)
    return 0


def _run(target: Target, wire: StreamWire, traffic: Traffic, options: argparse.Namespace) -> Figures:
    from ...clients.load import run_load

    return run_load(target, wire, traffic, deadline_s=(options.deadline_ms or 0.0) / 1e3)


def _tell(figures: Figures, options: argparse.Namespace, limit: int | None = None) -> None:
    import json
    import sys

    from .load_page import figures_table, write_page

    if options.report:
        write_page(options.report, f"{options.model} on {options.address}", figures, limit)
    if options.json:
        content = {"address": options.address, "model": options.model, **figures.as_json()}
        json.dump(content if limit is None else {**content, "limit_streams": limit}, sys.stdout, indent=2)
        sys.stdout.write("\n")
        return
    from rich.table import Table

    from .console import output

    table = Table(box=None, pad_edge=False, show_header=False)
    for label, text in figures_table(figures, limit):
        table.add_row(label, text)
    output().print(table)


async def _describe(options: argparse.Namespace) -> ModelDescription:
    from .remote import remote_client

    async with remote_client(options, options.address) as client:
        return await client.describe_model(options.model)


def _wire(model: ModelDescription, options: argparse.Namespace) -> StreamWire:
    from ...clients.load import StreamWire

    return StreamWire(model, signals(model, options.audio), chunk_ms=options.chunk_ms or 0.0)


def signals(model: ModelDescription, files: list[Path] | None) -> list[np.ndarray]:
    """What streams of a model play: the files' audio at its rate, else noisy speech; of feature frames seeded noise.

    Raises SignalError for a file that can not be read.
    """
    import numpy as np
    import soundfile
    import soxr

    from ..errors import SignalError
    from .demo import clip

    if model.feature_count:
        frames = FEATURE_SECONDS * max(model.sample_rate_hz, 1)
        return [np.random.default_rng(0).standard_normal((frames, model.feature_count)).astype(np.float32)]
    found = []
    for path in files or [Path(clip.__file__).with_name("noisy.flac")]:
        try:
            samples, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
        except (OSError, soundfile.LibsndfileError) as error:
            raise SignalError(f"{path} can not be read as audio: {error}") from error
        mono = samples.mean(axis=1)
        found.append(soxr.resample(mono, rate_hz, model.sample_rate_hz).astype(np.float32))
    return found


def _check_extra() -> None:
    from importlib.util import find_spec

    from ..errors import WavetileError

    if find_spec("hpack") is None:
        raise WavetileError("the load generator needs the package hpack; pip install 'wavetile[load]' would work")
