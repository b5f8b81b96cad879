"""Types of command-line arguments: each gives a value, or the reason why the text is none."""

from __future__ import annotations

import argparse


def positive(text: str) -> int:
    """A whole number of at least 1."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return number


def share(text: str) -> float:
    """A number from 0 to 1."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 1")
    return number


def above_zero(text: str) -> float:
    """A number above 0: of seconds, of hertz."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return number


def zero_or_more(text: str) -> float:
    """A number of at least 0."""
    return 0.0 if text.strip() == "0" else above_zero(text)


def memory(text: str) -> str:
    """A number of bytes, as it is written."""
    from ...kernels.cuda.budget import read_bytes

    try:
        read_bytes(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def port(text: str) -> int:
    """A TCP port; 0 lets the system choose."""
    try:
        number = int(text)
    except ValueError:
        number = -1
    if not 0 <= number <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port; 0 to 65535 would be")
    return number


def listening(text: str) -> tuple[str, int]:
    """[HOST:]PORT to listen on; this machine alone where no host is given."""
    host, _, number = text.rpartition(":")
    return host.removeprefix("[").removesuffix("]") or "127.0.0.1", port(number)


def address(text: str) -> str:
    """HOST:PORT of a server."""
    host, colon, number = text.rpartition(":")
    if not host or not colon or not number.isdigit() or not 1 <= int(number) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT, such as 127.0.0.1:50051")
    return text
