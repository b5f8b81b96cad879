"""Bearer tokens from a file that keeps only their digests, one caller a line: `NAME PERMISSIONS sha256:DIGEST`."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from pathlib import Path

from ..errors import WavetileError
from .callers import Caller, Permission
from .private_file import read_private

_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")
TOKEN_BYTES = 32
"""Of chance in a token: too many to try, so that a plain digest of it is safe to keep."""


class TokenFile:
    """The callers of a token file, read once.

    A line has a name, permissions with commas between them (stream, infer, administer) and the SHA-256 of the token's
    ASCII text in hexadecimal. Empty lines, and those that begin with #, are passed over. A name may come more than
    once: a new token can be given out before the old one's line goes.
    """

    def __init__(self, path: Path) -> None:
        """Raises WavetileError when the file can not be read, others can read it, or a line is none of a token's."""
        self._callers: list[tuple[bytes, Caller]] = []
        for number, line in enumerate(read_private(path, "token file").splitlines(), 1):
            if line.strip() and not line.lstrip().startswith("#"):
                self._callers.append(_parsed(line, f"{path}, line {number}"))
        if not self._callers:
            raise WavetileError(f"{path} has no token; `wavetile token NAME --file {path}` adds one")

    def caller(self, token: str) -> Caller | None:
        """Whose token this is; None: nobody's. Takes as long for each of them."""
        digest = _digest(token)
        found = None
        for known, caller in self._callers:
            if hmac.compare_digest(known, digest):
                found = caller
        return found


def new_token(name: str, permissions: frozenset[Permission]) -> tuple[str, str]:
    """A new token of chance, and the line that a token file needs to know it. Raises WavetileError."""
    if not name or name.startswith("#") or not name.isprintable() or " " in name:
        raise WavetileError(f"{name!r} can not be a caller's name; printable characters without spaces would work")
    token = secrets.token_urlsafe(TOKEN_BYTES)
    allowed = ",".join(one.value for one in Permission if one in permissions)
    return token, f"{name} {allowed} sha256:{_digest(token).hex()}"


def permissions(text: str) -> frozenset[Permission]:
    """Permissions with commas between them. Raises ValueError, which names the one that is none."""
    return frozenset(Permission(word) for word in text.split(","))


def _parsed(line: str, where: str) -> tuple[bytes, Caller]:
    words = line.split()
    known = ", ".join(one.value for one in Permission)
    form = f"NAME PERMISSIONS sha256:DIGEST would work, with permissions of {known} and commas between them"
    # Neither error repeats the line: somebody may have written the token itself into it.
    if len(words) != 3 or (digest := _DIGEST.fullmatch(words[2])) is None:
        raise WavetileError(f"{where}: this is no line of a token file; {form}")
    try:
        allowed = permissions(words[1])
    except ValueError:
        raise WavetileError(f"{where}: the second word is no list of permissions; {form}") from None
    return bytes.fromhex(digest[1]), Caller(words[0], allowed)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
