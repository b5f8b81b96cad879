"""One gRPC call of streams, whose errors are the status that the server ended it with, whatever was under way.

grpc.aio may lose that status. When the server has ended a call and the event loop does not know it yet, a write fails
in gRPC's core, and grpc.aio then takes "INTERNAL: Internal error from Core" for the call's status: in place of the
server's where that has just come, or until it comes, which is once all responses have been read
(https://github.com/grpc/grpc/issues/36066).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, NoReturn, TypeVar

import grpc

from ..engine.errors import ServerError

_LOST = (grpc.StatusCode.INTERNAL, "Internal error from Core")
"""What grpc.aio takes for the status of a call on which a write failed."""

RETRY_AFTER = "retry-after-ms"

_STATUS_TIMEOUT_S = 10.0
_STATUS_PERIOD_S = 0.001
"""How long, and how often, a status is looked for of whose coming grpc.aio tells nobody. It takes microseconds."""

T = TypeVar("T")


class StreamCall:
    """Writes requests and reads responses, one after the other where several tasks do.

    Cancelling a task that writes or reads ends the call.
    """

    def __init__(self, call: Any) -> None:
        """`call`: a grpc.aio.StreamStreamCall that nobody else reads or writes."""
        self._call = call
        # Unlike its `read`, which gives up at the status that a failed write leaves, its iterator reads to the end.
        self._responses = aiter(call)
        self._unread: deque[Any] = deque()
        self._reading = asyncio.Lock()
        self._writing = asyncio.Lock()
        self._status: tuple[grpc.StatusCode, str] | None = None
        self._retry_after_s: float | None = None
        # Told of each status in older versions of grpcio, in newer ones of the first.
        call.add_done_callback(self._note_status)

    async def write(self, request: Any) -> None:
        """Return when `request` is on its way. Raises ServerError where the call has ended, with OK too."""
        async with self._writing:
            with _EndOfCall():
                await self._call.write(request)
                return
        await self._raise_end()

    async def half_close(self) -> None:
        """Say that no request will follow. Raises ServerError where that can not be said because the call has ended."""
        async with self._writing:
            with _EndOfCall():
                await self._call.done_writing()
                return
        await self._raise_end()

    async def read(self) -> Any | None:
        """The next response, None after the last. Raises ServerError where the call did not end with OK."""
        async with self._reading:
            response = self._unread.popleft() if self._unread else await self._receive()
        if response is None and (await self._end())[0] is not grpc.StatusCode.OK:
            await self._raise_end()
        return response

    def cancel(self) -> None:
        """End the call from this side. One that is known to have ended keeps its status."""
        self._set_status(grpc.StatusCode.CANCELLED, "this client has ended the stream")
        self._call.cancel()

    async def _receive(self) -> Any | None:
        """The next response from gRPC, None after the last; to be called with `_reading` held."""
        with _EndOfCall():
            return await anext(self._responses, None)
        return None

    async def _end(self) -> tuple[grpc.StatusCode, str]:
        """Code and details of the call's end, which has come, or will when all responses have been read."""
        async with self._reading:
            while self._status is None and (response := await self._receive()) is not None:
                self._unread.append(response)
        looked_s = 0.0
        while self._status is None:
            self._note_status(self._call)
            if looked_s > _STATUS_TIMEOUT_S:
                self._set_status(grpc.StatusCode.INTERNAL, "the stream has ended, and gRPC has not said how")
            await asyncio.sleep(_STATUS_PERIOD_S)
            looked_s += _STATUS_PERIOD_S
        return self._status

    async def _raise_end(self) -> NoReturn:
        code, details = await self._end()
        if code is grpc.StatusCode.OK:
            details = "the server has ended this stream"
        raise ServerError(code.name, details or "no details", self._retry_after_s)

    def _note_status(self, call: Any) -> None:
        if call.done():
            self._set_status(_result(call.code()), _result(call.details()))
            self._retry_after_s = _retry_after_s(_result(call.trailing_metadata()))

    def _set_status(self, code: grpc.StatusCode, details: str) -> None:
        """Take the first that is not a failed write's: what comes after it is not the server's any more."""
        if self._status is None and (code, details) != _LOST:
            self._status = code, details


class _EndOfCall:
    """Leaves its context where gRPC says, in one of its ways, that the call has ended."""

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        if isinstance(error, asyncio.CancelledError):
            return not is_cancelled()
        return isinstance(error, (grpc.aio.AioRpcError, grpc.aio.InternalError, asyncio.InvalidStateError))


def is_cancelled() -> bool:
    """Whether a CancelledError is the current task's own.

    gRPC raises it also when not the task but the call was cancelled, by this client itself.
    """
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


def _retry_after_s(metadata: Any) -> float | None:
    """What the server says of when to ask again, in the trailing metadata."""
    values = [value for key, value in metadata or () if key == RETRY_AFTER]
    return int(values[0]) / 1000 if values and str(values[0]).isdecimal() else None


def _result(coroutine: Coroutine[Any, Any, T]) -> T:
    """What a coroutine gives that has nothing to wait for."""
    try:
        coroutine.send(None)
    except StopIteration as returned:
        return returned.value
    coroutine.close()
    raise RuntimeError("a call of grpc.aio is done, and waits for its status")
