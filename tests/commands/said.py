"""What a command said, for tests that call the command line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Said:
    """What a command wrote and how it ended."""

    status: int
    output: str
    notices: str


Command = Callable[..., Said]
"""Runs the command line with these arguments, in this process."""
