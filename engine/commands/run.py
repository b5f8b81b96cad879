"""Run a model on a file.

Audio (WAV, FLAC, ...): a denoiser writes OUTPUT, of the input's length and sample-aligned with it; a voice detector
tells the segments of speech, as text or with --json as JSON, on standard output or in OUTPUT. Images and volumes (.npy;
TIFF, PNG, JPEG, NIfTI and OME-Zarr with the extra `images`): an output of the network is written as TIFF, OME-Zarr,
NIfTI, PNG or .npy, tile by tile while the image is read. Pixels are scaled as the model's card says.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from .arguments import address, positive
from .remote import add_guards

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
    add_guards(parser)
    parser.add_argument("--real-time", action="store_true", help="send audio as a microphone would")
    parser.add_argument("--chunk-ms", type=positive, default=20, metavar="N", help="audio sent at a time (default: 20)")
    parser.add_argument(
        "--late-policy", choices=("process", "skip", "bypass"),
        help="on a server, with --real-time: what happens to frames that miss their deadlines (default: process)",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="segments of speech, or an image's figures, as JSON")
    images = parser.add_argument_group("images and volumes")
    images.add_argument(
        "--order", choices=("whole", "raster", "any", "rows", "slices"),
        help="the parts that it goes in (default: whole up to a megapixel, then raster, of volumes slices)",
    )  # fmt: skip
    images.add_argument("--tile", type=positive, metavar="N", help="height and width of tiles (default: 256)")
    images.add_argument(
        "--scale", type=float, metavar="X", help="multiply pixels by this, instead of what the model's card says"
    )
    images.add_argument(
        "--multiple-of", type=positive, default=1, metavar="N",
        help="mirror the image at its ends until all its sizes are multiples of N, and cut the output back",
    )  # fmt: skip
    images.add_argument("--output-name", metavar="NAME", help="the network's output to write (default: its first)")
    images.add_argument("--time-point", type=int, metavar="N", help="of a file with several, from 0 on")
    parser.add_argument("--backend", default="cpu", help="in process: cpu, cuda or reference (default: cpu)")


def execute(options: argparse.Namespace) -> int:
    """Run the file, by its ending."""
    from ...clients.images import is_image
    from ..errors import SignalError

    if not options.input.exists():
        raise SignalError(f"{options.input}: there is no such file")
    image = is_image(options.input)
    if options.late_policy and (image or not (options.server and options.real_time)):
        raise SignalError("--late-policy is of live audio on a server; with --server and --real-time it would work")
    if image:
        from .run_image import run_image

        run_image(options)
    else:
        from .run_audio import run_audio

        run_audio(options)
    return 0
