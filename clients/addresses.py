"""The servers that a client may use: one at a time, the next one when that can not be reached."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import grpc

from ..engine.errors import SignalError
from ..proto.v1 import wavetile_pb2_grpc as pb_grpc
from .transport import Transport


class Addresses:
    """Channels to servers that serve the same models. The one that is used stays the one until `move_on`."""

    def __init__(self, addresses: str | Sequence[str], transport: Transport, options: list[tuple[str, int]]) -> None:
        """`addresses`: "host:port", several of them separated by commas, or a list. Raises SignalError."""
        listed = addresses.split(",") if isinstance(addresses, str) else list(addresses)
        self._listed = [address.strip() for address in listed if address.strip()]
        if not self._listed:
            raise SignalError(f"{addresses!r} names no server; 'host:port' would work")
        for address in self._listed:
            transport.check(address)
        self._transport = transport
        self._options = options
        self._at = 0
        self._channels: dict[str, grpc.aio.Channel] = {}
        self._stubs: dict[str, Any] = {}

    def __len__(self) -> int:
        return len(self._listed)

    @property
    def current(self) -> str:
        """host:port of the server in use."""
        return self._listed[self._at]

    def stub(self) -> Any:
        """Of the server in use, on a channel that is opened now if it is the first time."""
        address = self.current
        if address not in self._stubs:
            self._channels[address] = self._transport.channel(address, self._options)
            self._stubs[address] = pb_grpc.StreamServiceStub(self._channels[address])
        return self._stubs[address]

    def move_on(self) -> None:
        """Use the next server from now on."""
        self._at = (self._at + 1) % len(self._listed)

    async def close(self) -> None:
        """Close every channel."""
        channels, self._channels = list(self._channels.values()), {}
        self._stubs = {}
        for channel in channels:
            await channel.close()
