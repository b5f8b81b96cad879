"""Streams that outlive their calls and their servers: tokens, sealed snapshots, and where they are kept."""

from __future__ import annotations

from .options import ResumeOptions
from .replay import Replay
from .resumption import Resumption, resumption
from .vault import Vault

__all__ = ["Replay", "ResumeOptions", "Resumption", "Vault", "resumption"]
