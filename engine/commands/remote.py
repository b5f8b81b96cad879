"""The client of the server that a command line names, which may check who calls."""

from __future__ import annotations

import argparse
import os

from ...clients import StreamClient

TOKEN_VARIABLE = "WAVETILE_TOKEN"  # noqa: S105 - its name, not a token


def remote_client(options: argparse.Namespace) -> StreamClient:
    """A client of `options.server`. Its token is in the environment: arguments are for all users to read."""
    return StreamClient(
        options.server,
        ca=options.ca,
        cert=options.cert,
        key=options.key,
        token=os.environ.get(TOKEN_VARIABLE) or None,
    )
