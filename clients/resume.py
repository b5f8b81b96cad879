"""A call of streams that outlives its connection and its server: broken off, it goes on, and nothing is lost or twice.

What was sent is kept until the server says that it will not ask for it again. A task writes it, from wherever the
server says, to the call that is there at the moment; results are read from that call, and each is given out once.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from ..engine.errors import ServerError
from ..proto.v1 import wavetile_pb2 as pb
from .call import StreamCall
from .opening import Opened, Opener

MAX_KEPT_BYTES = 32 * 1024 * 1024
"""Of requests that may have to be sent again; `write` waits for the server to need less of them."""

EVERYTHING = 2**63 - 1
"""What a server says may be forgotten that can not keep the stream."""

RECEIVED_PERIOD_S = 0.25
"""How often the server is told what has come."""

FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 2.0
"""Between two tries to go on; each pause is up to twice as long as the one before, at random, so that many clients of
a server that went down do not come back at the same instant."""

# What a call ends with whose server or connection has gone.
_BROKEN = frozenset({"UNAVAILABLE", "CANCELLED"})
# What a call is refused with where another one may do better.
_RETRIED = frozenset({*_BROKEN, "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED"})
# What a token is answered with that another server may know, or the same one in a moment.
_NOT_HERE = frozenset({"NOT_FOUND", "FAILED_PRECONDITION"})
NOT_HERE_S = 3.0
"""For how long that is taken for a passing state."""


class _Sent(NamedTuple):
    """A request, and which input it holds: samples or feature frames, at the stream's rate."""

    first: int
    length: int
    request: pb.StreamRequest


class ResumableCall:
    """As `StreamCall`, but for the stream's whole life, on as many calls as it takes."""

    def __init__(self, config: pb.StreamConfig, opened: Opened, opener: Opener, *, patience_s: float) -> None:
        """`patience_s`: for how long to try to go on."""
        self._config = config
        self._call, started, self._address = opened
        self._opener = opener
        self._patience_s = patience_s
        self._moving: asyncio.Task[None] | None = None
        """To another server, because that of the call of the moment will stop."""
        self._unit_bytes = _unit_bytes(config, started)
        self._sample_bytes = _unit_bytes(config, started) if started.returns_audio else 0
        self._token = started.resume_token
        self._kept: deque[_Sent] = deque()
        self._kept_bytes = 0
        self._given = 0  # input that was handed to `write`
        self._unwritten = 0  # of `_kept`, at its end
        self._half_closed = self._told_end = False
        self._next_frame = self._next_sequence = self._next_sample = 0
        self._received_told = 0
        self._told_at_s = 0.0
        self._is_lost = False
        """The server can not keep the stream any more."""
        self._error: Exception | None = None
        self._reopening = asyncio.Lock()
        self._changed = asyncio.Condition()
        self._writer = asyncio.create_task(self._write_all())

    async def write(self, request: pb.StreamRequest) -> None:
        """Return when `request` is on its way, or will be once the server is there again. Raises ServerError."""
        data = request.audio if request.WhichOneof("request") == "audio" else request.features.data
        sent = _Sent(self._given, len(data) // self._unit_bytes, request)
        async with self._changed:
            await self._changed.wait_for(lambda: self._error or self._kept_bytes < MAX_KEPT_BYTES)
            self._kept.append(sent)
            self._kept_bytes += len(data)
            self._given += sent.length
            self._unwritten += 1
            self._changed.notify_all()
            await self._changed.wait_for(lambda: self._error or not self._unwritten)
        self._raise()

    async def half_close(self) -> None:
        """Say that no request will follow. Raises ServerError."""
        async with self._changed:
            self._half_closed = True
            self._changed.notify_all()
        self._raise()

    async def read(self) -> pb.StreamResponse | None:
        """The next result, None after the last. Raises ServerError where the stream can not go on anywhere."""
        while True:
            self._raise()
            call = self._call
            try:
                response = await call.read()
            except ServerError as error:
                await self._go_on(call, error)
                continue
            if self._reopening.locked():
                async with self._reopening:
                    self._raise()
            if call is not self._call:
                continue  # the stream goes on elsewhere, from before this response: it will come again
            if response is not None and response.HasField("notice"):
                self._heed(response.notice)
                continue
            if response is not None and response.HasField("forget"):
                await self._forget(response.forget.replay_from)
                continue
            if response is not None:
                self._count(response.result)
                await self._forget(response.result.replay_from)
            return response

    def cancel(self) -> None:
        """End the stream from this side."""
        if self._error is None:
            self._error = ServerError("CANCELLED", "this client has ended the stream")
        self._writer.cancel()
        if self._moving is not None:
            self._moving.cancel()
        self._call.cancel()

    def _count(self, result: pb.StreamResult) -> None:
        """Count a result. Raises ServerError: the server has left one out, or repeated one."""
        if result.sequence_number != self._next_sequence or result.first_frame_index != self._next_frame:
            raise ServerError(
                "DATA_LOSS",
                f"result {result.sequence_number} at frame {result.first_frame_index} came where result "
                f"{self._next_sequence} at frame {self._next_frame} was due",
            )
        self._next_sequence += 1
        self._next_frame += result.frame_count
        if self._sample_bytes:
            self._next_sample = result.first_sample_index + len(result.audio) // self._sample_bytes

    async def _forget(self, replay_from: int) -> None:
        """Drop what will not be asked for again, and let the writer say what has come."""
        self._is_lost = replay_from == EVERYTHING
        async with self._changed:
            while self._kept and len(self._kept) > self._unwritten:
                first, length, request = self._kept[0]
                if first + length > replay_from:
                    break
                self._kept.popleft()
                self._kept_bytes -= len(request.audio) + len(request.features.data)
            self._changed.notify_all()

    async def _write_all(self) -> None:
        """Write what is to be written to the call of the moment, until the stream ends."""
        try:
            await self._write_on()
        except Exception as error:  # noqa: BLE001 - told by `read` and `write`, which nobody waits for here
            async with self._changed:
                self._error = self._error or error
                self._changed.notify_all()

    async def _write_on(self) -> None:
        while True:
            async with self._changed:
                await self._changed.wait_for(self._has_to_write)
                call = self._call
                request = self._next_request()
            try:
                if request is None:
                    await call.half_close()
                else:
                    await call.write(request)
            except ServerError as error:
                await self._go_on(call, error)

    def _has_to_write(self) -> bool:
        return self._unwritten > 0 or (self._half_closed and not self._told_end) or self._is_time_to_tell()

    def _is_time_to_tell(self) -> bool:
        late = asyncio.get_running_loop().time() - self._told_at_s > RECEIVED_PERIOD_S
        return late and self._next_frame > self._received_told and not self._told_end

    def _next_request(self) -> pb.StreamRequest | None:
        """What comes next; None: the signal's end. It counts as written: where that fails, another call begins anew."""
        if self._is_time_to_tell():
            self._received_told = self._next_frame
            self._told_at_s = asyncio.get_running_loop().time()
            return pb.StreamRequest(received=pb.Received(next_frame_index=self._next_frame))
        if self._unwritten:
            request = self._kept[-self._unwritten].request
            self._unwritten -= 1
            self._changed.notify_all()
            return request
        self._told_end = True
        return None

    async def _go_on(self, broken: StreamCall, error: ServerError) -> None:
        """Go on with the stream in another call, unless that has been done. Raises ServerError where it can not."""
        async with self._reopening:
            self._raise()
            if self._call is not broken:
                return
            if not self._may_go_on(error):
                await self._fail(error)
            broken.cancel()
            await self._use(await self._opened_again(error))

    def _may_go_on(self, error: ServerError) -> bool:
        """Whether what a call ended with is no word on the stream itself."""
        if self._is_lost:
            return False
        taken_over = error.code == "ABORTED" and self._moving is not None  # by a call of this client's own
        return error.code in _BROKEN or error.retry_after_s is not None or taken_over

    async def _opened_again(self, error: ServerError) -> Opened:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(error.retry_after_s or 0.0)  # of a server that could not go on with all of its streams
        began_s, pause_s = loop.time(), FIRST_PAUSE_S
        address = self._address
        while True:
            self._opener.addresses.leave(address)
            address = self._opener.addresses.current
            try:
                return await self._opener.open(self._resuming(), address)
            except ServerError as refused:
                hint_s = refused.retry_after_s or 0.0
                waited_s = loop.time() - began_s
                patience_s = self._patience_s if refused.code in _RETRIED else NOT_HERE_S
                if refused.code not in _RETRIED | _NOT_HERE or waited_s > patience_s:
                    await self._fail(
                        ServerError(refused.code, f"{refused.message} (the stream broke off with {error})")
                    )
            await asyncio.sleep(max(hint_s, _drawn(pause_s)))
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def _resuming(self) -> pb.StreamConfig:
        """The config of a call that goes on right behind what has come."""
        config = pb.StreamConfig()
        config.CopyFrom(self._config)
        config.resume.token = self._token
        config.resume.next_frame_index = self._next_frame
        config.resume.next_sequence_number = self._next_sequence
        config.resume.next_sample_index = self._next_sample
        return config

    def _heed(self, notice: pb.Notice) -> None:
        """Begin to look for another server, if there are any; else the stream goes on where it is until it is ended."""
        others = self._opener.addresses.others(self._address)
        if others and not self._is_lost:
            self._moving = asyncio.create_task(self._move(self._call, others, notice.grace_ns / 1e9))

    async def _move(self, call: StreamCall, others: Sequence[str], grace_s: float) -> None:
        """Go on elsewhere while `call` goes on too; where nobody takes the stream, it stays until it is ended."""
        addresses, turns = self._opener.addresses, itertools.cycle(others)
        pause_s = min(grace_s / 4, LONGEST_PAUSE_S)  # many streams are told at the same instant
        while self._call is call and self._error is None:
            await asyncio.sleep(_drawn(pause_s))
            pause_s, address = FIRST_PAUSE_S, next(turns)
            if not addresses.is_connected(address):
                continue  # results of the call would wait for as long as that may take
            async with self._reopening:
                if self._call is not call:
                    return
                try:
                    await self._use(await self._opener.open(self._resuming(), address))
                except ServerError as refused:
                    pause_s = max(LONGEST_PAUSE_S, refused.retry_after_s or 0.0)
                    continue
            addresses.use(address)
            call.cancel()

    async def _use(self, opened: Opened) -> None:
        """Write to, and read from, another call, beginning where its server asks for it."""
        started = opened.started
        async with self._changed:
            self._call, _, self._address = opened
            self._token = started.resume_token
            self._told_end = False
            self._received_told, self._told_at_s = (
                -1,
                0.0,
            )  # said at once: then the server knows that its token is known
            unwritten = [sent for sent in self._kept if sent.first + sent.length > started.resume_from]
            self._unwritten = len(unwritten)
            first = unwritten[0].first if unwritten else self._given
            if first > started.resume_from:
                error = ServerError("DATA_LOSS", f"the server asks for input {started.resume_from}, which is forgotten")
            else:
                error = None
                self._cut_first(started.resume_from - first)
            self._changed.notify_all()
        if error is not None:
            await self._fail(error)

    def _cut_first(self, known: int) -> None:
        """Leave out what the server has of the first request that is to be written again."""
        if not known or not self._unwritten:
            return
        index = len(self._kept) - self._unwritten
        first, length, request = self._kept[index]
        offset = known * self._unit_bytes
        shorter = pb.StreamRequest()
        if request.WhichOneof("request") == "audio":
            shorter.audio = request.audio[offset:]
        else:
            shorter.features.data = request.features.data[offset:]
        self._kept[index] = _Sent(first + known, length - known, shorter)
        self._kept_bytes -= offset

    async def _fail(self, error: ServerError) -> None:
        """End the stream for everybody. Raises `error`."""
        async with self._changed:
            self._error = self._error or error
            self._changed.notify_all()
        raise error

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error


def _drawn(pause_s: float) -> float:
    """A pause of at most this length, at random, so that clients that were cut off together come back apart."""
    return pause_s * random.uniform(0.5, 1.0)  # noqa: S311 - no secret


def _unit_bytes(config: pb.StreamConfig, started: pb.StreamStarted) -> int:
    """Of a sample of all channels, or of a feature frame."""
    if config.WhichOneof("signal") == "features":
        return 4 * config.features.feature_count
    return (2 if config.audio.encoding == pb.AUDIO_ENCODING_PCM_S16LE else 4) * started.channels
