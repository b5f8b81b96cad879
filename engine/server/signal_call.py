"""One call whose signal is audio or feature frames: chunks go to a session, results come back, until it ends."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import cast

import grpc
import numpy as np

from ...proto.v1 import wavetile_pb2 as pb
from ..errors import CapacityError, SignalError
from ..session.deadlines import Deadlines, LatePolicy
from ..session.scheduler import Scheduler
from .activity import OpenStream
from .admission import Seat
from .codec import check_audio_encoding, decode_audio, decode_features
from .deadlines import stream_deadlines
from .live_stream import NOTHING, LiveStream
from .messages import ResultCounter, kind_number, notice_message
from .options import ServerOptions
from .peer import Peer
from .priority import stream_priority
from .release import Release
from .resume import Resumption
from .served import ModelKind, ServedKeptSession, ServedSession
from .status import CallError, DrainingError, TooManyStreamsError

logger = logging.getLogger(__name__)

BROKEN_OFF = (asyncio.CancelledError, grpc.aio.InternalError, CallError)
"""What ends a stream with which its client may want to go on, and can: neither has its state gone wrong."""


class SignalCall:
    """The coroutine of one audio or feature stream."""

    def __init__(
        self,
        peer: Peer,
        stream: OpenStream,
        config: pb.StreamConfig,
        release: Release,
        scheduler: Scheduler,
        seat: Seat,
        options: ServerOptions,
        resumption: Resumption | None = None,
    ) -> None:
        """`resumption`: of a stream that can be resumed, or was."""
        self._peer = peer
        self._stream = stream
        self._config = config
        self._served = release.stream
        self._description = release.description
        self._scheduled = release.scheduled
        self._version = release.version
        self._scheduler = scheduler
        self._seat = seat
        self._options = options
        self._resumption = resumption
        self._encoding: pb.AudioEncoding = pb.AUDIO_ENCODING_PCM_F32LE
        self._live: LiveStream | None = None
        self._reader: asyncio.Task[None] | None = None
        self._notice: pb.StreamResponse | None = None
        """That the client has yet to be given."""

    def notice(self, grace_s: float) -> None:
        """See `Leaver`."""
        self._notice = notice_message(grace_s)
        if self._live is not None:
            self._live.wake()

    def leave(self) -> None:
        """See `Leaver`."""
        if self._reader is not None:
            self._reader.cancel()
        if self._live is not None:
            self._live.leave(
                DrainingError("the server is stopping; the stream can go on, or begin anew, on another one")
            )

    async def run(self) -> None:
        """Serve the call to its end, and close its session. Raises SignalError and whatever else ends it early."""
        deadlines = stream_deadlines(self._config, self._description)
        priority = stream_priority(self._config)
        resumption = self._resumption
        session, chunk_field, decode = self._open(deadlines)
        keep = False
        try:
            if resumption is not None:
                await resumption.restore(cast("ServedKeptSession", session), deadlines.hop_ns)
            live = self._live = LiveStream(
                self._scheduler,
                session,
                self._stream,
                model=self._scheduled,
                deadlines=deadlines,
                max_pending=self._options.max_pending_frames,
                replay=resumption.replay if resumption else None,
            )
            self._seat.occupy(self._scheduled, session.lanes, priority, live.fail, live.pulse)
            started = self._started(session)
            if resumption is not None:
                await resumption.begin(cast("ServedKeptSession", session), live, self._version)
                resumption.tell(started)
            await self._peer.write(pb.StreamResponse(started=started))
            self._stream.begin()
            if resumption is not None:
                live.go_on()
            self._reader = asyncio.create_task(self._read(live, chunk_field, decode))
            await self._write(live)
        except BROKEN_OFF:
            keep = True
            raise
        finally:
            if self._reader is not None:
                self._reader.cancel()
            if resumption is not None:
                resumption.end(keep=keep)
            (self._live or session).close()

    def _open(self, deadlines: Deadlines) -> tuple[ServedSession, str, Callable[[bytes], np.ndarray]]:
        """The session, the request field that its chunks come in, and how to read a chunk."""
        description = self._description
        if description.kind is ModelKind.FEATURES:
            expected = description.feature_count
            if self._config.features.feature_count != expected:
                raise SignalError(
                    f"feature_count is {self._config.features.feature_count}; "
                    f"model {self._config.model!r} takes {expected} features a frame"
                )
            return self._open_session(0, 1, deadlines), "features", lambda data: decode_features(data, expected)
        audio = self._config.audio
        check_audio_encoding(audio.encoding)
        self._encoding = audio.encoding
        channels = audio.channels or 1
        if not 1 <= channels <= self._options.max_channels:
            raise SignalError(f"{audio.channels} channels; this server takes 1 to {self._options.max_channels}")
        session = self._open_session(audio.sample_rate_hz or description.sample_rate_hz, channels, deadlines)
        self._stream.sample_rate_hz, self._stream.channels = session.sample_rate_hz, channels
        return session, "audio", lambda data: decode_audio(data, audio.encoding, channels)

    def _open_session(self, sample_rate_hz: int, channels: int, deadlines: Deadlines) -> ServedSession:
        bypass = deadlines.policy is LatePolicy.BYPASS
        try:
            if self._resumption is None:
                session = self._served.open_session(sample_rate_hz, channels, bypass=bypass)
            else:
                session = self._served.open_kept_session(
                    sample_rate_hz,
                    channels,
                    bypass=bypass,
                    interval_frames=max(1, round(1e9 * self._options.resume.interval_s / deadlines.hop_ns)),
                )
        except CapacityError as error:
            raise TooManyStreamsError(
                f"model {self._config.model!r} has as many streams as it has room for; try again later"
            ) from error
        self._stream.state_bytes = session.lanes * self._description.state_bytes
        return session

    def _started(self, session: ServedSession) -> pb.StreamStarted:
        description = self._description
        started = pb.StreamStarted(
            stream_id=self._stream.stream_id,
            model=self._config.model,
            model_version=self._version,
            kind=kind_number(description.kind),
            hop_samples=description.hop_samples,
            delay_samples=session.delay_samples,
            first_frame_samples=session.first_frame_samples,
            returns_audio=description.returns_audio,
            value_names=description.value_names,
        )
        if description.kind is ModelKind.AUDIO:
            started.sample_rate_hz = session.sample_rate_hz
            started.channels = session.channels
            started.model_sample_rate_hz = description.sample_rate_hz
        return started

    async def _read(self, live: LiveStream, chunk_field: str, decode: Callable[[bytes], np.ndarray]) -> None:
        """Feed chunks until the client half-closes; an error ends the stream through `live`."""
        try:
            while isinstance(request := await self._peer.read(), pb.StreamRequest):
                if self._resumption is not None and self._resumption.heard(request):
                    continue
                field = request.WhichOneof("request")
                if field != chunk_field:
                    raise SignalError(wrong_request(field, chunk_field))
                chunk = request.audio if field == "audio" else request.features.data
                await live.feed(decode(chunk))
            await live.finish()
        except Exception as error:  # noqa: BLE001 - handed over: `live.results` raises it in the call's coroutine
            live.fail(error)

    async def _write(self, live: LiveStream) -> None:
        """Send results until the stream has ended."""
        resumption = self._resumption
        counter = ResultCounter(self._encoding, resumption.next_result if resumption else (0, 0, 0))
        if self._notice is not None:
            live.wake()
        while (results := await live.results()) is not None:
            if self._notice is not None:
                await self._give_notice(self._notice)
            if results is NOTHING:
                if resumption is not None and (forget := resumption.forget_now()) is not None:
                    await self._peer.write(forget)
                continue
            message = counter.result(results)
            if resumption is not None:
                resumption.forget(message.result)
            await self._peer.write(message)
            live.release(results)
            if resumption is not None:
                resumption.sent()
        logger.debug("stream %s: %d frames", self._stream.stream_id, counter.frames)

    async def _give_notice(self, notice: pb.StreamResponse) -> None:
        self._notice = None
        if self._resumption is not None:
            notice.notice.resume_token = self._resumption.token
        await self._peer.write(notice)


def wrong_request(field: str | None, expected: str) -> str:
    """What is wrong with a request that holds `field` where a chunk in `expected` was due."""
    if field is None:
        return f"a request holds nothing; after the config come chunks in {expected!r}"
    if field == "config":
        return "a second config; a stream has exactly one, and it comes first"
    return f"a chunk in {field!r}; this stream's config calls for {expected!r}"
