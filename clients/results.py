"""What a server answers, as plain data: arrays and numbers instead of messages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..engine.pixels import PercentileRange, PixelNormalisation, StandardScore
from ..proto.v1 import wavetile_pb2 as pb
from .encoding import decode_audio, decode_pixels

_EVENT_KINDS: Mapping[int, str] = {pb.EVENT_KIND_SPEECH_START: "speech_start", pb.EVENT_KIND_SPEECH_END: "speech_end"}
_MODEL_KINDS: Mapping[int, str] = {
    pb.MODEL_KIND_AUDIO: "audio",
    pb.MODEL_KIND_FEATURES: "features",
    pb.MODEL_KIND_IMAGE: "image",
}


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """What the server said when it admitted the stream.

    `sample_rate_hz`, `channels`, `delay_samples` and `first_frame_samples` are the stream's; `hop_samples` counts at
    `model_sample_rate_hz`. Output sample t is the processed input sample t - delay_samples. The first frame is complete
    with the first `first_frame_samples` of the signal, each further one a hop later.
    """

    stream_id: str
    model: str
    model_version: str
    kind: str
    sample_rate_hz: int
    channels: int
    hop_samples: int
    model_sample_rate_hz: int
    delay_samples: int
    returns_audio: bool
    value_names: tuple[str, ...]
    first_frame_samples: int
    image_outputs: tuple[ImageOutput, ...]
    kept_bytes: int
    """Images that come in parts: the most that the server keeps of one between its tiles."""


@dataclass(frozen=True, slots=True)
class Notice:
    """The server will stop: this stream goes on for `grace_s` from when it was told so, and is then ended."""

    grace_s: float


@dataclass(frozen=True, slots=True)
class ImageOutput:
    """An output on images that come in parts; sizes are 0 where the stream's config does not say how much will come.

    `delay_rows` (columns, slices): how many have to come after those of an output pixel before it is finished.
    """

    name: str
    height: int
    width: int
    depth: int
    channels: int
    delay_rows: float
    delay_columns: float
    delay_slices: float


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened in the input at `sample_index`; `kind` is "speech_start" or "speech_end"."""

    kind: str
    sample_index: int
    time_seconds: float
    probability: float


@dataclass(frozen=True, slots=True)
class Tile:
    """Finished pixels `[rows, columns, channels]` of the network's output `name`, at (y, x) of the image.

    Of a volume `[slices, rows, columns, channels]`, from slice `z` on.
    """

    name: str
    y: int
    x: int
    pixels: np.ndarray
    z: int = 0


@dataclass(frozen=True, slots=True)
class StreamResult:
    """One answer: `frame_count` frames from `first_frame_index` on.

    `samples`: float32 `[n]`, or `[n, channels]` for more than one channel; None where the model gives no audio.
    `values`: float32, the first axis counts frames. `queue_time_ns` is the longest wait of these frames for compute,
    `compute_time_ns` the time of the batches that computed them. Frames that `met_frame_count` does not count were
    computed late, or skipped: the first ones, of which neither samples nor values come; `first_sample_index` is of the
    first sample after them; or bypassed: what comes of them is their input.

    Of images, a frame is a part that was sent; `tiles` belong to image `image_index`, of whose output `finished_share`
    is finished: 1.0 once it is complete, and NaN before that where nobody knows how much will come.
    """

    sequence_number: int
    first_frame_index: int
    frame_count: int
    first_sample_index: int
    samples: np.ndarray | None
    values: Mapping[str, np.ndarray]
    events: tuple[Event, ...]
    tiles: tuple[Tile, ...]
    queue_time_ns: int
    compute_time_ns: int
    late_frame_count: int
    skipped_frame_count: int
    bypassed_frame_count: int
    image_index: int
    finished_share: float

    @property
    def met_frame_count(self) -> int:
        """How many of the frames were computed by their deadlines."""
        return self.frame_count - self.late_frame_count - self.skipped_frame_count - self.bypassed_frame_count


@dataclass(frozen=True, slots=True)
class ModelSummary:
    """A model's line in the server's list; `kind` is "audio", "features" or "image"."""

    name: str
    kind: str
    sample_rate_hz: int
    version: str
    """Of new streams."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input or output of a network; an axis is a number or the name of a free axis."""

    name: str
    dtype: str
    shape: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ModelDescription:
    """What a model takes, gives and costs; rates, hop and delay are the model's own."""

    name: str
    kind: str
    sample_rate_hz: int
    hop_samples: int
    delay_samples: int
    feature_count: int
    returns_audio: bool
    value_names: tuple[str, ...]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    operators: Mapping[str, int]
    multiply_adds: int
    weight_bytes: int
    state_bytes: int
    license: str
    pixels: PixelNormalisation | None
    """How an image's numbers become the network's, where the model's card says so."""


def stream_info(started: pb.StreamStarted) -> StreamInfo:
    """StreamStarted as plain data."""
    return StreamInfo(
        stream_id=started.stream_id,
        model=started.model,
        model_version=started.model_version,
        kind=_MODEL_KINDS.get(started.kind, "unknown"),
        sample_rate_hz=started.sample_rate_hz,
        channels=started.channels,
        hop_samples=started.hop_samples,
        model_sample_rate_hz=started.model_sample_rate_hz,
        delay_samples=started.delay_samples,
        returns_audio=started.returns_audio,
        value_names=tuple(started.value_names),
        first_frame_samples=started.first_frame_samples,
        image_outputs=tuple(
            ImageOutput(
                name=output.name,
                height=output.height,
                width=output.width,
                depth=output.depth,
                channels=output.channels,
                delay_rows=output.delay_rows,
                delay_columns=output.delay_columns,
                delay_slices=output.delay_slices,
            )
            for output in started.image_outputs
        ),
        kept_bytes=started.kept_bytes,
    )


def stream_result(result: pb.StreamResult, info: StreamInfo, encoding: str) -> StreamResult:
    """StreamResult as plain data; kinds of events that this client does not know come as "unknown"."""
    return StreamResult(
        sequence_number=result.sequence_number,
        first_frame_index=result.first_frame_index,
        frame_count=result.frame_count,
        first_sample_index=result.first_sample_index,
        samples=decode_audio(result.audio, encoding, info.channels) if info.returns_audio else None,
        values={value.name: np.array(value.numbers, np.float32).reshape(tuple(value.shape)) for value in result.values},
        events=tuple(
            Event(
                kind=_EVENT_KINDS.get(event.kind, "unknown"),
                sample_index=event.sample_index,
                time_seconds=event.time_seconds,
                probability=event.probability,
            )
            for event in result.events
        ),
        tiles=tuple(Tile(tile.name, tile.y, tile.x, decode_pixels(tile), tile.z) for tile in result.tiles),
        queue_time_ns=result.queue_time_ns,
        compute_time_ns=result.compute_time_ns,
        late_frame_count=result.late_frame_count,
        skipped_frame_count=result.skipped_frame_count,
        bypassed_frame_count=result.bypassed_frame_count,
        image_index=result.image_index,
        finished_share=result.finished_share,
    )


def model_summary(summary: pb.ModelSummary) -> ModelSummary:
    """ModelSummary as plain data."""
    return ModelSummary(
        summary.name, _MODEL_KINDS.get(summary.kind, "unknown"), summary.sample_rate_hz, summary.version
    )


def model_description(model: pb.ModelDescription) -> ModelDescription:
    """ModelDescription as plain data."""
    return ModelDescription(
        name=model.name,
        kind=_MODEL_KINDS.get(model.kind, "unknown"),
        sample_rate_hz=model.sample_rate_hz,
        hop_samples=model.hop_samples,
        delay_samples=model.delay_samples,
        feature_count=model.feature_count,
        returns_audio=model.returns_audio,
        value_names=tuple(model.value_names),
        inputs=tuple(Tensor(tensor.name, tensor.dtype, tuple(tensor.shape)) for tensor in model.inputs),
        outputs=tuple(Tensor(tensor.name, tensor.dtype, tuple(tensor.shape)) for tensor in model.outputs),
        operators=dict(model.operators),
        multiply_adds=model.multiply_adds,
        weight_bytes=model.weight_bytes,
        state_bytes=model.state_bytes,
        license=model.license,
        pixels=_normalisation(model.pixel_normalization),
    )


def _normalisation(message: pb.PixelNormalization) -> PixelNormalisation | None:
    """The rule of a message; None where the model's card says nothing."""
    match message.WhichOneof("rule"):
        case "percentiles":
            return PercentileRange(message.percentiles.low, message.percentiles.high)
        case "standard_score":
            return StandardScore()
        case _:
            return None
