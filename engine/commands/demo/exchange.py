"""Sends the demo's clip over one stream, and measures each frame from its last samples' sending to its result."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import numpy as np

from ....clients import Event, StreamClient, StreamInfo, StreamResult
from ....clients.latency import LatencyTracker
from ....clients.pace import at_real_time
from ...errors import WavetileError
from ...models.card import AudioSignal

CHUNK_SECONDS = 0.02
"""What a WebRTC packet holds."""


@dataclass(frozen=True, slots=True)
class Exchanged:
    """What one stream gave."""

    info: StreamInfo
    latencies_s: np.ndarray
    """[frames] float64, without the frames that only the end of the signal completed."""
    compute_s: float
    """Time that the server computed, all in all."""
    samples: np.ndarray | None
    """[samples] float32: the enhanced clip, aligned with it and as long; None where the model gives no audio."""
    values: dict[str, np.ndarray]
    """[frames, ...] float32 by name."""
    events: tuple[Event, ...]


async def exchange(
    client: StreamClient,
    model: str,
    signal: AudioSignal,
    clip: np.ndarray,
    *,
    real_time: bool,
    on_result: Callable[[StreamResult, list[float]], None],
) -> Exchanged:
    """Send `clip`, `[samples]` float32 at the model's own rate, and gather what comes back.

    `on_result` gets each result with the latencies of its frames in seconds. Raises ServerError.
    """
    latencies: list[float] = []
    results: list[StreamResult] = []
    async with client.stream(model, sample_rate_hz=signal.sample_rate_hz) as stream:
        tracker = LatencyTracker.of_stream(stream.info)
        chunks = _chunks(clip, round(CHUNK_SECONDS * signal.sample_rate_hz))
        if real_time:
            chunks = at_real_time(chunks, signal.sample_rate_hz)
        async for result in stream.exchange(tracker.watch(chunks)):
            passed = tracker.received(result.first_frame_index, result.frame_count, time.monotonic())
            latencies += passed
            results.append(result)
            on_result(result, passed)
    return Exchanged(
        info=stream.info,
        latencies_s=np.array(latencies),
        compute_s=sum(result.compute_time_ns for result in results) / 1e9,
        samples=_aligned(results, stream.info, len(clip)),
        values={name: np.concatenate([result.values[name] for result in results if name in result.values])
                for name in stream.info.value_names},
        events=tuple(event for result in results for event in result.events),
    )  # fmt: skip


async def _chunks(clip: np.ndarray, samples: int) -> AsyncIterator[np.ndarray]:
    for first in range(0, len(clip), samples):
        yield clip[first : first + samples]


def _aligned(results: list[StreamResult], info: StreamInfo, total: int) -> np.ndarray | None:
    if not info.returns_audio:
        return None
    samples = np.concatenate([result.samples for result in results if result.samples is not None])
    samples = samples[info.delay_samples : info.delay_samples + total]
    if len(samples) != total:
        raise WavetileError(f"model {info.model!r} gave {len(samples)} of the clip's {total} samples")
    return samples
