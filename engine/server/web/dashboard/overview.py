"""The numbers of the page: what the server has counted so far. The page itself makes rates of two of these."""

from __future__ import annotations

import math
import os
import time
from pathlib import Path
from typing import Any

import numpy as np

from ....session.counts import ModelCounts
from ....session.histogram import TimeHistogram
from ...activity import Activity, OpenStream, WorkCounts
from ...model_table import ModelTable
from ..instruments import Instruments

MAX_STREAMS = 200
"""In the page's table; the newest of those that are open."""


def overview(instruments: Instruments) -> dict[str, Any]:
    """All of it, for `json.dumps`."""
    now_ns = time.monotonic_ns()
    streams = list(instruments.activity.open.values())
    options = instruments.options
    return {
        "time_ns": now_ns,
        "server": {
            "version": options.version,
            "uptime_s": (now_ns - instruments.started_ns) / 1e9,
            "draining": instruments.admission.draining,
            "max_streams": options.max_streams,
            "threads": options.threads,
            "memory_bytes": resident_bytes(),
        },
        "models": [_model(name, instruments, streams) for name in _names(instruments.models)],
        "networks": [
            {"name": name, "evaluations": _work(instruments.activity.of(name).evaluations)}
            for name in sorted({name for one in instruments.models.live for name in one.networks})
        ],
        "unknown_refused": dict(instruments.activity.unknown.refused),
        "streams": [_stream(stream) for stream in reversed(streams[-MAX_STREAMS:])],
        "stream_count": len(streams),
    }


def resident_bytes() -> int | None:
    """Memory that this process occupies; None where the system does not say so in a file."""
    try:
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")


def _names(models: ModelTable) -> list[str]:
    """Of all models that have, or take, streams."""
    return sorted({one.name for one in models.live if one.has_stream})


def _model(name: str, instruments: Instruments, streams: list[OpenStream]) -> dict[str, Any]:
    releases = [one for one in instruments.models.live if one.name == name and one.has_stream]
    about = releases[0].description
    serving = instruments.models.serving.get(name)
    activity: Activity = instruments.activity
    counts = activity.of(name)
    mine = [stream for stream in streams if stream.model == name]
    answer: dict[str, Any] = {
        "name": name,
        "kind": about.kind.value,
        "version": None if serving is None else serving.version,
        "draining": [{"version": one.version, "uses": one.leases} for one in releases if one is not serving],
        "hop_ms": 1000 * about.hop_samples / about.sample_rate_hz if about.sample_rate_hz else None,
        "active": len(mine),
        "state_bytes": sum(stream.state_bytes for stream in mine),
        "opened": counts.opened,
        "refused": dict(counts.refused),
        "ended": dict(counts.ended),
    }
    if releases[0].has_frames:
        return {**answer, **_frames(instruments.scheduler.counts(name))}
    return {**answer, **_work(counts.parts)}


def _frames(counts: ModelCounts) -> dict[str, Any]:
    return {
        "frames": counts.frames,
        "outcomes": {outcome.value: number for outcome, number in counts.outcomes.items()},
        "busy_ns": counts.compute_ns,
        "batches": {str(size): batch.batches for size, batch in sorted(counts.by_size.items())},
        "times": {
            "queue": _ranges(counts.queue),
            "compute": _ranges(counts.compute),
            "end_to_end": _ranges(counts.end_to_end),
        },
    }


def _work(work: WorkCounts) -> dict[str, Any]:
    return {
        "frames": work.compute.count,
        "outcomes": {},
        "busy_ns": work.compute.total_ns,
        "batches": {"1": work.compute.count} if work.compute.count else {},
        "times": {"queue": _ranges(work.queue), "compute": _ranges(work.compute)},
    }


def _ranges(histogram: TimeHistogram) -> dict[str, Any]:
    """The counts from the first range that has any."""
    counts = histogram.counts
    used = np.flatnonzero(counts)
    if not len(used):
        return {"first": 0, "counts": []}
    return {"first": int(used[0]), "counts": counts[used[0] : used[-1] + 1].tolist()}


def _stream(stream: OpenStream) -> dict[str, Any]:
    image = stream.form
    return {
        "id": stream.stream_id,
        "model": stream.model,
        "model_version": stream.model_version,
        "kind": stream.kind.value,
        "protocol": stream.protocol,
        "age_s": stream.age_s,
        "sample_rate_hz": stream.sample_rate_hz,
        "channels": stream.channels,
        "size": None if image is None else [one for one in (image.depth, image.height, image.width) if one],
        "finished_share": None if math.isnan(stream.finished_share) else stream.finished_share,
        "state_bytes": stream.state_bytes,
        "frames": stream.frames,
        "queue_ns": stream.queue_ns,
        "compute_ns": stream.compute_ns,
        "missed": stream.missed,
        "watched": stream.tap is not None,
    }
