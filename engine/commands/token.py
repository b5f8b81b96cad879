"""Make a bearer token for `wavetile serve --tokens FILE`.

The token goes to standard output, once; FILE gets a line with its digest, from which nobody can make the token again.
A server reads FILE when it starts. To take a token back, remove its line.
"""

from __future__ import annotations

import argparse
from pathlib import Path

NAME = "token"
SUMMARY = "make a bearer token for a server"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Whose it is, what it permits, and where it is known."""
    parser.add_argument("name", metavar="NAME", help="who will use it, for the server's log")
    parser.add_argument("--file", type=Path, required=True, metavar="FILE", help="the token file; made if need be")
    parser.add_argument(
        "--allow", default="stream,infer", metavar="LIST",
        help="stream, infer, administer, with commas between them (default: %(default)s)",
    )  # fmt: skip


def execute(options: argparse.Namespace) -> int:
    """Write the line, print the token."""
    import os

    from ..errors import WavetileError
    from ..server.token_file import new_token, permissions
    from .console import output

    try:
        allowed = permissions(options.allow)
    except ValueError as error:
        raise WavetileError(
            f"--allow: {error}; stream, infer, administer with commas between them would work"
        ) from None
    token, line = new_token(options.name, allowed)
    try:
        # Nobody else's to read, from the first byte on; a file that is there keeps its mode, and a server looks at it.
        with os.fdopen(
            os.open(options.file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600), "a+", encoding="utf-8"
        ) as file:
            file.seek(0)
            text = file.read()
            file.write(f"{'' if not text or text.endswith(chr(10)) else chr(10)}{line}\n")
    except OSError as error:
        raise WavetileError(f"{options.file} can not be written: {error.strerror}") from error
    output().print(token, soft_wrap=True, highlight=False, markup=False)
    return 0
