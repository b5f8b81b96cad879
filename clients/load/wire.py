"""What goes over the wire of one kind of server: messages that are ready before the load begins, and their answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from ...engine.errors import SignalError
from ...proto.v1 import wavetile_pb2 as pb
from ..results import ModelDescription
from .connection import prefixed
from .plan import Plan

BYTES_A_SAMPLE = 4
"""Of float32, in which audio is sent."""


class Answer(NamedTuple):
    """What one response says."""

    frames: int
    """Frames that it answers."""
    missed: int = 0
    """Frames among them without an output of the model."""
    late: int = 0
    """Frames among them that the server itself found late."""
    wrong: int = 0
    """1 where its numbers are not the expected ones."""
    queue_ns: int = -1
    compute_ns: int = -1
    """As the server says; below 0 where it does not."""


class Wire(Protocol):
    """One kind of server, and the signals that it is sent. Messages have gRPC's prefix (`prefixed`)."""

    path: str
    """The method, "/package.Service/Method"."""
    chunk_samples: int
    sample_rate_hz: float
    hop_samples: float
    """Of a frame, at the rate of the chunks."""
    clips: int
    """How many signals a stream may play."""
    announces: bool
    """Whether a response says that a stream has begun, before which it sends no chunk."""

    def opening(self, plan: Plan, /) -> bytes:
        """What comes before the first chunk; may be nothing."""
        ...

    def chunk(self, plan: Plan, index: int, /) -> bytes:
        """A stream's chunk of this index, counted from 0 on without end."""
        ...

    def closing(self, plan: Plan, /) -> bytes:
        """What comes after the last chunk, before the call is half-closed; may be nothing."""
        ...

    def read(self, plan: Plan, data: bytes, frames: int, complete: int, /) -> Answer | int:
        """A response to a stream that had `frames` answered before; the first `complete` are of its chunks alone.

        An int says that the stream has begun, and that its first frame needs so many samples.
        """
        ...


@dataclass(frozen=True, slots=True)
class Expected:
    """What a signal must give, to the bit: audio as it is sent, and the numbers of each frame by value."""

    audio: bytes
    values: Mapping[str, Sequence[float]]
    frames: int

    def agrees(self, result: pb.StreamResult, complete: int) -> bool:
        """Whether a result is what comes at its place.

        Only the first `complete` frames are of the signal alone: those that follow are of its end, which is elsewhere.
        """
        start, frame = result.first_sample_index * BYTES_A_SAMPLE, result.first_frame_index
        if frame + max(result.frame_count, 1) > min(complete, self.frames):
            return True
        if result.audio != self.audio[start : start + len(result.audio)]:
            return False
        for value in result.values:
            numbers = self.values[value.name]
            width = len(numbers) // self.frames
            if list(value.numbers) != numbers[frame * width : (frame + result.frame_count) * width]:
                return False
        return True


class StreamWire:
    """wavetile.v1.StreamService, and any server that speaks as it does."""

    path = "/wavetile.v1.StreamService/Stream"
    announces = True

    def __init__(
        self,
        model: ModelDescription,
        signals: Sequence[np.ndarray],
        *,
        chunk_ms: float = 0.0,
        expected: Sequence[Expected] = (),
        config: pb.StreamConfig | None = None,
    ) -> None:
        """Take `signals`, which streams play over and over: `[samples]` float32 at the model's rate.

        Of features they are `[frames, features]`. `config` may say more than the model's name, and `expected` what each
        of the signals gives. Raises SignalError: the model takes neither audio nor feature frames at a rate, or a
        signal is shorter than a chunk.
        """
        if model.kind not in ("audio", "features") or not model.sample_rate_hz:
            raise SignalError(f"model {model.name!r} has no stream at the pace of a signal; an audio model would work")
        self.sample_rate_hz = float(model.sample_rate_hz)
        self.hop_samples = float(model.hop_samples)
        self.chunk_samples = max(1, round(chunk_ms * model.sample_rate_hz / 1e3)) if chunk_ms else model.hop_samples
        self.clips = len(signals)
        self._expected = tuple(expected)
        self._chunks = [self._messages(signal, model.kind) for signal in signals]
        opening = pb.StreamConfig()
        opening.CopyFrom(config or pb.StreamConfig())
        opening.model = model.name
        if model.kind == "audio":
            opening.audio.encoding = pb.AUDIO_ENCODING_PCM_F32LE
        else:
            opening.features.feature_count = model.feature_count
        self._opening = prefixed(pb.StreamRequest(config=opening).SerializeToString())

    def opening(self, plan: Plan) -> bytes:
        """The config."""
        return self._opening

    def chunk(self, plan: Plan, index: int) -> bytes:
        """See `Wire.chunk`."""
        chunks = self._chunks[plan.clip]
        return chunks[index % len(chunks)]

    def closing(self, plan: Plan) -> bytes:
        """Half-closing says it all."""
        return b""

    def read(self, plan: Plan, data: bytes, frames: int, complete: int) -> Answer | int:
        """See `Wire.read`."""
        response = pb.StreamResponse.FromString(data)
        if not response.HasField("result"):
            return response.started.first_frame_samples if response.HasField("started") else Answer(0)
        result = response.result
        missed = result.skipped_frame_count + result.bypassed_frame_count
        wrong = int(result.first_frame_index != frames)
        if self._expected and not wrong:
            wrong = int(not self._expected[plan.clip].agrees(result, complete))
        return Answer(
            result.frame_count, missed, result.late_frame_count, wrong, result.queue_time_ns, result.compute_time_ns
        )

    def _messages(self, signal: np.ndarray, kind: str) -> list[bytes]:
        size = self.chunk_samples
        if len(signal) < size:
            raise SignalError(f"a signal of {len(signal)} samples; at least a chunk of {size} would work")
        chunks = [signal[start : start + size] for start in range(0, len(signal) - size + 1, size)]
        data = [np.ascontiguousarray(chunk, "<f4").tobytes() for chunk in chunks]
        requests = (
            [pb.StreamRequest(audio=one) for one in data]
            if kind == "audio"
            else [pb.StreamRequest(features=pb.FeatureFrames(data=one)) for one in data]
        )
        return [prefixed(request.SerializeToString()) for request in requests]
