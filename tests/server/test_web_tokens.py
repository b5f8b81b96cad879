"""Web tokens over a real connection: good ones stream, and everything that a forger might try does not."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wavetile.clients import StreamClient
from wavetile.engine.errors import ServerError, WavetileError
from wavetile.engine.server import Security
from wavetile.engine.server.callers import Permission
from wavetile.engine.server.web_tokens import WebTokens

from .fakes import GainModel
from .guards import AUDIENCE, ISSUER, claims
from .running import serving

jwt: Any = pytest.importorskip("jwt", reason="web tokens need the extra auth")
from cryptography.hazmat.primitives import serialization  # noqa: E402 - comes with the extra auth
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa  # noqa: E402

RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
ED_KEY = ed25519.Ed25519PrivateKey.generate()
STRANGER = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PUBLIC_PEM = RSA_KEY.public_key().public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
)


def public_jwk(algorithm: str, key: Any, name: str) -> dict[str, Any]:
    """The public part of a key as a JWK."""
    form: Any = jwt.get_algorithm_by_name(algorithm)
    return {**form.to_jwk(key.public_key(), as_dict=True), "kid": name}


KEYS = [public_jwk("RS256", RSA_KEY, "rsa"), public_jwk("ES256", EC_KEY, "ec"), public_jwk("EdDSA", ED_KEY, "ed")]


@pytest.fixture
def jwks(tmp_path: Path) -> Path:
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"keys": KEYS}))
    return path


@pytest.fixture
def verifier(jwks: Path) -> WebTokens:
    return WebTokens(jwks, AUDIENCE, ISSUER)


def signed(key: Any = RSA_KEY, algorithm: str = "RS256", name: str | None = "rsa", **changes: Any) -> str:
    """A token that is good but for the changes to its claims."""
    return jwt.encode(claims(**changes), key, algorithm, headers={} if name is None else {"kid": name})


def by_hand(header: dict[str, Any], payload: bytes, signature: Callable[[bytes], bytes]) -> str:
    """A token such as no library makes."""

    def text(data: bytes) -> str:
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    body = f"{text(json.dumps(header).encode())}.{text(payload)}"
    return f"{body}.{text(signature(body.encode()))}"


def good_payload() -> bytes:
    return json.dumps(claims()).encode()


def hmac_with_the_public_key(body: bytes) -> bytes:
    return hmac.new(PUBLIC_PEM, body, hashlib.sha256).digest()


def nothing(_: bytes) -> bytes:
    return b""


@pytest.mark.parametrize(
    ("key", "algorithm", "name"), [(RSA_KEY, "RS256", "rsa"), (EC_KEY, "ES256", "ec"), (ED_KEY, "EdDSA", "ed")]
)
def test_a_good_token_names_its_caller(verifier: WebTokens, key: Any, algorithm: str, name: str) -> None:
    caller = verifier.caller(signed(key, algorithm, name))
    assert caller is not None
    assert (caller.name, caller.permissions) == ("ada", {Permission.STREAM})


@pytest.mark.parametrize("scope", [None, "", "openid", "STREAM", ["stream"], 3])
def test_scopes_that_are_not_permissions_permit_nothing(verifier: WebTokens, scope: Any) -> None:
    caller = verifier.caller(signed(scope=scope))
    assert caller is not None
    assert caller.permissions == frozenset()


FORGERIES: dict[str, Callable[[], str]] = {
    "expired": lambda: signed(exp=int(time.time()) - 60),
    "not valid yet": lambda: signed(nbf=int(time.time()) + 600),
    "never ends": lambda: signed(exp=None),
    "of another audience": lambda: signed(aud="other"),
    "of no audience": lambda: signed(aud=None),
    "of another issuer": lambda: signed(iss="https://other.example"),
    "of no issuer": lambda: signed(iss=None),
    "of nobody": lambda: signed(sub=None),
    "not signed": lambda: jwt.encode(claims(), None, "none", headers={"kid": "rsa"}),
    "not signed, in capitals": lambda: by_hand({"alg": "NONE", "kid": "rsa"}, good_payload(), nothing),
    "not signed, but said to be": lambda: by_hand({"alg": "RS256", "kid": "rsa"}, good_payload(), nothing),
    "HMAC with the public key": lambda: by_hand(
        {"alg": "HS256", "kid": "rsa"}, good_payload(), hmac_with_the_public_key
    ),
    "HMAC said to be RSA": lambda: by_hand({"alg": "RS256", "kid": "rsa"}, good_payload(), hmac_with_the_public_key),
    "of an algorithm that is not its key's": lambda: signed(RSA_KEY, "RS512"),
    "with another's key": lambda: signed(STRANGER),
    "with a key of its own in the header": lambda: jwt.encode(
        claims(), STRANGER, "RS256", headers={"kid": "rsa", "jwk": public_jwk("RS256", STRANGER, "rsa")}
    ),
    "of one key, under another's name": lambda: signed(EC_KEY, "ES256", "rsa"),
    "under a name that no key has": lambda: signed(name="../rsa"),
    "without a name, where there are several keys": lambda: signed(name=None),
    "changed after it was signed": lambda: ".".join(
        [*(parts := signed().split("."))[:1], signed(scope="administer").split(".")[1], parts[2]]
    ),
    "with a header that must be understood": lambda: jwt.encode(
        claims(), RSA_KEY, "RS256", headers={"kid": "rsa", "crit": ["unheard-of"], "unheard-of": 1}
    ),
    "nested deeply": lambda: by_hand({"alg": "RS256", "kid": "rsa"}, b"[" * 5000, nothing),
    "nested deeply in its header": lambda: base64.urlsafe_b64encode(b'{"a":' * 1000).decode() + ".e30.e30",
    "with a name that is no text": lambda: by_hand({"alg": "RS256", "kid": ["rsa"]}, good_payload(), nothing),
    "too long": lambda: signed(more="a" * 8192),
    "no token": lambda: "a.b.c",
    "empty": lambda: "",
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forgery_is_nobodys(verifier: WebTokens, forgery: str) -> None:
    assert verifier.caller(FORGERIES[forgery]()) is None


async def test_a_server_takes_good_tokens_alone(jwks: Path) -> None:
    security = Security(jwks=jwks, jwt_audience=AUDIENCE, jwt_issuer=ISSUER)
    async with serving({"gain": GainModel()}, security=security) as server:
        async with StreamClient(server.address, token=signed()) as client, client.stream("gain") as stream:
            assert stream.info.model == "gain"
        async with StreamClient(server.address, token=signed(scope="infer")) as client:
            with pytest.raises(ServerError, match=r"^PERMISSION_DENIED: this caller may not make this call$"):
                await client.stream("gain").__aenter__()
        for forgery in ("expired", "of another audience", "not signed", "HMAC with the public key"):
            async with StreamClient(server.address, token=FORGERIES[forgery]()) as client:
                with pytest.raises(ServerError, match=r"^UNAUTHENTICATED: this call needs a valid bearer token$"):
                    await client.stream("gain").__aenter__()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("no JSON", r'is no JWK Set; {"keys": \[...\]}'),
        ("[]", "is no JWK Set"),
        ('{"keys": 3}', "is no JWK Set"),
        ('{"keys": []}', "has no key"),
        ('{"keys": ["a"]}', "key 0 is of no type that is safe here; RSA, EC or OKP"),
        ('{"keys": [{"kty": "oct", "k": "AAAA", "kid": "a"}]}', "key 0 is of no type that is safe here"),
        ('{"keys": [{"kty": "RSA", "d": "AQAB", "kid": "a"}]}', "key 0 is a private key"),
        ('{"keys": [{"kty": "RSA", "n": "AQAB", "kid": "a"}]}', "key 0 is no key that PyJWT can use"),
        (json.dumps({"keys": [{**KEYS[0], "alg": "HS256"}]}), "key 0 is"),
        (json.dumps({"keys": [KEYS[0], KEYS[0]]}), "key 1: its kid 'rsa' does not tell it from the others"),
    ],
)
def test_a_set_that_is_not_of_public_keys_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "keys.json"
    path.write_text(text)
    with pytest.raises(WavetileError, match=reason):
        WebTokens(path, AUDIENCE, ISSUER)


def test_short_keys_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    short = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    path.write_text(json.dumps({"keys": [public_jwk("RS256", short, "short")]}))
    with pytest.raises(WavetileError, match="key 0 has 1024 bits; 2048 and more would work"):
        WebTokens(path, AUDIENCE, ISSUER)


def test_the_only_key_needs_no_name(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"keys": [{name: value for name, value in KEYS[0].items() if name != "kid"}]}))
    assert WebTokens(path, AUDIENCE, ISSUER).caller(signed(name=None)) is not None


def test_audience_and_issuer_are_asked_for(jwks: Path) -> None:
    with pytest.raises(WavetileError, match="--jwt-audience and --jwt-issuer"):
        WebTokens(jwks, AUDIENCE, "")
