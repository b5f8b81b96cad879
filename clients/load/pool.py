"""The connections that streams share, opened when they are needed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from ..transport import Transport
from .connection import Connection

Lend = Callable[[Connection | None], None]
"""Takes a connection; None: there is none to be had."""


@dataclass(slots=True)
class _Shared:
    connection: Connection
    streams: int = 0


class Pool:
    """Connections to one server, with so many streams on each, on one event loop."""

    def __init__(self, host: str, port: int, streams_per_connection: int, transport: Transport) -> None:
        """Raises SignalError: a file of `transport` can not be read, or is not what it should be."""
        self._host = host
        self._port = port
        self._most = streams_per_connection
        self._transport = transport
        self._ssl = transport.ssl_context()
        self._shared: list[_Shared] = []
        self._opening: set[asyncio.Task[None]] = set()

    def lend(self, take: Lend, *, alone: bool) -> None:
        """Give `take` a connection with room, or one of its own (`alone`): now, or once it is there."""
        for shared in () if alone else self._shared:
            if shared.streams < self._most and shared.connection.live:
                shared.streams += 1
                take(shared.connection)
                return
        shared = _Shared(self._connection(), self._most if alone else 1)
        self._shared.append(shared)
        task = asyncio.get_running_loop().create_task(self._open(shared, take))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    def give_back(self, connection: Connection) -> None:
        """A stream on it has ended."""
        for shared in self._shared:
            if shared.connection is connection:
                shared.streams -= 1
        self._shared = [one for one in self._shared if one.connection.live or one.streams > 0]

    def flush(self) -> None:
        """Send what was written to any of them."""
        for shared in self._shared:
            shared.connection.flush()

    def close(self) -> None:
        """Close all of them."""
        for task in self._opening:
            task.cancel()
        for shared in self._shared:
            shared.connection.close()

    def _connection(self) -> Connection:
        scheme = "http" if self._ssl is None else "https"
        return Connection(f"{self._host}:{self._port}", self._transport.metadata(), scheme=scheme)

    async def _open(self, shared: _Shared, take: Lend) -> None:
        try:
            await asyncio.get_running_loop().create_connection(
                lambda: shared.connection, self._host, self._port, ssl=self._ssl
            )
        except OSError as error:
            take(None)
            shared.connection.connection_lost(error)  # for those who have made calls on it meanwhile
            return
        take(shared.connection)
        shared.connection.flush()
