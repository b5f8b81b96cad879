"""Run a model on a file.

Audio (WAV, FLAC, ...): a denoiser writes OUTPUT, of the input's length and sample-aligned with it; a voice detector
tells the segments of speech, as text or with --json as JSON, on standard output or in OUTPUT. Images and volumes (.npy;
TIFF, PNG, JPEG, NIfTI and OME-Zarr with the extra `images`): the network's first output is written as TIFF, OME-Zarr,
NIfTI, PNG or .npy.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from .arguments import address, positive

NAME = "run"
SUMMARY = "run a model on an audio file or an image"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The model, input and output, and where it runs."""
    parser.add_argument(
        "model", metavar="MODEL", help="a model's name, or the path of a card (.toml) or network (.onnx)"
    )
    parser.add_argument("input", type=Path, metavar="INPUT")
    parser.add_argument("-o", "--output", type=Path, metavar="OUTPUT")
    parser.add_argument("--server", type=address, metavar="HOST:PORT", help="run on this server instead of in process")
    parser.add_argument("--real-time", action="store_true", help="send audio as a microphone would")
    parser.add_argument("--chunk-ms", type=positive, default=20, metavar="N", help="audio sent at a time (default: 20)")
    parser.add_argument("--json", action="store_true", help="segments of speech and timing as JSON")
    parser.add_argument("--scale", type=float, default=1.0, help="pixels are multiplied by this (default: 1)")
    parser.add_argument("--backend", default="cpu", help="in process: cpu, or reference (default: cpu)")


def execute(options: argparse.Namespace) -> int:
    """Run the file, by its ending."""
    from ...clients.images import is_image
    from ..errors import SignalError

    if not options.input.exists():
        raise SignalError(f"{options.input}: there is no such file")
    if is_image(options.input):
        from .run_image import run_image

        run_image(options)
    else:
        from .run_audio import run_audio

        run_audio(options)
    return 0
