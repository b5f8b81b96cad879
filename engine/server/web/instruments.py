"""All that can be read of a running server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ...session.scheduler import Scheduler
from ..activity import Activity
from ..admission import Admission
from ..options import ServerOptions
from ..served import ModelDescription


@dataclass(frozen=True, slots=True)
class Instruments:
    """Read on the event loop's thread."""

    models: Mapping[str, ModelDescription]
    networks: tuple[str, ...]
    scheduler: Scheduler
    activity: Activity
    admission: Admission
    calls_refused: Mapping[str, int]
    """By the status's name: those that nobody may make who makes them."""
    options: ServerOptions
    started_ns: int
    """Of `time.monotonic_ns`."""
