"""Certificates, tokens and keys of tests, and channels that are nobody else's connection."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trustme

from wavetile.engine.server import Security
from wavetile.engine.server.callers import Permission
from wavetile.engine.server.token_file import new_token

ISSUER = "https://issuer.example"
AUDIENCE = "wavetile-test"


@dataclass(frozen=True)
class Files:
    """What server and clients are given in PEM."""

    server_cert: Path
    server_key: Path
    server_ca: Path
    client_ca: Path
    client_cert: Path
    client_key: Path
    stranger_cert: Path
    stranger_key: Path

    def tls(self, **more: Any) -> Security:
        return Security(tls_cert=self.server_cert, tls_key=self.server_key, **more)


def make_files(folder: Path) -> Files:
    """A server's certificate and a client's, of different authorities, and one of an authority that nobody knows."""
    paths = Files(*(folder / f"{name}.pem" for name in Files.__annotations__))
    server_ca, client_ca, unknown_ca = trustme.CA(), trustme.CA(), trustme.CA()
    server_ca.cert_pem.write_to_path(str(paths.server_ca))
    client_ca.cert_pem.write_to_path(str(paths.client_ca))
    for cert, cert_path, key_path in (
        (server_ca.issue_cert("127.0.0.1", "localhost"), paths.server_cert, paths.server_key),
        (client_ca.issue_cert("client@example.org"), paths.client_cert, paths.client_key),
        (unknown_ca.issue_cert("client@example.org"), paths.stranger_cert, paths.stranger_key),
    ):
        cert.cert_chain_pems[0].write_to_path(str(cert_path))
        key_path.touch(mode=0o600)
        cert.private_key_pem.write_to_path(str(key_path))
    return paths


def write_tokens(path: Path, **callers: str) -> dict[str, str]:
    """A token file with callers and their permissions, such as "stream infer"; returns their tokens."""
    path.touch(mode=0o600)
    made = {
        name: new_token(name, frozenset(Permission(word) for word in allowed.split()))
        for name, allowed in callers.items()
    }
    path.write_text("# callers\n\n" + "".join(f"{line}\n" for _, line in made.values()))
    return {name: token for name, (token, _) in made.items()}


def claims(**changes: Any) -> dict[str, Any]:
    """What a good web token says; a change to None leaves a claim out."""
    good = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ada", "exp": int(time.time()) + 300, "scope": "openid stream"}
    return {name: value for name, value in {**good, **changes}.items() if value is not None}
