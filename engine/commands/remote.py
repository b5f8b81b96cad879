"""The server that a command line names, which may check who calls: the arguments for that, and what they give."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ...clients import StreamClient
    from ...clients.transport import Transport

TOKEN_VARIABLE = "WAVETILE_TOKEN"  # noqa: S105 - its name, not a token


def add_guards(parser: argparse.ArgumentParser) -> None:
    """The arguments of TLS. A token is in the environment: arguments are for all users to read."""
    guards = parser.add_argument_group(
        "a server that checks who calls", f"{TOKEN_VARIABLE} is the token that it is sent"
    )
    guards.add_argument("--ca", metavar="FILE", help='TLS, with these authorities (PEM), or "system"')
    guards.add_argument("--cert", metavar="FILE", help="the client's certificate (PEM)")
    guards.add_argument("--key", metavar="FILE", help="its private key (PEM)")


def transport(options: argparse.Namespace) -> Transport:
    """What `add_guards` and the environment say."""
    from ...clients.transport import Transport

    token = os.environ.get(TOKEN_VARIABLE) or None
    return Transport(ca=options.ca, cert=options.cert, key=options.key, token=token)


def remote_client(options: argparse.Namespace, address: str) -> StreamClient:
    """A client of the server at `address`, with the guards of `transport`."""
    from ...clients import StreamClient

    guards = transport(options)
    return StreamClient(address, ca=guards.ca, cert=guards.cert, key=guards.key, token=guards.token)
