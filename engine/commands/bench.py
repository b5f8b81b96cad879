"""Measure a model against onnxruntime: one process, one thread each, taking turns, results compared first.

Of the sides, "stream" is Stream.process of one hop: checking and copying the chunk, framing, transforms, every network,
overlap-add, results. "run" is Model.run of the bare networks. "onnxruntime" is session.run of the same networks with
their state carried, no front end around it. All three include Python's own time for the call.
"""

from __future__ import annotations

import argparse

from .arguments import above_zero

NAME = "bench"
SUMMARY = "measure a model against onnxruntime"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The model, the peer and how long."""
    parser.add_argument(
        "model", metavar="MODEL", help="a model's name, or the path of a card (.toml) or network (.onnx)"
    )
    parser.add_argument("--against", choices=("onnxruntime",), default="onnxruntime", help="default: %(default)s")
    parser.add_argument("--seconds", type=above_zero, default=5.0, metavar="N", help="how long to measure (default: 5)")
    parser.add_argument("--json", action="store_true", help="JSON instead of a table")


def execute(options: argparse.Namespace) -> int:
    """Compare results, measure, tell."""
    import json
    import sys
    from dataclasses import asdict

    from .duel import Duel
    from .machine import machine_line
    from .measure import take_turns
    from .warmup import warm_up_visibly
    from .weights import load_visibly

    warm_up_visibly()
    duel = Duel(load_visibly(options.model), options.model)
    difference = duel.compare()
    timings = take_turns(duel.sides(), seconds=options.seconds)
    peer = timings["onnxruntime"].median_us
    if options.json:
        sides = {
            name: {**asdict(timing), "times_faster_than_onnxruntime": peer / timing.median_us}
            for name, timing in timings.items()
        }
        content = {"model": options.model, "machine": machine_line(), "max_difference": difference, "sides": sides}
        json.dump(content, sys.stdout, indent=2)
        sys.stdout.write("\n")
        return 0

    from rich.table import Table

    from .console import output

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("side", no_wrap=True)
    for heading in ("median (us)", "p99 (us)", "calls", "faster than onnxruntime"):
        table.add_column(heading, justify="right")
    for name, timing in timings.items():
        ratio = f"{peer / timing.median_us:.2f}x"
        table.add_row(name, f"{timing.median_us:.1f}", f"{timing.p99_us:.1f}", str(timing.calls), ratio)
    output().print(f"{options.model}: max |difference| to onnxruntime {difference:.2g}", soft_wrap=True)
    output().print(table)
    output().print(machine_line(), style="dim", soft_wrap=True)
    return 0
