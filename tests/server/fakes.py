"""Models without networks, for tests of the server and its clients: the arithmetic is plain enough to check by hand.

`GainModel`: 16 kHz, hop 160, output = 0.5 x the input of one hop before. Per frame it gives "peak", the largest
absolute input, and says speech_start / speech_end when the peak passes 0.5 upwards / downwards. With
`first_frame_samples` longer than a hop, its windows look ahead: a frame is that window's first hop.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from tests.patience import PATIENCE_S
from tests.server.gates import Gate
from wavetile.engine.errors import CapacityError, SignalError
from wavetile.engine.pixels import PercentileRange
from wavetile.engine.server import ModelDescription, ModelKind, TensorDescription
from wavetile.engine.server.served import ServedKeptSession
from wavetile.engine.session import ImageFormat, ImageOutput, ImageResult, Region
from wavetile.engine.session.scheduled_model import StepExecutor

HOP = 160
RATE_HZ = 16000
ALLOWED_RATES_HZ = (16000, 48000)


@dataclass(frozen=True)
class FakeEvent:
    kind: str
    sample: int
    seconds: float
    probability: float


@dataclass(frozen=True)
class FakeOutput:
    samples: np.ndarray | None
    values: Mapping[str, np.ndarray]
    events: tuple[FakeEvent, ...]


class GainSession:
    """A ring with one producer and one consumer; state: the hop before."""

    def __init__(
        self, model: GainModel, sample_rate_hz: int, channels: int, capacity_hops: int, bypasses: bool = False
    ) -> None:
        self.model = model
        self.sample_rate_hz = sample_rate_hz
        self.channels = self.lanes = channels
        self.delay_samples = HOP
        self.first_frame_samples = model.first_frame_samples
        self.bypasses = bypasses
        self.bypassed = False
        self.closed = False
        self._capacity = capacity_hops * HOP
        self._ring = np.zeros((self._capacity, channels), np.float32)
        self._written = 0
        self._read = 0
        self._fed = 0
        self._before = np.zeros((HOP, channels), np.float32)
        self._outputs: list[np.ndarray] = []
        self._peaks: list[float] = []
        self._events: list[FakeEvent] = []
        self._loud = False
        self._flushed = False
        self._emitted = 0
        self._in_step = threading.Lock()

    @property
    def completed(self) -> int:
        return max(0, (self._written - self.first_frame_samples) // HOP + 1)

    @property
    def ready(self) -> int:
        return self.completed - self._read // HOP

    @property
    def free_samples(self) -> int:
        return self._capacity - (self._written - self._read)

    def feed(self, chunk: np.ndarray) -> None:
        if not np.isfinite(chunk).all():
            raise SignalError("a chunk has samples that are NaN or infinite; every sample must be finite")
        assert len(chunk) <= self.free_samples
        self._write(chunk.reshape(len(chunk), self.channels))
        self._fed += len(chunk)

    def _write(self, rows: np.ndarray) -> None:
        where = (self._written + np.arange(len(rows))) % self._capacity
        self._ring[where] = rows
        self._written += len(rows)

    def flush(self) -> None:
        assert self.ready == 0
        # Fill the last hop, push the delayed one out, and let the last window begin with it.
        padding = -self._fed % HOP + self.first_frame_samples
        self._write(np.zeros((padding, self.channels), np.float32))
        self._flushed = True

    def advance(self) -> None:
        """One hop; called by the executor."""
        assert self._in_step.acquire(blocking=False), "a session is stepped by two threads at once"
        assert not self.closed, "a closed session is stepped"
        hop = self._take_hop(0.5)
        peak = float(np.abs(hop).max())
        self._peaks.append(peak)
        if (peak > 0.5) != self._loud:
            self._loud = not self._loud
            kind = "speech_start" if self._loud else "speech_end"
            self._events.append(FakeEvent(kind, self._read - HOP, (self._read - HOP) / self.sample_rate_hz, peak))
        self.bypassed = False
        self._in_step.release()

    def _take_hop(self, gain: float) -> np.ndarray:
        hop = self._ring[(self._read + np.arange(HOP)) % self._capacity]
        self._outputs.append(np.float32(gain) * self._before)
        self._before = hop
        self._read += HOP
        return hop

    def bypass(self) -> None:
        """One hop, as it came; without the fades of a real session."""
        assert self.bypasses, "a session is asked for what it was not opened for"
        self._take_hop(1.0)
        self.bypassed = True

    def drain(self) -> FakeOutput:
        empty = np.zeros((0, self.channels), np.float32)
        samples = np.concatenate([empty, *self._outputs])
        if self._flushed:
            samples = samples[: self._fed + HOP - self._emitted]
        self._emitted += len(samples)
        output = FakeOutput(
            samples[:, 0] if self.channels == 1 else samples,
            {"peak": np.array(self._peaks, np.float32)},
            tuple(self._events),
        )
        self._outputs, self._peaks, self._events = [], [], []
        return output

    def close(self) -> None:
        assert not self.closed, "a session is closed twice"
        assert not self._in_step.locked(), "a session is closed during a step"
        self.closed = True
        self.model.open_sessions -= 1


class GainExecutor:
    """Steps one session after the other, and takes the model's time for it, as a native call does without the GIL."""

    def __init__(self, model: GainModel, max_lanes: int) -> None:
        self.model = model
        self.max_lanes = max_lanes
        self._in_step = threading.Lock()

    def step(self, sessions: Sequence[GainSession]) -> None:
        assert self._in_step.acquire(blocking=False), "an executor is used by two threads at once"
        try:
            assert len(set(map(id, sessions))) == len(sessions)
            assert sum(session.lanes for session in sessions) <= self.max_lanes
            self.model.batch_sizes.append(len(sessions))
            self.model.order.extend(sessions)
            if self.model.step_error is not None:
                raise self.model.step_error
            if duration_s := self.model.step_s + self.model.lane_s * len(sessions):
                self.model.spend(duration_s)
            if self.model.go_on is not None:
                assert self.model.go_on.wait(PATIENCE_S)
            for session in sessions:
                session.advance()
        finally:
            self._in_step.release()


@dataclass
class GainModel:
    """The fake itself, and what the tests want to know of its use."""

    step_s: float = 0.0
    """What a step takes, and besides for each session in it `lane_s`."""
    lane_s: float = 0.0
    spend: Callable[[float], None] = time.sleep
    """Lets so many seconds pass."""
    max_lanes: int = 16
    capacity_hops: int = 20
    max_sessions: int = 1000
    first_frame_samples: int = HOP
    step_error: Exception | None = None
    go_on: Gate | None = None
    """What a step waits for."""
    costs_s: Mapping[int, float] = field(default_factory=dict)
    open_sessions: int = 0
    batch_sizes: list[int] = field(default_factory=list)
    order: list[GainSession] = field(default_factory=list)

    def describe(self) -> ModelDescription:
        return ModelDescription(
            name="gain",
            kind=ModelKind.AUDIO,
            sample_rate_hz=RATE_HZ,
            hop_samples=HOP,
            delay_samples=HOP,
            returns_audio=True,
            value_names=("peak",),
            gives_events=True,
            inputs=(TensorDescription("x", "float32", ("1", "160")),),
            outputs=(TensorDescription("y", "float32", ("1", "160")),),
            operators={"Mul": 1},
            multiply_adds=160,
            weight_bytes=4,
            state_bytes=640,
            license="Apache-2.0",
        )

    def open_kept_session(
        self,
        sample_rate_hz: int,
        channels: int,
        *,
        bypass: bool = False,
        interval_frames: int,
    ) -> ServedKeptSession:
        raise SignalError("this model's streams can not be resumed")

    def open_session(self, sample_rate_hz: int, channels: int, *, bypass: bool = False) -> GainSession:
        if sample_rate_hz not in ALLOWED_RATES_HZ:
            raise SignalError(f"sample rate {sample_rate_hz} Hz; this model takes {ALLOWED_RATES_HZ}")
        if self.open_sessions == self.max_sessions:
            raise CapacityError("all state slots are taken")
        self.open_sessions += 1
        return GainSession(self, sample_rate_hz, channels, self.capacity_hops, bypass)

    def executor(self) -> GainExecutor:
        return GainExecutor(self, self.max_lanes)

    def batch_costs(self, executor: StepExecutor) -> Mapping[int, float]:
        return self.costs_s

    def open_images(self, form: ImageFormat, max_bytes: int) -> InvertImages:
        raise NotImplementedError


class RowSumSession(GainSession):
    """Feature frames of three numbers, hop 1; gives their sum."""

    def __init__(self, model: GainModel, capacity: int = 8) -> None:
        super().__init__(model, 0, 1, 1)
        self.delay_samples = 0
        self.first_frame_samples = 1
        self._rows: list[np.ndarray] = []
        self._arrived = 0
        self._row_capacity = capacity
        self._sums: list[float] = []

    @property
    def completed(self) -> int:
        return self._arrived

    @property
    def ready(self) -> int:
        return len(self._rows)

    @property
    def free_samples(self) -> int:
        return self._row_capacity - len(self._rows)

    def feed(self, chunk: np.ndarray) -> None:
        assert chunk.shape[1:] == (3,)
        self._arrived += len(chunk)
        self._rows.extend(chunk)

    def flush(self) -> None:
        assert self.ready == 0

    def advance(self) -> None:
        self._sums.append(float(self._rows.pop(0).sum()))

    def drain(self) -> FakeOutput:
        output = FakeOutput(None, {"sum": np.array(self._sums, np.float32)}, ())
        self._sums = []
        return output


@dataclass
class RowSumModel(GainModel):
    """A feature model."""

    def describe(self) -> ModelDescription:
        return ModelDescription(
            name="rows",
            kind=ModelKind.FEATURES,
            sample_rate_hz=100,
            hop_samples=1,
            feature_count=3,
            value_names=("sum",),
            inputs=(TensorDescription("x", "float32", ("1", "3")),),
            outputs=(TensorDescription("y", "float32", ("1", "1")),),
        )

    def open_session(self, sample_rate_hz: int, channels: int, *, bypass: bool = False) -> RowSumSession:
        assert (sample_rate_hz, channels) == (0, 1)
        if bypass:
            raise SignalError("features can not go out in the place of sums; late_policy process would work")
        self.open_sessions += 1
        return RowSumSession(self)


class InvertModel:
    """An image model that takes whole images: mask = 1 - pixels, and the mean of each channel as a value."""

    def describe(self) -> ModelDescription:
        return ModelDescription(
            name="invert",
            kind=ModelKind.IMAGE,
            value_names=("mean",),
            inputs=(TensorDescription("image", "float32", ("1", "channels", "height", "width")),),
            outputs=(TensorDescription("mask", "float32", ("1", "channels", "height", "width")),),
            pixels=PercentileRange(1.0, 99.0),
        )

    def open_session(self, sample_rate_hz: int, channels: int, *, bypass: bool = False) -> GainSession:
        raise NotImplementedError

    def open_kept_session(
        self,
        sample_rate_hz: int,
        channels: int,
        *,
        bypass: bool = False,
        interval_frames: int,
    ) -> ServedKeptSession:
        raise NotImplementedError

    def executor(self) -> GainExecutor:
        raise NotImplementedError

    def batch_costs(self, executor: StepExecutor) -> Mapping[int, float]:
        raise NotImplementedError

    def open_images(self, form: ImageFormat, max_bytes: int) -> InvertImages:
        return InvertImages(form)


class InvertImages:
    """Whole images."""

    def __init__(self, form: ImageFormat) -> None:
        if form.order != "whole":
            raise SignalError(f"order is {form.order!r}; whole images would work")
        if form.height < 1 or form.width < 1:
            raise SignalError("height and width must be at least 1")
        self.outputs: tuple[ImageOutput, ...] = ()
        self.kept_bytes = 0
        self._form = form
        self._count = 0

    def put(self, z: int, y: int, x: int, pixels: np.ndarray) -> ImageResult:
        if (z, y, x, *pixels.shape[2:]) != (0, 0, 0, self._form.height, self._form.width):
            raise SignalError("one tile must cover the whole image")
        if pixels.shape[2] % 2:
            raise SignalError(f"image height is {pixels.shape[2]}; it must be even")
        self._count += 1
        return ImageResult(
            self._count - 1, {"mask": [Region(0, 0, 1.0 - pixels)]}, 1.0, {"mean": pixels.mean(axis=(2, 3))}
        )

    def finish(self) -> None:
        return None


class Doubled:
    """A network that is evaluated whole."""

    inputs = outputs = (TensorDescription("x", "float32", ("n",)),)

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        if "x" not in inputs:
            raise SignalError("input 'x' is missing")
        return {"x": 2 * inputs["x"]}
