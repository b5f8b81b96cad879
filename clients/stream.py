"""One live stream of a client: chunks are sent, typed results are iterated over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable
from typing import Any

import numpy as np

from ..engine.errors import ServerError, SignalError
from ..proto.v1 import wavetile_pb2 as pb
from .call import StreamCall
from .encoding import Part
from .results import Notice, StreamInfo, StreamResult, stream_result
from .resume import ResumableCall

Request = Callable[[Any], pb.StreamRequest]
"""Makes a request of what `ClientStream.send` was given."""


class ClientStream:
    """One live stream: `send` chunks, `finish`, iterate over results. Made by `StreamClient`'s stream methods."""

    def __init__(self, call: StreamCall | ResumableCall, info: StreamInfo, request: Request, encoding: str) -> None:
        self.info = info
        self.notice: Notice | None = None
        """That the server will stop, once it has said so; it comes between results. A resumable stream heeds it itself,
        and has none."""
        self._call = call
        self._request = request
        self._encoding = encoding
        self._finished = False

    async def send(self, chunk: np.ndarray | Part) -> None:
        """Send one chunk, of any length. Waits while the server is behind. Raises SignalError, ServerError.

        Where the server has ended the stream, its results are still there to read.
        """
        request = self._request(chunk)
        if self._finished:
            raise SignalError("this stream takes nothing more after `finish`; another stream would")
        await self._call.write(request)

    async def finish(self) -> None:
        """End the signal: the server flushes, and iteration ends after the last result."""
        self._finished = True
        await self._call.half_close()

    def __aiter__(self) -> AsyncIterator[StreamResult]:
        return self

    async def __anext__(self) -> StreamResult:
        """The next result. Raises ServerError when the server ended the stream with anything but OK."""
        while (response := await self._call.read()) is not None:
            if not response.HasField("notice"):
                return stream_result(response.result, self.info, self._encoding)
            self.notice = Notice(response.notice.grace_ns / 1e9)
        raise StopAsyncIteration

    async def exchange(self, source: AsyncIterable[np.ndarray | Part]) -> AsyncGenerator[StreamResult, None]:
        """Send every chunk of `source`, then finish, while yielding results. An error in `source` is raised here."""
        sender = asyncio.create_task(self._send_all(source))
        try:
            async for result in self:
                yield result
                if sender.done():
                    sender.result()
            await sender
        except ServerError:
            # Where the source itself failed, that is the reason to tell: it cancelled the call.
            if sender.done() and not sender.cancelled() and (error := sender.exception()) is not None:
                raise error from None
            raise
        finally:
            sender.cancel()
            await asyncio.wait((sender,))  # from here on nobody reads from `source`
            if not sender.cancelled():
                sender.exception()  # told above, or after an error that came first

    async def _send_all(self, source: AsyncIterable[np.ndarray | Part]) -> None:
        try:
            async for chunk in source:
                await self.send(chunk)
            await self.finish()
        except ServerError:
            return  # iteration raises the same status
        except BaseException:
            self._call.cancel()
            raise
