"""The engine's results and descriptions as messages of the wire."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from ...proto.v1 import wavetile_pb2 as pb
from ..errors import SignalError
from ..pixels import PercentileRange, PixelNormalisation, StandardScore
from ..session import ImageOutput, ImageResult
from .codec import encode_audio, encode_region
from .live_stream import Results
from .served import ModelDescription, ModelKind, SessionEvent, SessionOutput, TensorDescription

MESSAGE_ROOM_BYTES = 64 * 1024
"""Of a message, left for all but tiles and values."""
FIELD_BYTES = 8
"""At most, of the tag and the length that stand before a tile in a message."""
LARGEST_SIZE = 2**31 - 1
"""Of an image, in pixels along an axis: what int32 holds."""

_EVENT_KINDS = {"speech_start": pb.EVENT_KIND_SPEECH_START, "speech_end": pb.EVENT_KIND_SPEECH_END}
_MODEL_KINDS = {
    ModelKind.AUDIO: pb.MODEL_KIND_AUDIO,
    ModelKind.FEATURES: pb.MODEL_KIND_FEATURES,
    ModelKind.IMAGE: pb.MODEL_KIND_IMAGE,
}


def notice_message(grace_s: float) -> pb.StreamResponse:
    """The message that says that the server will stop."""
    return pb.StreamResponse(notice=pb.Notice(grace_ns=round(grace_s * 1e9)))


class ResultCounter:
    """Numbers a stream's results, frames and samples as they become messages."""

    def __init__(self, encoding: pb.AudioEncoding, first: tuple[int, int, int] = (0, 0, 0)) -> None:
        """`first`: sequence number, frame and sample that the first result begins with."""
        self._encoding = encoding
        self._sequence_number, self._frames, self._samples = first

    @property
    def frames(self) -> int:
        """How many frames have become messages."""
        return self._frames

    def result(self, results: Results) -> pb.StreamResponse:
        """The message that holds `results`."""
        outputs = results.outputs
        self._samples += results.skipped_samples
        # Filled in place: a message that is made apart is copied into the one that holds it.
        response = pb.StreamResponse()
        result = response.result
        result.sequence_number = self._sequence_number
        result.first_frame_index = self._frames
        result.frame_count = frame_count = results.frame_count
        result.first_sample_index = self._samples
        result.queue_time_ns = results.queue_time_ns
        result.compute_time_ns = results.compute_time_ns
        result.late_frame_count = results.late_frame_count
        result.skipped_frame_count = results.skipped_frame_count
        result.bypassed_frame_count = results.bypassed_frame_count
        _add_values(result, outputs)
        for output in outputs:
            for event in output.events:
                _add_event(result, event)
        pieces = [output.samples for output in outputs if output.samples is not None]
        if pieces:
            samples = pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
            result.audio = encode_audio(samples, self._encoding)
            self._samples += len(samples)
        self._sequence_number += 1
        self._frames += frame_count
        return response


def image_output(output: ImageOutput) -> pb.ImageOutput:
    """What is known of an output before the first tile. Raises SignalError if it is too large for the wire."""
    size = max(output.depth, output.height, output.width)
    if size > LARGEST_SIZE:
        raise SignalError(
            f"output {output.name!r} would have {size} pixels along an axis, more than the {LARGEST_SIZE} that the "
            "wire can count; smaller images would work"
        )
    return pb.ImageOutput(
        name=output.name,
        height=output.height,
        width=output.width,
        depth=output.depth,
        channels=output.channels,
        delay_rows=output.delay_rows,
        delay_columns=output.delay_columns,
        delay_slices=output.delay_slices,
    )


class ImageResultCounter:
    """Numbers an image stream's results and tiles as they become messages."""

    def __init__(self, max_message_bytes: int) -> None:
        self._max_bytes = max(max_message_bytes - MESSAGE_ROOM_BYTES, 1)
        self._sequence_number = 0
        self._frames = 0
        self._finished_share = 0.0

    def results(
        self, result: ImageResult, frame_count: int, queue_time_ns: int = 0, compute_time_ns: int = 0
    ) -> Iterator[pb.StreamResponse]:
        """The messages that hold a result, as many as it takes.

        The first one counts its tiles and has its values and times; only the last one says what is finished by it.

        Raises SignalError if the values are more than a message holds.
        """
        values = [_value(name, array) for name, array in result.values.items()]
        size = sum(value.ByteSize() + FIELD_BYTES for value in values)
        if size > self._max_bytes:
            shapes = ", ".join(f"{value.name!r} of {list(value.shape)}" for value in values)
            raise SignalError(
                f"the outputs {shapes} have {size} bytes, more than the {self._max_bytes} that a message has room for; "
                "smaller images would work"
            )
        messages = self._messages(result, size)
        # The share of an image whose size nobody knows is not known either, not even before its first result.
        before = math.nan if math.isnan(result.finished_share) else self._finished_share
        for number, tiles in enumerate(messages):
            first, last = number == 0, number == len(messages) - 1
            message = pb.StreamResult(
                sequence_number=self._sequence_number,
                first_frame_index=self._frames,
                tiles=tiles,
                image_index=result.image_index,
                finished_share=result.finished_share if last else before,
            )
            if first:
                message.frame_count = frame_count
                message.queue_time_ns = queue_time_ns
                message.compute_time_ns = compute_time_ns
                message.values.extend(values)
            yield pb.StreamResponse(result=message)
            self._sequence_number += 1
            self._frames += message.frame_count
        # The next image begins with nothing.
        self._finished_share = 0.0 if result.finished_share == 1.0 else result.finished_share

    def _messages(self, result: ImageResult, size: int) -> list[list[pb.ImageTile]]:
        """Finished tiles, as many together as a message holds; at least one message, which has `size` bytes already."""
        messages: list[list[pb.ImageTile]] = [[]]
        for name, regions in result.regions.items():
            for tile in (tile for region in regions for tile in encode_region(name, region, self._max_bytes)):
                tile_bytes = tile.ByteSize() + FIELD_BYTES
                if size and size + tile_bytes > self._max_bytes:
                    messages.append([])
                    size = 0
                messages[-1].append(tile)
                size += tile_bytes
        return messages


def _value(name: str, array: np.ndarray) -> pb.NamedValue:
    return pb.NamedValue(name=name, shape=array.shape, numbers=_numbers(array))


def _numbers(array: np.ndarray) -> list[float]:
    return array.astype(np.float32, copy=False).ravel().tolist()


def _add_values(result: pb.StreamResult, outputs: Sequence[SessionOutput]) -> None:
    """Each value of consecutive outputs as one array."""
    if len(outputs) == 1:
        arrays = outputs[0].values
    else:
        pieces: dict[str, list[np.ndarray]] = {}
        for output in outputs:
            for name, array in output.values.items():
                pieces.setdefault(name, []).append(array)
        arrays = {name: np.concatenate(found) for name, found in pieces.items()}
    for name, array in arrays.items():
        result.values.add(name=name, shape=array.shape, numbers=_numbers(array))


def _add_event(result: pb.StreamResult, event: SessionEvent) -> None:
    result.events.add(
        kind=_EVENT_KINDS[event.kind],
        sample_index=event.sample,
        time_seconds=event.seconds,
        probability=event.probability,
    )


def kind_number(kind: ModelKind) -> pb.ModelKind:
    """The wire's number of a model kind."""
    return _MODEL_KINDS[kind]


def summary_message(name: str, version: str, description: ModelDescription) -> pb.ModelSummary:
    """A model's line in ListModels."""
    return pb.ModelSummary(
        name=name, kind=_MODEL_KINDS[description.kind], sample_rate_hz=description.sample_rate_hz, version=version
    )


def description_message(name: str, version: str, description: ModelDescription) -> pb.ModelDescription:
    """A model's whole description; `name` and `version` are those that it is served under."""
    return pb.ModelDescription(
        name=name,
        version=version,
        kind=_MODEL_KINDS[description.kind],
        sample_rate_hz=description.sample_rate_hz,
        hop_samples=description.hop_samples,
        delay_samples=description.delay_samples,
        feature_count=description.feature_count,
        returns_audio=description.returns_audio,
        value_names=description.value_names,
        inputs=[_tensor(tensor) for tensor in description.inputs],
        outputs=[_tensor(tensor) for tensor in description.outputs],
        operators=dict(description.operators),
        multiply_adds=description.multiply_adds,
        weight_bytes=description.weight_bytes,
        state_bytes=description.state_bytes,
        license=description.license,
        pixel_normalization=None if description.pixels is None else _normalization(description.pixels),
    )


def _normalization(rule: PixelNormalisation) -> pb.PixelNormalization:
    match rule:
        case PercentileRange(low, high):
            return pb.PixelNormalization(percentiles=pb.PercentileRange(low=low, high=high))
        case StandardScore():
            return pb.PixelNormalization(standard_score=pb.StandardScore())
        case _:
            raise AssertionError(f"{rule!r} has no message")


def _tensor(tensor: TensorDescription) -> pb.TensorDescription:
    return pb.TensorDescription(name=tensor.name, dtype=tensor.dtype, shape=tensor.shape)
