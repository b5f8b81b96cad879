"""The streaming planner: takes a network as it stands, finds out what streams, and cuts it into steps."""

from __future__ import annotations

from . import aligned, edges, recurrent, reshapes, scans, windows  # noqa: F401  (fill STREAM_RULES)
from .bindings import Bindings, StreamingAxis, find_axes
from .causal import causal_step
from .certificate import AxisFacts, Certificate, certify, facts
from .outline import kept_bytes
from .plan import Step, StepKind, StreamPlan
from .raster import Bands, Raster
from .steps import Steps

__all__ = [
    "AxisFacts",
    "Bands",
    "Bindings",
    "Certificate",
    "Raster",
    "Step",
    "StepKind",
    "Steps",
    "StreamPlan",
    "StreamingAxis",
    "causal_step",
    "certify",
    "facts",
    "find_axes",
    "kept_bytes",
]
