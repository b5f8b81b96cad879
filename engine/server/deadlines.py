"""A stream's deadlines, as its config asks for them."""

from __future__ import annotations

from ...proto.v1 import wavetile_pb2 as pb
from ..errors import SignalError
from ..session.deadlines import Deadlines, LatePolicy
from .served import ModelDescription

NO_RATE_HOP_NS = 10_000_000
"""What stands for a hop where the model has no rate."""
MAX_BUDGET_NS = 60_000_000_000

_POLICIES: dict[pb.LatePolicy, LatePolicy] = {
    pb.LATE_POLICY_UNSPECIFIED: LatePolicy.PROCESS,
    pb.LATE_POLICY_PROCESS: LatePolicy.PROCESS,
    pb.LATE_POLICY_SKIP: LatePolicy.SKIP,
    pb.LATE_POLICY_BYPASS: LatePolicy.BYPASS,
}


def stream_deadlines(config: pb.StreamConfig, description: ModelDescription) -> Deadlines:
    """The config's budget, else one hop, and its policy. Raises SignalError."""
    if not 0 <= config.frame_budget_ns <= MAX_BUDGET_NS:
        raise SignalError(f"frame_budget_ns is {config.frame_budget_ns}; it must be 0 (one hop) to {MAX_BUDGET_NS}")
    if config.late_policy not in _POLICIES:
        names = ", ".join(pb.LatePolicy.Name(known) for known in _POLICIES if known)
        raise SignalError(f"late_policy {config.late_policy} is unknown; use one of {names}")
    one_hop_ns = hop_ns(description)
    return Deadlines(config.frame_budget_ns or one_hop_ns, one_hop_ns, _POLICIES[config.late_policy])


def hop_ns(description: ModelDescription) -> int:
    """How long one hop of the model lasts, or what stands for it where the model has no rate."""
    if description.sample_rate_hz and description.hop_samples:
        return 1_000_000_000 * description.hop_samples // description.sample_rate_hz
    return NO_RATE_HOP_NS
