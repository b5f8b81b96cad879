"""The servers that a client may use: one at a time, the next one when that can not be reached."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import grpc

from ..engine.errors import SignalError
from ..proto.v1 import wavetile_pb2_grpc as pb_grpc
from .transport import Transport


class Addresses:
    """Channels to servers that serve the same models. The one that is used stays the one until `leave` or `use`."""

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

    @property
    def current(self) -> str:
        """host:port of the server in use."""
        return self._listed[self._at]

    def stub(self, address: str | None = None) -> Any:
        """Of the server at `address`, or else of that in use, on a channel that is opened when first asked for."""
        address = address or self.current
        if address not in self._stubs:
            self._stubs[address] = pb_grpc.StreamServiceStub(self._channel(address))
        return self._stubs[address]

    def is_connected(self, address: str) -> bool:
        """Whether a call to `address` would get there now; if not, begin to connect."""
        return self._channel(address).get_state(try_to_connect=True) is grpc.ChannelConnectivity.READY

    def others(self, address: str) -> list[str]:
        """All but this one, in the order in which they would be used after it."""
        at = self._listed.index(address)
        return [other for other in self._listed[at:] + self._listed[:at] if other != address]

    def leave(self, address: str) -> None:
        """Use the next server from now on, unless somebody has left this one before."""
        if self.current == address:
            self._at = (self._at + 1) % len(self._listed)

    def use(self, address: str) -> None:
        """Use this one from now on."""
        self._at = self._listed.index(address)

    def _channel(self, address: str) -> grpc.aio.Channel:
        if address not in self._channels:
            self._channels[address] = self._transport.channel(address, self._options)
        return self._channels[address]

    async def close(self) -> None:
        """Close every channel."""
        channels, self._channels = list(self._channels.values()), {}
        self._stubs = {}
        for channel in channels:
            await channel.close()
