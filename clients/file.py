"""The file client: a WAV or FLAC file through a server, the output aligned with the input, latencies measured."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import soundfile

from ..engine.errors import SignalError, WavetileError
from .client import StreamClient
from .latency import LatencyTracker
from .pace import at_real_time
from .progress import progress_bar
from .results import Event, StreamInfo, StreamResult

Pace = Literal["fast", "realtime"]


@dataclass(frozen=True, slots=True)
class FileReport:
    """What came of one file.

    `latencies_s`: of each frame, from the sending of the chunk that completed it to the arrival of its result; at pace
    "fast" this is mostly the wait in the client's own queue. `values`: `[frames, ...]` float32 by name. Frames that
    missed their deadlines are counted by what became of them.
    """

    info: StreamInfo
    samples: int
    wall_s: float
    latencies_s: np.ndarray
    queue_times_s: np.ndarray
    compute_times_s: np.ndarray
    values: dict[str, np.ndarray]
    events: tuple[Event, ...]
    output_path: Path | None
    late_frame_count: int
    skipped_frame_count: int
    bypassed_frame_count: int

    @property
    def audio_s(self) -> float:
        """The file's length in seconds."""
        return self.samples / self.info.sample_rate_hz

    @property
    def real_time_factor(self) -> float:
        """Time taken a second of audio; 0 for an empty file."""
        return self.wall_s / self.audio_s if self.samples else 0.0


class AlignedWriter:
    """Writes a stream's output so that the file has the input's length and sample t belongs to input sample t.

    Of what comes, the first `delay_samples` are dropped and at most `total_samples` written. The file appears under its
    name when the context ends without an error, and has the subtype `subtype` where its format (by the file's ending)
    knows it.
    """

    def __init__(
        self,
        path: Path,
        *,
        sample_rate_hz: int,
        channels: int,
        subtype: str,
        delay_samples: int,
        total_samples: int,
    ) -> None:
        self._path = path
        self._partial = path.with_name(path.name + ".partial")
        self._to_drop = delay_samples
        self._taken = 0
        self._missing = total_samples
        container = path.suffix.lstrip(".").upper()
        if container not in soundfile.available_formats():
            raise SignalError(f"{path}: no audio format has the ending {path.suffix!r}; .wav and .flac would work")
        self._file = _open_file(
            self._partial,
            mode="w",
            samplerate=sample_rate_hz,
            channels=channels,
            format=container,
            subtype=subtype if soundfile.check_format(container, subtype) else None,  # None: the format's usual
        )

    def write(self, samples: np.ndarray, first_sample_index: int | None = None) -> None:
        """Take the next output samples, `[samples]` or `[samples, channels]` float32.

        `first_sample_index` is of the first of them; what is missing before it is written as silence. None: nothing is.
        """
        if first_sample_index is not None and first_sample_index > self._taken:
            self.write(np.zeros((first_sample_index - self._taken, *samples.shape[1:]), np.float32))
        self._taken += len(samples)
        dropped = min(self._to_drop, len(samples))
        self._to_drop -= dropped
        kept = samples[dropped : dropped + self._missing]
        self._file.write(kept)
        self._missing -= len(kept)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._file.close()
        if kind is not None:
            self._partial.unlink(missing_ok=True)
            return
        if self._missing:
            self._partial.unlink()
            raise WavetileError(f"{self._path}: the stream ended {self._missing} samples short of its input")
        self._partial.replace(self._path)


class _Collector:
    """Gathers the parts of a FileReport while results arrive."""

    def __init__(self) -> None:
        self._latencies: list[float] = []
        self._queue_times: list[float] = []
        self._compute_times: list[float] = []
        self._events: list[Event] = []
        self._values: dict[str, list[np.ndarray]] = {}
        self._late = self._skipped = self._bypassed = 0

    def add(self, result: StreamResult, latencies_s: list[float]) -> None:
        self._latencies.extend(latencies_s)
        if result.frame_count:
            self._queue_times.append(result.queue_time_ns / 1e9)
            self._compute_times.append(result.compute_time_ns / 1e9)
        self._events.extend(result.events)
        self._late += result.late_frame_count
        self._skipped += result.skipped_frame_count
        self._bypassed += result.bypassed_frame_count
        for name, numbers in result.values.items():
            self._values.setdefault(name, []).append(numbers)

    def report(self, info: StreamInfo, samples: int, wall_s: float, output_path: Path | None) -> FileReport:
        return FileReport(
            info=info,
            samples=samples,
            wall_s=wall_s,
            latencies_s=np.array(self._latencies),
            queue_times_s=np.array(self._queue_times),
            compute_times_s=np.array(self._compute_times),
            values={name: np.concatenate(parts) for name, parts in self._values.items()},
            events=tuple(self._events),
            output_path=output_path,
            late_frame_count=self._late,
            skipped_frame_count=self._skipped,
            bypassed_frame_count=self._bypassed,
        )


async def process_file(  # noqa: PLR0913 - options, by keyword
    client: StreamClient,
    model: str,
    input_path: Path | str,
    output_path: Path | str | None = None,
    *,
    pace: Pace = "fast",
    chunk_s: float = 0.02,
    encoding: str = "pcm_f32le",
    frame_budget_s: float | None = None,
    late_policy: str = "process",
    progress: bool = False,
    on_result: Callable[[StreamResult, list[float]], None] | None = None,
) -> FileReport:
    """Send an audio file through `model` and write the enhanced audio, sample-aligned and of the same length.

    `pace` "realtime" sends `chunk_s` seconds at a time as a microphone would; "fast" sends as the server takes it.
    `frame_budget_s` and `late_policy` as of `StreamClient.stream`; frames that were skipped are silent in the output.
    `progress` shows a bar. `on_result` is called with each result and its frames' latencies in seconds.
    Raises SignalError for a file that can not be read or written, ServerError, and WavetileError when the model gives
    no audio to write.
    """
    input_path = Path(input_path)
    output_path = None if output_path is None else Path(output_path)
    with _open_file(input_path) as source:
        async with client.stream(
            model,
            sample_rate_hz=source.samplerate,
            channels=source.channels,
            encoding=encoding,
            frame_budget_s=frame_budget_s,
            late_policy=late_policy,
        ) as stream:
            info = stream.info
            tracker = LatencyTracker.of_stream(info)
            collector = _Collector()
            started_s = time.monotonic()
            with ExitStack() as stack:
                writer = stack.enter_context(_writer(output_path, source, info)) if output_path else None
                show = stack.enter_context(progress_bar(input_path.name, source.frames, enabled=progress))
                chunks = _read_chunks(source, max(1, round(chunk_s * source.samplerate)))
                if pace == "realtime":
                    chunks = at_real_time(chunks, source.samplerate)
                async for result in stream.exchange(tracker.watch(chunks)):
                    first, count = result.first_frame_index, result.frame_count
                    latencies_s = tracker.received(first, count, time.monotonic())
                    collector.add(result, latencies_s)
                    if writer is not None and result.samples is not None:
                        writer.write(result.samples, result.first_sample_index)
                    show((first + count) * tracker.hop_samples)
                    if on_result is not None:
                        on_result(result, latencies_s)
                show(source.frames)
            wall_s = time.monotonic() - started_s
        return collector.report(info, source.frames, wall_s, output_path)


async def _read_chunks(source: soundfile.SoundFile, chunk_samples: int) -> AsyncIterator[np.ndarray]:
    while len(chunk := source.read(chunk_samples, dtype="float32")):
        yield chunk


def _writer(path: Path, source: soundfile.SoundFile, info: StreamInfo) -> AlignedWriter:
    if not info.returns_audio:
        raise WavetileError(f"{path}: model {info.model!r} gives no audio; run it without an output file")
    return AlignedWriter(
        path,
        sample_rate_hz=info.sample_rate_hz,
        channels=info.channels,
        subtype=source.subtype,
        delay_samples=info.delay_samples,
        total_samples=source.frames,
    )


def _open_file(path: Path, **arguments: Any) -> soundfile.SoundFile:
    try:
        return soundfile.SoundFile(path, **arguments)
    except (soundfile.SoundFileError, OSError) as error:
        raise SignalError(f"{path}: {error}") from error
