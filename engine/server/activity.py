"""What goes on in a server, for those who run it: open streams, and what has come, was refused and was computed."""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

import grpc
import numpy as np

from ..session import ImageFormat, ImageResult
from ..session.histogram import TimeHistogram
from .served import ModelKind, SessionOutput
from .tracing import NO_SPAN, NoTracing, Span, Tracing

logger = logging.getLogger(__name__)

_NO_TRACING = NoTracing()

OK = "ok"
GONE = "gone"
"""How a stream ends whose client ended it, or is no longer there."""


class Tap(Protocol):
    """Where a stream's signal goes besides, for as long as somebody looks at it. Must return at once, and not fail."""

    def sent(self, chunk: np.ndarray, /) -> None:
        """What the client has sent, as the session takes it."""
        ...

    def answered(self, output: SessionOutput, /) -> None:
        """What the session has given."""
        ...

    def part_done(self, z: int, y: int, x: int, pixels: np.ndarray, result: ImageResult, /) -> None:
        """A part of an image, and what it has finished; called on a compute thread."""
        ...


@dataclass(slots=True, eq=False)
class OpenStream:
    """A live stream as those see it who run the server. Made by `Activity.stream`, written by its call alone."""

    activity: Activity
    stream_id: str
    protocol: str
    """The service's package: "wavetile.v1", or "inference" for a sequence."""
    model: str = ""
    """Empty: none that is served here."""
    kind: ModelKind = ModelKind.AUDIO
    model_version: str = ""
    came_ns: int = field(default_factory=time.monotonic_ns)
    began: bool = False
    sample_rate_hz: int = 0
    channels: int = 1
    state_bytes: int = 0
    frames: int = 0
    """Whose results are on their way; of images parts."""
    late: int = 0
    """Of these frames, those that did not meet their deadline, as `skipped` and `bypassed`."""
    skipped: int = 0
    bypassed: int = 0
    queue_ns: int = 0
    """Of the last result, as `compute_ns`."""
    compute_ns: int = 0
    finished_share: float = 0.0
    """Of the image that is coming in; NaN where nobody knows."""
    form: ImageFormat | None = None
    """Of images."""
    tap: Tap | None = None
    span: Span = NO_SPAN
    """Of the stream, in its client's trace."""

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Around all of the stream: counts whether it begins and how it ends."""
        how = OK
        self.span = self.activity.tracing.begin(f"{self.protocol} stream", {"rpc.system": "grpc"})
        try:
            yield
        except (asyncio.CancelledError, grpc.aio.InternalError):
            how = GONE
            raise
        except Exception as error:
            how = reason_of(error)
            raise
        finally:
            self._end(how)

    def admitted(self, peer: str) -> None:
        """Log that it is let in, and who it is by."""
        about = {"event": "stream_admitted", **self._about(), "peer": peer}
        logger.info("stream %s: admitted on model %r by %s", self.stream_id, self.model, peer, extra=about)

    def _end(self, how: str) -> None:
        counts = self.activity.of(self.model)
        (counts.ended if self.began else counts.refused)[how] += 1
        self.activity.open.pop(self.stream_id, None)
        event = "stream_ended" if self.began else "stream_refused"
        numbers = {"frames": self.frames, "missed": self.missed, "seconds": round(self.age_s, 3)}
        about = {"event": event, **self._about(), "how": how, **numbers}
        self.span.end(self._attributes(), "" if how in (OK, GONE) else how)
        logger.info(
            "stream %s: %s after %.1f s and %d frames", self.stream_id, how, self.age_s, self.frames, extra=about
        )

    def _attributes(self) -> dict[str, str | int]:
        """What a trace says of it, under names of wavetile's own."""
        numbers = {
            "sample_rate_hz": self.sample_rate_hz,
            "channels": self.channels,
            "frames": self.frames,
            "frames.late": self.late,
            "frames.skipped": self.skipped,
            "frames.bypassed": self.bypassed,
        }
        return {f"wavetile.{name}": value for name, value in {**self._about(), **numbers}.items()}

    def _about(self) -> dict[str, str]:
        return {
            "protocol": self.protocol,
            "stream": self.stream_id,
            "model": self.model,
            "model_version": self.model_version,
        }

    def begin(self) -> None:
        """Say that the client knows that the stream has begun."""
        self.began = True
        self.activity.of(self.model).opened += 1
        self.activity.open[self.stream_id] = self

    def count(self, frames: int, queue_ns: int, compute_ns: int) -> None:
        """Count frames whose results are on their way, and what these took."""
        self.frames += frames
        self.queue_ns, self.compute_ns = queue_ns, compute_ns

    def count_part(self, arrived_ns: int, queue_ns: int, compute_ns: int) -> None:
        """Count a part of an image whose result is on its way."""
        self.count(1, queue_ns, compute_ns)
        self.activity.of(self.model).parts.add(queue_ns, compute_ns)
        started_ns = arrived_ns + queue_ns
        self.span.part("image part", started_ns, started_ns + compute_ns, {"wavetile.queue_seconds": queue_ns / 1e9})

    def count_missed(self, late: int, skipped: int, bypassed: int) -> None:
        """Count those of them that did not meet their deadline."""
        self.late += late
        self.skipped += skipped
        self.bypassed += bypassed

    @property
    def missed(self) -> int:
        """Frames that did not meet their deadline."""
        return self.late + self.skipped + self.bypassed

    @property
    def age_s(self) -> float:
        """Seconds since the client asked for it."""
        return (time.monotonic_ns() - self.came_ns) / 1e9


@dataclass(slots=True)
class WorkCounts:
    """Parts of images, or whole evaluations."""

    queue: TimeHistogram = field(default_factory=TimeHistogram)
    compute: TimeHistogram = field(default_factory=TimeHistogram)

    def add(self, queue_ns: int, compute_ns: int) -> None:
        """Count one more."""
        self.queue.add((queue_ns,))
        self.compute.add((compute_ns,))


class Evaluation:
    """One whole evaluation of a network, for those who run the server."""

    def __init__(self, counts: WorkCounts, span: Span) -> None:
        self._counts = counts
        self._span = span

    def computed(self, arrived_ns: int, queue_ns: int, compute_ns: int) -> None:
        """Count what it waited and took."""
        self._counts.add(queue_ns, compute_ns)
        started_ns = arrived_ns + queue_ns
        self._span.part("compute", started_ns, started_ns + compute_ns, {"wavetile.queue_seconds": queue_ns / 1e9})


@dataclass(slots=True)
class ModelActivity:
    """What was done with one model since the server's start."""

    opened: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    """Reason -> streams that ended for it before they began."""
    ended: Counter[str] = field(default_factory=Counter)
    """How streams ended that had begun: "ok", "gone" (with the client), or the reason why the server ended them."""
    parts: WorkCounts = field(default_factory=WorkCounts)
    evaluations: WorkCounts = field(default_factory=WorkCounts)
    evaluations_failed: Counter[str] = field(default_factory=Counter)
    """Reason -> evaluations that gave no answer."""


class Activity:
    """The open streams and the counts of each model. For the event loop's thread."""

    def __init__(self, models: Iterable[str], tracing: Tracing | None = None) -> None:
        self.tracing = tracing or _NO_TRACING
        self.open: dict[str, OpenStream] = {}
        """By id, in the order in which they came."""
        self.by_model: dict[str, ModelActivity] = {}
        self.know(models)
        self.unknown = ModelActivity()
        """Of models that are not here: what clients call them is not kept."""

    def know(self, models: Iterable[str]) -> None:
        """Count these from now on, unless that is done already."""
        for name in models:
            self.by_model.setdefault(name, ModelActivity())

    def of(self, model: str) -> ModelActivity:
        """The counts of `model`."""
        return self.by_model.get(model, self.unknown)

    def stream(self, protocol: str, model: str = "", kind: ModelKind = ModelKind.AUDIO) -> OpenStream:
        """A stream that somebody asks for; not counted yet."""
        return OpenStream(self, secrets.token_hex(8), protocol, model, kind)

    @contextmanager
    def evaluation(self, model: str) -> Iterator[Evaluation]:
        """Around an evaluation of a network."""
        span = self.tracing.begin("inference evaluation", {"rpc.system": "grpc", "wavetile.model": model})
        error = ""
        try:
            yield Evaluation(self.of(model).evaluations, span)
        except asyncio.CancelledError:
            error = GONE
            raise
        except Exception as one:
            error = reason_of(one)
            raise
        finally:
            span.end({}, error)
            if error:
                self.of(model).evaluations_failed[error] += 1


def reason_of(error: Exception) -> str:
    """A stable word for why a stream was refused or ended, such as "too_many_streams"."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", type(error).__name__.removesuffix("Error")).lower()
