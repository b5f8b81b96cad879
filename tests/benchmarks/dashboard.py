"""A picture of the dashboard of a server that streams speech and an image: `python -m tests.benchmarks.dashboard PNG`.

GTCRN and Silero on recordings at the pace of speech, and the nuclei's image tile by tile, from a process of their own;
the picture is what headless Chromium shows after a minute. Needs the tests' weights and recordings.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import re
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import soundfile
import tifffile
from PIL import Image

from tests.conftest import DATA_VARIABLE, shared_folder
from tests.server.browser import opened
from wavetile.clients import Part, StreamClient

NOISY = (
    "speech_denoise_gtcrn/mix.wav",
    "speech_noisy_clean/p232_003_noisy.wav",
    "speech_noisy_clean/p232_005_noisy.wav",
)
SPOKEN = ("vad/test.wav",)
CHUNK_S = 0.02
TILE = 64
TILES_PER_S = 4


async def speak(client: StreamClient, model: str, path: Path, start_s: float) -> None:
    """Stream a recording over and over, from `start_s` on, at the pace at which it was spoken."""
    samples, rate_hz = soundfile.read(path, dtype="float32")
    samples = np.roll(samples, -int(start_s * rate_hz))
    chunk, loop = int(CHUNK_S * rate_hz), asyncio.get_running_loop()
    async with client.stream(model, sample_rate_hz=rate_hz) as stream:

        async def send() -> None:
            due_s = loop.time()
            while True:
                for start in range(0, len(samples) - chunk, chunk):
                    await stream.send(samples[start : start + chunk])
                    due_s += CHUNK_S
                    await asyncio.sleep(due_s - loop.time())

        async with asyncio.TaskGroup() as group:
            group.create_task(send())
            async for _ in stream:
                pass


async def scan(client: StreamClient, path: Path) -> None:
    """Stream an image in square tiles over and over."""
    image = tifffile.imread(path).astype(np.float32)
    low, high = np.percentile(image, (1, 99))
    height, width = (size // 8 * 8 for size in image.shape)
    image = (image[:height, :width] - low) / (high - low)
    form = {"height": height, "width": width, "order": "raster", "tile_pixels": TILE, "pixel_type": "float32"}

    async def tiles() -> AsyncIterator[Part]:
        for y in range(0, height, TILE):
            for x in range(0, width, TILE):
                yield Part(image[y : y + TILE, x : x + TILE], y, x)
                await asyncio.sleep(1 / TILES_PER_S)

    while True:
        async with client.stream_images("nuclei_compact", **form) as stream:
            async for _ in stream.exchange(tiles()):
                pass


async def load(address: str, denoised: int, detected: int) -> None:
    """All the streams, until somebody ends this process."""
    data = shared_folder(DATA_VARIABLE, "data")
    async with StreamClient(address) as client, asyncio.TaskGroup() as group:
        group.create_task(scan(client, data / "nuclei/img2d.tif"))
        for index in range(detected):
            group.create_task(speak(client, "silero_vad", data / SPOKEN[0], 1.1 * index))
        for index in range(denoised):
            group.create_task(speak(client, "gtcrn", data / NOISY[index % len(NOISY)], 0.7 * index))


async def started(*arguments: str) -> tuple[asyncio.subprocess.Process, str]:
    """A process of this Python, and what it says up to the line that says "ready" (of a server)."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, stdout=pipe, stderr=asyncio.subprocess.STDOUT
    )
    assert process.stdout is not None
    said = ""
    while "serve" in arguments and "ready on " not in said:
        line = (await process.stdout.readline()).decode()
        assert line, said
        said += line
    return process, said


async def take(options: argparse.Namespace) -> None:
    """Start server and streams, and save what the page shows."""
    models = ("gtcrn", "silero_vad", "nuclei_compact")
    server, said = await started("-m", "wavetile.engine", "serve", *models, "--port", "0", "--dashboard", "127.0.0.1:0")
    address, url = re.search(r"ready on (\S+)", said), re.search(r"dashboard on (\S+)", said)
    assert address is not None, said
    assert url is not None, said
    streams, _ = await started(
        "-m", "tests.benchmarks.dashboard", "--load", address[1], "--denoised", str(options.denoised),
        "--detected", str(options.detected),
    )  # fmt: skip
    try:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            async with opened(url[1], Path(folder), height=options.height, dark=options.dark) as page:
                await page.until("document.querySelectorAll('#table tr').length > 3")
                await asyncio.sleep(options.seconds - 14)
                rows = "[...document.querySelectorAll('#table tr')]"
                row = f"{rows}.find((one) => one.cells[1].textContent === '{options.model}')"
                await page.value(f"{row}.querySelector('button').click()")
                await asyncio.sleep(14)
                seen = Image.open(io.BytesIO(await page.picture())).convert("RGB")
                seen.quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(
                    options.picture, optimize=True
                )
                assert page.errors == []
    finally:
        for process in (streams, server):
            process.terminate()
            await process.wait()


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("picture", type=Path, nargs="?")
    parser.add_argument("--load", metavar="HOST:PORT", help="only stream, to a server that is there")
    parser.add_argument("--denoised", type=int, default=10)
    parser.add_argument("--detected", type=int, default=6)
    parser.add_argument("--model", default="gtcrn", help="whose stream is looked at")
    parser.add_argument("--seconds", type=float, default=75.0)
    parser.add_argument("--height", type=int, default=1140)
    parser.add_argument("--dark", action="store_true")
    options = parser.parse_args()
    if options.load:
        asyncio.run(load(options.load, options.denoised, options.detected))
    elif options.picture:
        asyncio.run(take(options))
    else:
        parser.error("the path of a picture to write, or --load HOST:PORT")


if __name__ == "__main__":
    main()
