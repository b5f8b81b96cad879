"""JSON Web Tokens (RFC 7519) as bearer tokens, verified with the public keys of a JWK Set (RFC 7517) from a file."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from ..errors import WavetileError
from .callers import Caller, Permission
from .private_file import read_public

logger = logging.getLogger(__name__)

ALGORITHMS = frozenset(
    ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519")
)
"""Signatures with a private key (RFC 7518, 8037): whoever can verify them can not make them."""
MIN_RSA_BITS = 2048
LEEWAY_S = 30.0
"""How far the clocks of issuer and server may be apart."""
MAX_TOKEN_CHARACTERS = 8192


class WebTokens:
    """The callers of signed web tokens.

    A token must name its caller (`sub`), this server (`aud`), its issuer (`iss`) and its end (`exp`); its permissions
    are the words of `scope` (RFC 8693) that are names of permissions. A key decides which algorithm it is used with,
    a token's header only which key. The keys are read once.
    """

    def __init__(self, path: Path, audience: str, issuer: str) -> None:
        """Raises WavetileError when PyJWT is not installed, or the file is no set of public keys."""
        if not audience or not issuer:
            raise WavetileError(
                "web tokens need an audience and an issuer that they are checked for: "
                "--jwt-audience and --jwt-issuer, as the issuer writes them into `aud` and `iss`, would work"
            )
        try:
            import jwt
        except ImportError as error:
            raise WavetileError("web tokens need PyJWT (pip install 'wavetile[auth]')") from error
        self._jwt = jwt
        self._audience = audience
        self._issuer = issuer
        self._keys = self._read_keys(path)

    def caller(self, token: str) -> Caller | None:
        """Whose token this is; None: it is none, or not valid now."""
        if len(token) > MAX_TOKEN_CHARACTERS:
            return None
        try:
            key = self._key(self._jwt.get_unverified_header(token).get("kid"))
            if key is None:
                return None
            claims = self._jwt.decode(
                token,
                key,
                algorithms=[key.algorithm_name],
                audience=self._audience,
                issuer=self._issuer,
                leeway=LEEWAY_S,
                options={"require": ["exp", "aud", "iss", "sub"]},
            )
        except Exception as error:  # noqa: BLE001 - whatever a token makes the library raise: it is not a valid one
            logger.info("a web token is refused: %s", type(error).__name__)
            return None
        scope = claims.get("scope", "")
        words = set(scope.split()) if isinstance(scope, str) else set()
        return Caller(claims["sub"], frozenset(one for one in Permission if one.value in words))

    def _key(self, name: object) -> Any:
        """The key of this name; without a name the only one there is."""
        if name is None and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        return self._keys.get(name) if isinstance(name, str) else None

    def _read_keys(self, path: Path) -> dict[str | None, Any]:
        try:
            keys = json.loads(read_public(path, "JWK Set"))["keys"]
            assert isinstance(keys, list)
        except (ValueError, KeyError, TypeError, AssertionError) as error:
            raise WavetileError(f'{path} is no JWK Set; {{"keys": [...]}} (RFC 7517) would work') from error
        known: dict[str | None, Any] = {}
        for number, one in enumerate(keys):
            where = f"{path}, key {number}"
            key = self._checked(one, where)
            if key.key_id in known or (key.key_id is None and len(keys) > 1):
                raise WavetileError(f"{where}: its kid {key.key_id!r} does not tell it from the others")
            known[key.key_id] = key
        if not known:
            raise WavetileError(f"{path} has no key; public keys of the issuer would work")
        return known

    def _checked(self, one: object, where: str) -> Any:
        """A key that only verifies. Raises WavetileError."""
        if not isinstance(one, dict) or one.get("kty") not in ("RSA", "EC", "OKP"):
            raise WavetileError(f"{where} is of no type that is safe here; RSA, EC or OKP public keys would work")
        if "d" in one:
            raise WavetileError(f"{where} is a private key; the server needs its public part alone")
        try:
            key = self._jwt.PyJWK.from_dict(one)
        except self._jwt.PyJWTError as error:
            raise WavetileError(f"{where} is no key that PyJWT can use: {error}") from error
        if key.algorithm_name not in ALGORITHMS:
            raise WavetileError(
                f"{where} is for {key.algorithm_name!r}; one of {', '.join(sorted(ALGORITHMS))} would work"
            )
        if key.key_type == "RSA" and key.key.key_size < MIN_RSA_BITS:
            raise WavetileError(f"{where} has {key.key.key_size} bits; {MIN_RSA_BITS} and more would work")
        return key
