"""An audio file through a model, in process or on a server."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import numpy as np
import soundfile

from ...clients.file import AlignedWriter, FileReport, process_file
from ..errors import SignalError
from ..models.model import Model
from .console import counted_progress, output
from .remote import remote_client
from .segments import Segment, segments_of
from .weights import load_visibly


@dataclass(frozen=True, slots=True)
class Heard:
    """What running a file came to."""

    model: str
    sample_rate_hz: int
    samples: int
    wall_seconds: float
    decides_speech: bool
    segments: tuple[Segment, ...]
    missed: str = ""
    """What is to be said of deadlines."""


def run_audio(options: argparse.Namespace) -> None:
    """Run `options.input`, write what the model gives, and say what came of it."""
    heard = asyncio.run(_on_server(options)) if options.server else _in_process(options)
    _tell(heard, options)


def _in_process(options: argparse.Namespace) -> Heard:
    model = load_visibly(options.model, backend=options.backend)
    about = model.describe()
    _check_output(options.output, model.name, about.returns_audio)
    with _open(options.input) as source:
        started = time.monotonic()
        events = _stream_file(model, source, options if about.returns_audio else _without_output(options))
        return Heard(
            model=model.name,
            sample_rate_hz=source.samplerate,
            samples=source.frames,
            wall_seconds=time.monotonic() - started,
            decides_speech=not about.returns_audio,
            segments=segments_of(((e.kind, e.sample) for e in events), source.frames, source.samplerate),
        )


def _stream_file(model: Model, source: soundfile.SoundFile, options: argparse.Namespace) -> list:
    """Run the whole file through one stream; write its audio, and return its events."""
    events: list = []
    with model.stream(source.samplerate, source.channels) as stream:
        writer = (
            AlignedWriter(
                options.output, sample_rate_hz=source.samplerate, channels=source.channels, subtype=source.subtype,
                delay_samples=stream.delay_samples, total_samples=source.frames,
            )
            if options.output
            else _Discarded()
        )  # fmt: skip
        with writer, counted_progress(options.input.name) as progress:
            done, total_seconds = 0, round(source.frames / source.samplerate)
            for chunk in _chunks(source, options):
                result = stream.process(chunk)
                events += result.events
                if result.samples is not None:
                    writer.write(result.samples)
                done += len(chunk)
                progress(round(done / source.samplerate), total_seconds, "s")
            rest = stream.flush()
            events += rest.events
            if rest.samples is not None:
                writer.write(rest.samples)
    return events


def _chunks(source: soundfile.SoundFile, options: argparse.Namespace) -> Iterator[np.ndarray]:
    """The file in chunks `[samples, channels]` float32, at real-time pace if asked for."""
    samples = max(1, round(options.chunk_ms * source.samplerate / 1000))
    started, sent = time.monotonic(), 0
    while len(chunk := source.read(samples, dtype="float32", always_2d=True)):
        sent += len(chunk)
        if options.real_time:
            time.sleep(max(0.0, started + sent / source.samplerate - time.monotonic()))
        yield chunk


class _Discarded:
    """Stands in for a writer where nothing is to be written."""

    def write(self, samples: np.ndarray) -> None:
        """Forget the samples."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing was opened."""


async def _on_server(options: argparse.Namespace) -> Heard:
    async with remote_client(options, options.server) as client:
        about = await client.describe_model(options.model)
        _check_output(options.output, options.model, about.returns_audio)
        report = await process_file(
            client,
            options.model,
            options.input,
            options.output if about.returns_audio else None,
            pace="realtime" if options.real_time else "fast",
            chunk_s=options.chunk_ms / 1000,
            late_policy=options.late_policy or "process",
            progress=sys.stderr.isatty(),
        )
    rate_hz = report.info.sample_rate_hz
    return Heard(
        model=options.model,
        sample_rate_hz=rate_hz,
        samples=report.samples,
        wall_seconds=report.wall_s,
        decides_speech=not about.returns_audio,
        segments=segments_of(((e.kind, e.sample_index) for e in report.events), report.samples, rate_hz),
        missed=_missed(report) if options.late_policy else "",
    )


def _missed(report: FileReport) -> str:
    return (
        f"; of {len(report.latencies_s)} frames {report.late_frame_count} late, {report.skipped_frame_count} skipped, "
        f"{report.bypassed_frame_count} bypassed"
    )


def _check_output(path: Path | None, model: str, returns_audio: bool) -> None:
    if returns_audio and path is None:
        raise SignalError(f"model {model!r} gives audio: say where it goes with -o OUTPUT.wav")
    if path is not None and not path.parent.is_dir():
        raise SignalError(f"{path}: there is no folder {path.parent}")


def _without_output(options: argparse.Namespace) -> argparse.Namespace:
    """The same options for a model whose output is no audio."""
    return argparse.Namespace(**{**vars(options), "output": None})


def _open(path: Path) -> soundfile.SoundFile:
    try:
        return soundfile.SoundFile(path)
    except (soundfile.SoundFileError, OSError) as error:
        raise SignalError(f"{path}: {error}") from None


def _tell(heard: Heard, options: argparse.Namespace) -> None:
    """Write the segments where they belong, and say how long it took."""
    seconds = heard.samples / heard.sample_rate_hz
    if options.json:
        text = json.dumps(_as_json(heard), indent=2)
    elif heard.decides_speech:
        text = _as_text(heard.segments)
    else:
        text = f"{options.output}: {seconds:.2f} s in {heard.wall_seconds:.2f} s{heard.missed}"
    if heard.decides_speech and options.output is not None:
        options.output.write_text(f"{text}\n", "utf-8")
        output().print(f"{options.output}: {len(heard.segments)} segments of speech", soft_wrap=True)
    else:
        sys.stdout.write(f"{text}\n")


def _as_text(segments: Sequence[Segment]) -> str:
    return "\n".join(f"{one.start_seconds:.3f}\t{one.end_seconds:.3f}" for one in segments) or "no speech"


def _as_json(heard: Heard) -> dict:
    content = {
        "model": heard.model, "sample_rate_hz": heard.sample_rate_hz, "samples": heard.samples,
        "seconds": heard.samples / heard.sample_rate_hz, "wall_seconds": heard.wall_seconds,
    }  # fmt: skip
    if heard.decides_speech:
        content["segments"] = [asdict(one) for one in heard.segments]
    return content
