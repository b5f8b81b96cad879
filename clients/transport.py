"""How a client gets to its server: in the clear on this machine, over TLS to others, with a certificate or a token."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from ..engine.errors import SignalError
from ..engine.loopback import NO_PROXY, is_loopback

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
        if self.token is not None and self.ca is None and not _is_here(address):
            raise SignalError(
                f"a token would go to {address} in the clear, where others can read it; "
                'ca=FILE or ca="system" would work'
            )

    def channel(self, address: str, options: Sequence[tuple[str, Any]]) -> grpc.aio.Channel:
        """A channel to `address`. Raises SignalError: a file can not be read, or is not what it should be."""
        if _is_here(address):
            options = [*options, NO_PROXY]
        # Python's TLS says what is wrong with a file; gRPC's writes it to its log and fails to connect.
        if self.ssl_context() is None:
            return grpc.aio.insecure_channel(address, options=options)
        authorities, key, chain = (
            None if path is None or path == "system" else _read(Path(path)) for path in (self.ca, self.key, self.cert)
        )
        return grpc.aio.secure_channel(address, grpc.ssl_channel_credentials(authorities, key, chain), options=options)

    def ssl_context(self) -> ssl.SSLContext | None:
        """The same guards for a connection of Python's own, on which HTTP/2 is spoken; None: in the clear.

        Raises SignalError as `channel`.
        """
        if self.ca is None:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.set_alpn_protocols(["h2"])
        if self.ca == "system":
            context.load_default_certs()
        else:
            _trust(context, Path(self.ca))
        if self.cert is not None and self.key is not None:
            _show(context, Path(self.cert), Path(self.key))
        return context

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What goes along with each call."""
        if self.token is None:
            return ()
        return (("authorization", f"Bearer {self.token if isinstance(self.token, str) else self.token()}"),)


def _is_here(address: str) -> bool:
    return is_loopback(address.rpartition(":")[0])


def _trust(context: ssl.SSLContext, ca: Path) -> None:
    _read(ca)
    try:
        context.load_verify_locations(ca)
    except ssl.SSLError as error:
        raise SignalError(f"ca: {ca} holds no certificate in PEM ({error})") from error


def _show(context: ssl.SSLContext, cert: Path, key: Path) -> None:
    _read(cert)
    _read(key)
    try:
        context.load_cert_chain(cert, key, password="")
    except (ssl.SSLError, ValueError) as error:
        raise SignalError(
            f"cert, key: {cert} and {key} are no certificate and its private key ({error}); both in PEM, the key "
            "without a password, would work"
        ) from error


def _read(path: Path) -> bytes:
    """A file's bytes. Raises SignalError: it can not be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise SignalError(f"{path} can not be read: {error.strerror}") from error
