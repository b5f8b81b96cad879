"""Opens calls of streams: on the server in use, or on another one of the client's."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from ..engine.errors import ServerError
from ..proto.v1 import wavetile_pb2 as pb
from .addresses import Addresses
from .call import StreamCall
from .transport import Transport


class Opened(NamedTuple):
    """A call whose stream the server has started."""

    call: StreamCall
    started: pb.StreamStarted
    address: str


class Opener:
    """For one event loop."""

    def __init__(self, addresses: Addresses, transport: Transport, timeout_s: float) -> None:
        """`timeout_s` bounds the opening of a stream, where nothing else is said."""
        self.addresses = addresses
        self._transport = transport
        self._timeout_s = timeout_s
        self._calls: set[StreamCall] = set()

    async def open(
        self, config: pb.StreamConfig, address: str | None = None, *, timeout_s: float | None = None
    ) -> Opened:
        """A call on the server in use, or on that at `address`. Raises ServerError."""
        address = address or self.addresses.current
        timeout_s = timeout_s or self._timeout_s
        call = StreamCall(self.addresses.stub(address).Stream(metadata=self._transport.metadata()))
        self._calls.add(call)
        try:
            try:
                async with asyncio.timeout(timeout_s):
                    await call.write(pb.StreamRequest(config=config))
                    response = await call.read()
            except TimeoutError:
                raise ServerError(
                    "DEADLINE_EXCEEDED", f"{address} did not start the stream within {timeout_s:g} s"
                ) from None
            if response is None:
                raise ServerError("OK", "the server has ended this stream before it began")
        except BaseException:
            call.cancel()
            raise
        finally:
            self._calls.discard(call)  # its stream's from here on
        return Opened(call, response.started, address)

    def cancel(self) -> None:
        """End the calls that are being opened."""
        for call in self._calls:
            call.cancel()
