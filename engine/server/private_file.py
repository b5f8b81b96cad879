"""Reads files that hold secrets, and refuses those that other users of the machine can read or write."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from ..errors import WavetileError

MAX_BYTES = 1024 * 1024


def read_private(path: Path, what: str) -> str:
    """The text of `path`, a file of this kind. Raises WavetileError when it can not be had, or not alone."""
    return _read(path, what, private=True)


def read_public(path: Path, what: str) -> str:
    """The same of a file that everybody may read, such as a certificate."""
    return _read(path, what, private=False)


def _read(path: Path, what: str, *, private: bool) -> str:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode  # of the file that is read, not of what the path leads to later
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise WavetileError(f"the {what} {path} can not be read: {error.strerror}") from error
    # Windows keeps access lists instead, of which these bits say nothing.
    if private and os.name != "nt" and mode & (stat.S_IROTH | stat.S_IWOTH):
        raise WavetileError(
            f"the {what} {path} can be read or written by every user of this machine (mode {stat.S_IMODE(mode):o}); "
            f"`chmod 600 {path}` would work"
        )
    if len(data) > MAX_BYTES:
        raise WavetileError(f"the {what} {path} has more than {MAX_BYTES} bytes")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise WavetileError(f"the {what} {path} is not text in UTF-8") from error
