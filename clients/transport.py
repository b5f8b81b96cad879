"""How a client gets to its server: in the clear on this machine, over TLS to others, with a certificate or a token."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from ..engine.errors import SignalError
from ..engine.loopback import is_loopback

Token = str | Callable[[], str]
"""A bearer token, or what gives one that is valid now: it is asked for each call anew."""


@dataclass(frozen=True, slots=True)
class Transport:
    """The guards of a connection; files are in PEM.

    TLS is spoken where `ca` is given: the certificates of the authorities that may vouch for the server, or "system"
    for those that this machine trusts. `cert` and `key` are what the client itself shows.
    """

    ca: Path | str | None = None
    cert: Path | str | None = None
    key: Path | str | None = None
    token: Token | None = None

    def check(self, address: str) -> None:
        """Raise SignalError where parts are missing, or a token would cross a network for everybody to read."""
        if (self.cert is None) != (self.key is None):
            raise SignalError("a certificate and its key belong together; cert=... and key=... would work")
        if self.cert is not None and self.ca is None:
            raise SignalError('a certificate is shown over TLS only; ca=FILE or ca="system" besides would work')
        if self.token is not None and self.ca is None and not is_loopback(address.rpartition(":")[0]):
            raise SignalError(
                f"a token would go to {address} in the clear, where others can read it; "
                'ca=FILE or ca="system" would work'
            )

    def channel(self, address: str, options: Sequence[tuple[str, Any]]) -> grpc.aio.Channel:
        """A channel to `address`. Raises SignalError: a file can not be read, or is not what it should be."""
        if self.ca is None:
            return grpc.aio.insecure_channel(address, options=options)
        authorities = None if self.ca == "system" else self._authorities(Path(self.ca))
        chain = key = None
        if self.cert is not None and self.key is not None:
            chain, key = self._own(Path(self.cert), Path(self.key))
        return grpc.aio.secure_channel(address, grpc.ssl_channel_credentials(authorities, key, chain), options=options)

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What goes along with each call."""
        if self.token is None:
            return ()
        return (("authorization", f"Bearer {self.token if isinstance(self.token, str) else self.token()}"),)

    # Python's TLS says what is wrong with a file; gRPC's writes it to its log and fails to connect.

    def _authorities(self, path: Path) -> bytes:
        data = _read(path)
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
        except ssl.SSLError as error:
            raise SignalError(f"ca: {path} holds no certificate in PEM ({error})") from error
        return data

    def _own(self, cert: Path, key: Path) -> tuple[bytes, bytes]:
        pair = _read(cert), _read(key)
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(cert, key, password="")
        except (ssl.SSLError, ValueError) as error:
            raise SignalError(
                f"cert, key: {cert} and {key} are no certificate and its private key ({error}); both in PEM, the key "
                "without a password, would work"
            ) from error
        return pair


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SignalError(f"{path} can not be read: {error.strerror}") from error
