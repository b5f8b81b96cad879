"""What guards a server: its certificate, whom it lets in, and the refusal to be open to a network by accident."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

import grpc

from ..errors import WavetileError
from ..loopback import is_loopback
from .authorisation import Authorisation
from .callers import Caller, Permission, TokenVerifier
from .private_file import read_private, read_public
from .token_file import TokenFile
from .web_tokens import WebTokens


@dataclass(frozen=True, slots=True)
class Security:
    """Files in PEM, and of tokens, that say who the server is and who may call it; all are read when it starts."""

    tls_cert: Path | None = None
    tls_key: Path | None = None
    # Clients must show a certificate that one of these authorities has signed.
    client_ca: Path | None = None
    # See `TokenFile` and `WebTokens`. With either, every call needs a token.
    tokens: Path | None = None
    jwks: Path | None = None
    jwt_audience: str = ""
    jwt_issuer: str = ""
    # Allows to listen beyond this machine without TLS, or without asking who calls.
    insecure: bool = False

    def check(self, host: str, option: str = "--host") -> None:
        """Raise WavetileError where parts of this are missing, or `host` is reached by others whom nobody checks.

        `option` is what names the host.
        """
        if (self.tls_cert is None) != (self.tls_key is None):
            raise WavetileError("a certificate and its key belong together: --tls-cert and --tls-key would work")
        if self.client_ca is not None and self.tls_cert is None:
            raise WavetileError("clients show certificates over TLS only; --tls-cert and --tls-key besides would work")
        if self.jwks is None and (self.jwt_audience or self.jwt_issuer):
            raise WavetileError("an audience or issuer of web tokens without their keys; --jwks FILE would work")
        if self.insecure or is_loopback(host):
            return
        missing = []
        if self.tls_cert is None:
            missing.append("TLS (--tls-cert and --tls-key)")
        if self.client_ca is None and not self.has_tokens:
            missing.append("to know its callers (--client-ca, --tokens or --jwks)")
        if missing:
            raise WavetileError(
                f"{host!r} can be reached from other machines, where this server needs {' and '.join(missing)}; "
                f"{option} 127.0.0.1 would work as it is, and --insecure listens none the less"
            )

    def credentials(self) -> grpc.ServerCredentials | None:
        """The server's side of TLS; None: there is none. Raises WavetileError."""
        if self.tls_cert is None or self.tls_key is None:
            return None
        cert = read_public(self.tls_cert, "certificate")
        key = read_private(self.tls_key, "private key")
        authorities = None if self.client_ca is None else read_public(self.client_ca, "certificate of an authority")
        self.tls_context()  # says what is wrong with the files; gRPC's TLS writes it to a log
        return grpc.ssl_server_credentials(
            [(key.encode(), cert.encode())],
            root_certificates=None if authorities is None else authorities.encode(),
            require_client_auth=authorities is not None,
        )

    def authorisation(self, host: str) -> Authorisation:
        """The interceptor that every call passes. Raises WavetileError."""
        verifiers: list[TokenVerifier] = []
        if self.tokens is not None:
            verifiers.append(TokenFile(self.tokens))
        if self.jwks is not None:
            verifiers.append(WebTokens(self.jwks, self.jwt_audience, self.jwt_issuer))
        allowed = frozenset(Permission) if is_loopback(host) else frozenset((Permission.STREAM, Permission.INFER))
        return Authorisation(verifiers, Caller("anyone", allowed))

    @property
    def has_tokens(self) -> bool:
        """Whether callers are known by tokens."""
        return self.tokens is not None or self.jwks is not None

    def tls_context(self) -> ssl.SSLContext | None:
        """The server's side of TLS for Python's own connections; None: there is none. Raises WavetileError."""
        if self.tls_cert is None:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            # A password would be asked for at the terminal, once by Python; gRPC knows of none.
            context.load_cert_chain(self.tls_cert, self.tls_key, password="")
        except (ssl.SSLError, ValueError) as error:
            raise WavetileError(
                f"{self.tls_cert} and {self.tls_key} are no certificate and its private key ({error}); both in PEM, "
                "the key without a password, would work"
            ) from error
        if self.client_ca is None:
            return context
        try:
            context.load_verify_locations(self.client_ca)
        except ssl.SSLError as error:
            raise WavetileError(f"{self.client_ca} holds no certificate in PEM ({error})") from error
        context.verify_mode = ssl.CERT_REQUIRED
        return context
