"""The demo itself: fetch, compile, serve, stream sound both ways at once, then an image tile by tile, report."""

from __future__ import annotations

import asyncio
import importlib.util
from pathlib import Path

import numpy as np
import soundfile
import soxr

from ....clients import StreamClient
from ...models.card import AudioSignal, Card, find_card
from ...models.catalogue import weights_path
from ..console import bytes_progress, in_bytes, notices, output
from ..machine import machine_line
from ..segments import segments_of
from ..warmup import warm_up_visibly
from .board import Board, Tally
from .clip import CLIP_PATH, SPOKEN_SECONDS
from .exchange import Exchanged, exchange
from .field import read_field
from .mosaic import TILE_PIXELS, stream_image, tiles
from .mosaic_board import MosaicBoard
from .record import DemoRecord, ImageRecord, StreamRecord
from .server_process import running_server

DETECTOR = "silero_vad"
DENOISER = "deepfilternet3"
SEGMENTER = "nuclei_compact"


def play(folder: Path, *, real_time: bool) -> int:
    """Run the demo and leave its results in `folder`; returns the exit status.

    Raises:
        WeightsError: weights are not here and can not be fetched.
        WavetileError: the server did not start, or ended a stream.
    """
    detector, denoiser = find_card(DETECTOR), find_card(DENOISER)
    for card in (detector, denoiser):
        _fetch(card)
    warm_up_visibly()
    folder.mkdir(parents=True, exist_ok=True)
    models = DETECTOR, DENOISER, SEGMENTER
    notices().print(f"starting a server with {', '.join(models)}", style="dim")
    clip, sample_rate_hz = soundfile.read(CLIP_PATH, dtype="float32")
    with running_server(models) as address:
        pace = "at real-time pace" if real_time else "as fast as it goes"
        notices().print(f"sending {CLIP_PATH.name} to {address} {pace}, on two streams at once", style="dim")
        heard, cleaned = asyncio.run(_stream(address, clip, sample_rate_hz, detector, denoiser, real_time=real_time))
        # After the sound, whose latencies it would disturb.
        image = asyncio.run(_image(address, real_time=real_time))
    record = compose_record(clip, sample_rate_hz, heard, cleaned, detector, image)
    written = [folder / "noisy.wav", folder / "enhanced.wav"]
    for path, samples in zip(written, (record.noisy, record.enhanced), strict=True):
        soundfile.write(path, samples, sample_rate_hz, subtype="PCM_16")
    written += _report(folder, record)
    output().print(f"\nleft in {folder.resolve()}:", soft_wrap=True)
    for path in written:
        output().print(f"  {path.name}", style="bold")
    return 0


def _fetch(card: Card) -> None:
    for network in card.networks.values():
        with bytes_progress(f"fetching {network.file}") as progress:
            weights_path(card, network, progress)


async def _stream(
    address: str, clip: np.ndarray, sample_rate_hz: int, detector: Card, denoiser: Card, *, real_time: bool
) -> tuple[Exchanged, Exchanged]:
    """Both streams at once, under the live board.

    Each gets the clip at its model's rate, so that no resampler of the server's is in the latencies.
    """
    hearing, cleaning = _signal(detector), _signal(denoiser)
    heard, cleaned = (_at_rate(clip, sample_rate_hz, signal.sample_rate_hz) for signal in (hearing, cleaning))
    board = Board(output(), Tally(DETECTOR, hearing), Tally(DENOISER, cleaning), len(heard))
    async with StreamClient(address) as client:
        with board:
            return await asyncio.gather(
                exchange(client, DETECTOR, hearing, heard, real_time=real_time, on_result=board.detected),
                exchange(client, DENOISER, cleaning, cleaned, real_time=real_time, on_result=board.denoised),
            )


async def _image(address: str, *, real_time: bool) -> ImageRecord:
    """An image of nuclei in tiles, under a live line."""
    image = read_field()
    height, width = image.shape
    notices().print(
        f"\nstreaming an image of {height} x {width} pixels through {SEGMENTER}, in tiles of {TILE_PIXELS}", style="dim"
    )
    async with StreamClient(address) as client:
        with MosaicBoard(output(), len(tiles(image)), image.size) as board:
            record = await stream_image(client, SEGMENTER, image, real_time=real_time, on_tile=board.arrived)
    first_ms, kept, difference = record.first_pixel_ms, in_bytes(record.kept_bytes), record.max_difference
    output().print(
        f"\nfirst pixel finished after {first_ms:.1f} ms; {kept} kept; {difference:.1g} from the whole image"
    )
    return record


def _report(folder: Path, record: DemoRecord) -> list[Path]:
    """Write the report where matplotlib is there; else say how to get it."""
    if importlib.util.find_spec("matplotlib") is None:
        notices().print("no report: it needs matplotlib (pip install 'wavetile[report]')", style="yellow")
        return []
    from .page import write_report

    return list(write_report(record, folder))


def compose_record(
    clip: np.ndarray, sample_rate_hz: int, heard: Exchanged, cleaned: Exchanged, detector: Card, image: ImageRecord
) -> DemoRecord:
    """Gather what was measured."""
    assert cleaned.samples is not None
    seconds, heard_rate_hz = len(clip) / sample_rate_hz, heard.info.sample_rate_hz
    events = ((event.kind, event.sample_index) for event in heard.events)
    segments = segments_of(events, round(seconds * heard_rate_hz), heard_rate_hz)
    return DemoRecord(
        sample_rate_hz=sample_rate_hz,
        noisy=clip,
        enhanced=_at_rate(cleaned.samples, cleaned.info.sample_rate_hz, sample_rate_hz)[: len(clip)],
        probability=heard.values["probability"].ravel(),
        probability_step_seconds=_signal(detector).hop_samples / heard_rate_hz,
        threshold=detector.decoder.threshold if detector.decoder else 0.5,
        segments=tuple((one.start_seconds, one.end_seconds) for one in segments),
        spoken=SPOKEN_SECONDS,
        detector=_stream_record(heard, seconds),
        denoiser=_stream_record(cleaned, seconds),
        image=image,
        machine=machine_line(),
    )


def _stream_record(exchanged: Exchanged, seconds: float) -> StreamRecord:
    info = exchanged.info
    return StreamRecord(
        model=info.model,
        frame_ms=1e3 * info.hop_samples / info.model_sample_rate_hz,
        latencies_ms=1e3 * exchanged.latencies_s,
        real_time_factor=exchanged.compute_s / seconds,
        delay_ms=1e3 * info.delay_samples / info.sample_rate_hz,
    )


def _at_rate(samples: np.ndarray, rate_hz: int, wanted_hz: int) -> np.ndarray:
    """`[samples]` float32 at another rate."""
    return samples if rate_hz == wanted_hz else soxr.resample(samples, rate_hz, wanted_hz).astype(np.float32)


def _signal(card: Card) -> AudioSignal:
    assert isinstance(card.signal, AudioSignal)
    return card.signal
