"""Compile every native kernel and keep the machine code, so that later starts only load it.

This happens by itself when `serve` or `demo` start for the first time; run it in an image's build to have it done.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from .arguments import positive

if TYPE_CHECKING:
    from ...kernels.cpu.warmup import WarmUp

NAME = "warmup"
SUMMARY = "compile every kernel and keep the result"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`--processes`."""
    parser.add_argument(
        "--processes", type=positive, metavar="N", help="compile in N processes side by side (default: one a processor)"
    )


def execute(options: argparse.Namespace) -> int:
    """Compile, then say how long it took and where the cache is."""
    from .console import output

    done = warm_up_visibly(options.processes)
    if done.processes:
        took = f"{done.functions} kernels compiled in {done.seconds:.1f} s by {done.processes} processes"
    else:
        took = f"all {done.functions} kernels were there already"
    output().print(f"{took}; they are kept in {done.folder}", soft_wrap=True)
    return 0


def warm_up_visibly(processes: int | None = None) -> WarmUp:
    """Compile what is missing under a progress bar; at once, and silent, where nothing is missing."""
    from ...kernels.cpu import machine_code, warmup
    from .console import counted_progress

    if machine_code.is_complete():
        return warmup.warm_up()
    with counted_progress("compiling kernels (once)") as progress:
        return warmup.warm_up(progress, processes=processes)
