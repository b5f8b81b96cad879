"""All that can be read of a running server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ...session.scheduler import Scheduler
from ..activity import Activity
from ..admission import Admission
from ..model_table import ModelTable
from ..options import ServerOptions


@dataclass(frozen=True, slots=True)
class Instruments:
    """Read on the event loop's thread."""

    models: ModelTable
    scheduler: Scheduler
    activity: Activity
    admission: Admission
    calls_refused: Mapping[str, int]
    """By the status's name: those that nobody may make who makes them."""
    options: ServerOptions
    started_ns: int
    """Of `time.monotonic_ns`."""
