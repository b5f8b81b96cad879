"""The streaming planner: takes a network as it stands, finds out what streams, and cuts it into steps."""

from __future__ import annotations

from . import aligned, edges, recurrent, reshapes, scans, windows  # noqa: F401  (fill STREAM_RULES)
from .bindings import WORKS, Bindings, StreamingAxis, find_axes, prepared
from .causal import causal_step
from .certificate import AxisFacts, Certificate, certify, facts
from .outline import kept_bytes
from .overlap import Overlap
from .plan import Step, StepKind, StreamPlan
from .raster import Bands, Raster, carried_bytes, computing_bytes
from .shared_windows import SharedWindows, certify_windows
from .steps import Steps

__all__ = [
    "WORKS",
    "AxisFacts",
    "Bands",
    "Bindings",
    "Certificate",
    "Overlap",
    "Raster",
    "SharedWindows",
    "Step",
    "StepKind",
    "Steps",
    "StreamPlan",
    "StreamingAxis",
    "carried_bytes",
    "causal_step",
    "certify",
    "certify_windows",
    "computing_bytes",
    "facts",
    "find_axes",
    "kept_bytes",
    "prepared",
]
