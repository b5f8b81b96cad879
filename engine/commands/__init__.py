"""The command line: `wavetile serve | run | load | models | describe | bench | warmup | demo`, one file a command."""

from __future__ import annotations

from .command_line import main

__all__ = ["main"]
