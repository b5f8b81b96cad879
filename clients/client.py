"""The stream client: many live streams on one channel, arrays in, typed results out.

    async with StreamClient("127.0.0.1:50051") as client:
        async with client.stream("gtcrn", sample_rate_hz=16000) as stream:
            await stream.send(samples)
            await stream.finish()
            async for result in stream:
                ...

A stream that is only written to fills the server's buffers and then makes `send` wait: read its results meanwhile
(`exchange` does both).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import grpc
import numpy as np

from ..engine.errors import ServerError, SignalError
from ..proto.v1 import wavetile_pb2 as pb
from .addresses import Addresses
from .call import StreamCall, is_cancelled
from .encoding import (
    AUDIO_ENCODINGS,
    IMAGE_ORDERS,
    LATE_POLICIES,
    PIXEL_TYPES,
    PRIORITIES,
    Part,
    encode_audio,
    encode_part,
)
from .opening import Opener
from .results import ModelDescription, ModelSummary, model_description, model_summary, stream_info
from .resume import ResumableCall
from .stream import ClientStream, Request
from .transport import Token, Transport

DEFAULT_ADDRESS = "127.0.0.1:50051"
DEFAULT_MAX_MESSAGE_BYTES = 64 * 1024 * 1024
PLANNING_TIMEOUT_S = 300.0
"""A server plans and proves a network's stream the first time that somebody asks for it."""

LARGEST_COUNT = 2**31 - 1
"""Samples a second, channels and features, as the wire holds them."""
LARGEST_NS = 2**63 - 1

RESUME_PATIENCE_S = 30.0
"""For how long a stream tries to go on: servers keep it for a minute, if nothing else is said."""


class StreamClient:
    """A connection to one server. Use it with `async with`, on one event loop."""

    def __init__(
        self,
        address: str | Sequence[str] = DEFAULT_ADDRESS,
        *,
        timeout_s: float = 10.0,
        max_message_bytes: int = DEFAULT_MAX_MESSAGE_BYTES,
        ca: Path | str | None = None,
        cert: Path | str | None = None,
        key: Path | str | None = None,
        token: Token | None = None,
    ) -> None:
        """`address`: "host:port"; several, as a list or separated by commas, of servers that serve the same.

        The first one is used until a stream that is to be resumed can not be there: then the next one.

        `timeout_s` bounds opening a stream and asking about models; a stream itself may last for ever.

        Opening one of images takes as long as the server needs to plan it, at most PLANNING_TIMEOUT_S.

        `ca` asks for TLS, with the authorities in this PEM file, or "system"; `cert` and `key` are what the client
        shows of itself. `token` is sent with every call; one that ends may be a function that gives the next. Raises
        SignalError where these do not go together, as a token without TLS to another machine.
        """
        self._transport = Transport(ca, cert, key, token)
        self._timeout_s = timeout_s
        self._channel_options = [
            ("grpc.max_receive_message_length", max_message_bytes),
            ("grpc.max_send_message_length", max_message_bytes),
            # What the server may send ahead of the reader; gRPC's own estimate grows to megabytes a stream.
            ("grpc.http2.bdp_probe", 0),
            ("grpc.http2.lookahead_bytes", 256 * 1024),
            ("grpc.keepalive_time_ms", 20000),
            ("grpc.keepalive_timeout_ms", 10000),
            # A server that comes back is found soon; gRPC's own pauses grow to two minutes.
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.min_reconnect_backoff_ms", 1000),
            ("grpc.max_reconnect_backoff_ms", 2000),
        ]
        self._addresses = Addresses(address, self._transport, self._channel_options)
        self._opener = Opener(self._addresses, self._transport, timeout_s)
        self._calls: set[StreamCall | ResumableCall] = set()

    async def __aenter__(self) -> Self:
        self._addresses.stub()  # which says what is wrong with the files
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the channel; live streams on it end."""
        self._opener.cancel()  # closing the channel does not end every call in every version of grpcio
        for call in self._calls:
            call.cancel()
        await self._addresses.close()

    async def list_models(self) -> list[ModelSummary]:
        """The server's models, by name. Raises ServerError."""
        with _server_errors():
            response = await self._addresses.stub().ListModels(
                pb.ListModelsRequest(), timeout=self._timeout_s, metadata=self._transport.metadata()
            )
        return [model_summary(summary) for summary in response.models]

    async def describe_model(self, model: str) -> ModelDescription:
        """What `model` takes, gives and costs. Raises ServerError (NOT_FOUND when the server does not have it)."""
        with _server_errors():
            response = await self._addresses.stub().DescribeModel(
                pb.DescribeModelRequest(model=model), timeout=self._timeout_s, metadata=self._transport.metadata()
            )
        return model_description(response.model)

    @asynccontextmanager
    async def stream(  # noqa: PLR0913 - what a stream is, by keyword
        self,
        model: str,
        *,
        sample_rate_hz: int | None = None,
        channels: int = 1,
        encoding: str = "pcm_f32le",
        frame_budget_s: float | None = None,
        late_policy: str = "process",
        priority: str = "normal",
        resumable: bool = False,
        model_version: str = "",
    ) -> AsyncIterator[ClientStream]:
        """An audio stream. `send` takes `[samples]` or `[samples, channels]`, float (1.0 is full scale) or int16.

        `sample_rate_hz`: None is the model's own. `encoding`: on the wire, "pcm_f32le" or "pcm_s16le".
        `frame_budget_s`: a frame's deadline after its arrival; None is one hop. `late_policy`: what happens to frames
        that miss it. "process" computes them all the same; "skip" too, but gives nothing of them out; "bypass", for
        models that return audio alone, gives out their input instead. `priority`: "low", "normal" or "high", which says
        who goes first where the server can not compute all streams in time.

        `resumable`: when the connection breaks, or the server goes, the stream goes on by itself, on the next of the
        client's addresses if need be, and nothing is lost or comes twice; from a server that gives notice it moves
        before that. The server has to keep streams; here is kept what was sent in the last second or two.

        `model_version`: the stream is refused where another one serves; "" takes whichever does (`info.model_version`).

        Leaving the context before `finish` and the last result cancels the stream. Raises ServerError, SignalError.
        """
        _check_known("audio encoding", encoding, AUDIO_ENCODINGS)
        config = _config(model, frame_budget_s, late_policy, priority, resumable, model_version)
        config.audio.sample_rate_hz = _count("sample_rate_hz", sample_rate_hz or 0)
        config.audio.channels = _count("channels", channels)
        config.audio.encoding = AUDIO_ENCODINGS[encoding]

        def request(samples: np.ndarray) -> pb.StreamRequest:
            return pb.StreamRequest(audio=encode_audio(np.asarray(samples), encoding, channels))

        async with self._open(config, request, encoding) as stream:
            yield stream

    @asynccontextmanager
    async def stream_features(
        self,
        model: str,
        *,
        feature_count: int,
        frame_budget_s: float | None = None,
        late_policy: str = "process",
        priority: str = "normal",
        resumable: bool = False,
        model_version: str = "",
    ) -> AsyncIterator[ClientStream]:
        """A stream of feature frames. `send` takes `[frames, feature_count]` floating point. All else as `stream`."""
        config = _config(model, frame_budget_s, late_policy, priority, resumable, model_version)
        config.features.feature_count = _count("feature_count", feature_count)

        def request(frames: np.ndarray) -> pb.StreamRequest:
            frames = np.asarray(frames)
            if frames.ndim != 2 or frames.shape[1] != feature_count:
                raise SignalError(
                    f"features of shape {list(frames.shape)}; this stream takes [frames, {feature_count}]"
                )
            return pb.StreamRequest(features=pb.FeatureFrames(data=np.ascontiguousarray(frames, "<f4").tobytes()))

        async with self._open(config, request) as stream:
            yield stream

    @asynccontextmanager
    async def stream_images(  # noqa: PLR0913 - what an image is, by keyword
        self,
        model: str,
        *,
        height: int,
        width: int,
        channels: int = 1,
        depth: int = 0,
        pixel_type: str = "float32",
        order: str = "whole",
        tile_pixels: int = 0,
        scale: float = 1.0,
        offset: float = 0.0,
        model_version: str = "",
    ) -> AsyncIterator[ClientStream]:
        """A stream of images, or of volumes of `depth` slices, of one size, one after the other.

        `send` takes a `Part`, or an array for one that begins at the first pixel: the whole image with order "whole", a
        square tile with "raster" (from left to right, then from top to bottom) or "any", some rows with "rows", some
        slices of a volume with "slices". With rows the height may be 0, with slices the depth: `finish` then ends the
        image. `tile_pixels` is the height and width of a tile, 0 for 256; of rows and slices how many are computed
        together, 0 for as few as the network allows.

        `pixel_type`: "uint8", "uint16" or "float32", on the wire; the network gets `pixel * scale + offset`. Raises
        like `stream`, also where the model can not be streamed like this.
        """
        _check_known("pixel type", pixel_type, PIXEL_TYPES)
        _check_known("order", order, IMAGE_ORDERS)
        if not scale:  # on the wire that is to say nothing
            raise SignalError("scale is 0, which leaves nothing of the pixels; 1 takes them as they are")
        image = pb.ImageConfig(
            height=height,
            width=width,
            channels=channels,
            depth=depth,
            pixel_type=PIXEL_TYPES[pixel_type],
            order=IMAGE_ORDERS[order],
            tile_pixels=tile_pixels,
            scale=scale,
            offset=offset,
        )

        def request(part: Part | np.ndarray) -> pb.StreamRequest:
            part = part if isinstance(part, Part) else Part(np.asarray(part))
            return pb.StreamRequest(tile=encode_part(part, image))

        config = pb.StreamConfig(model=model, image=image, model_version=model_version)
        async with self._open(config, request, timeout_s=PLANNING_TIMEOUT_S) as stream:
            yield stream

    @asynccontextmanager
    async def _open(
        self, config: pb.StreamConfig, request: Request, encoding: str = "pcm_f32le", timeout_s: float | None = None
    ) -> AsyncIterator[ClientStream]:
        opened = await self._opener.open(config, timeout_s=timeout_s)
        call = opened.call
        if config.resumable:
            call = ResumableCall(config, opened, self._opener, patience_s=RESUME_PATIENCE_S)
        self._calls.add(call)
        try:
            yield ClientStream(call, stream_info(opened.started), request, encoding)
        finally:
            call.cancel()
            self._calls.discard(call)


@contextmanager
def _server_errors() -> Iterator[None]:
    """Turn the errors of a call without streams into ServerError."""
    try:
        yield
    except asyncio.CancelledError:
        if is_cancelled():
            raise
        raise ServerError("CANCELLED", "this client has ended the call") from None
    except grpc.aio.AioRpcError as error:
        raise ServerError(error.code().name, error.details() or "no details") from None


def _check_known(what: str, name: str, known: Mapping[str, object]) -> None:
    if name not in known:
        raise SignalError(f"{what} {name!r} is unknown; use one of {', '.join(known)}")


def _count(what: str, number: int) -> int:
    if isinstance(number, bool) or not isinstance(number, int | np.integer) or not 0 <= number <= LARGEST_COUNT:
        raise SignalError(f"{what} is {number!r}; a whole number of up to {LARGEST_COUNT} would work")
    return int(number)


def _config(
    model: str,
    frame_budget_s: float | None,
    late_policy: str,
    priority: str,
    resumable: bool,
    model_version: str,
) -> pb.StreamConfig:
    """The config of a signal that is yet to be said. Raises SignalError."""
    _check_known("late policy", late_policy, LATE_POLICIES)
    _check_known("priority", priority, PRIORITIES)
    if frame_budget_s is not None and not 0 < frame_budget_s * 1e9 < LARGEST_NS:
        raise SignalError(f"frame_budget_s is {frame_budget_s!r}; seconds, such as 0.1, would work, or None for a hop")
    return pb.StreamConfig(
        model=model,
        frame_budget_ns=0 if frame_budget_s is None else max(1, round(frame_budget_s * 1e9)),
        late_policy=LATE_POLICIES[late_policy],
        priority=PRIORITIES[priority],
        resumable=resumable,
        model_version=model_version,
    )
