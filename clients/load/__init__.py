"""A load generator: many streams at the pace of live signals, and how long their frames took."""

from __future__ import annotations

from .figures import Figures
from .histogram import Histogram
from .limit import LimitSearch, find_limit
from .plan import Plan, Traffic, arrange
from .run import Target, run_load
from .wire import StreamWire, Wire

__all__ = [
    "Figures",
    "Histogram",
    "LimitSearch",
    "Plan",
    "StreamWire",
    "Target",
    "Traffic",
    "Wire",
    "arrange",
    "find_limit",
    "run_load",
]
