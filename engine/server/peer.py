"""A call's client, which is not waited for without end: reads and writes that take too long end the call."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any, Self

import grpc
from google.protobuf.message import Message

from .options import ServerOptions
from .parsing import parse
from .quotas import Account
from .status import SlowClientError


class Peer:
    """Reads a call's requests and writes its responses, inside its context.

    One task may read while another writes. What gRPC buffers of one call is bounded by its window and one message, so
    a client that stops reading makes `write` wait, and one that stops sending `read`.
    """

    def __init__(
        self, context: grpc.aio.ServicerContext, kind: type[Message], options: ServerOptions, account: Account
    ) -> None:
        """`kind` is that of the requests, which come as bytes (see `reads_itself`); `account` pays for these."""
        self._context = context
        self._kind = kind
        self.bytes_read = 0
        """Of the last request."""
        self._account = account if account.is_metered else None
        idle_s, slow_s = options.idle_timeout_s, options.slow_client_timeout_s
        self._reading = Patience(idle_s, f"the client has sent nothing for {idle_s:g} s")
        self._writing = Patience(slow_s, f"the client has read nothing for {slow_s:g} s")

    async def begin(self) -> None:
        """Send the call's headers: gRPC can not end a call whose first message, which brings them, was given up."""
        await self._context.send_initial_metadata(())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._reading.close()
        self._writing.close()

    async def read(self) -> Any:
        """The next request, or grpc.aio.EOF. Raises SlowClientError, QuotaError, TooManyFieldsError, DecodeError."""
        with self._reading:
            data = await self._context.read()
        return await self._taken(data)

    async def read_within(self, timeout_s: float) -> Any:
        """The same. Raises TimeoutError, and not SlowClientError: nothing came in this time."""
        async with asyncio.timeout(timeout_s):
            data = await self._context.read()
        return await self._taken(data)

    async def _taken(self, data: Any) -> Any:
        if not isinstance(data, bytes):
            return data
        self.bytes_read = len(data)
        if self._account is not None:
            await self._account.pay(len(data))
        return parse(self._kind, data)

    async def write(self, response: Any) -> None:
        """Return when `response` is on its way. Raises SlowClientError."""
        with self._writing:
            await self._context.write(response)


class Patience:
    """Ends a wait inside its context after `limit_s` with SlowClientError; for one task at a time.

    As `asyncio.timeout`, but for many short waits in turn: a timer is set once in `limit_s`, not for each of them.
    """

    def __init__(self, limit_s: float, reason: str) -> None:
        self._limit_s = limit_s
        self._reason = reason
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[Any] | None = None
        self._since = 0.0
        self._cancelling = 0
        self._expired = False
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> None:
        self._task = asyncio.current_task()
        assert self._task is not None
        self._since = self._loop.time()
        self._cancelling = self._task.cancelling()
        if self._timer is None:
            self._timer = self._loop.call_later(self._limit_s, self._look)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        task, self._task = self._task, None
        # Somebody else may have cancelled the task at the same time: then that is what it has to end with.
        if (
            self._expired
            and task is not None
            and task.uncancel() <= self._cancelling
            and kind is asyncio.CancelledError
        ):
            raise SlowClientError(self._reason) from error

    def close(self) -> None:
        """Nobody will wait here any more: the timer would keep the task's call for as long as the limit."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        """The timer's: end the wait that goes on, or come again when it will have lasted too long."""
        self._timer = None
        if self._task is None:
            return
        left_s = self._since + self._limit_s - self._loop.time()
        if left_s > 0:
            self._timer = self._loop.call_later(left_s, self._look)
        else:
            self._expired = True
            self._task.cancel()
