"""Which streams go first where not all can be computed in time."""

from __future__ import annotations

from enum import IntEnum

from ...proto.v1 import wavetile_pb2 as pb
from ..errors import SignalError


class Priority(IntEnum):
    """A higher one is kept for longer."""

    LOW = 1
    NORMAL = 2
    HIGH = 3


_PRIORITIES = {
    pb.STREAM_PRIORITY_UNSPECIFIED: Priority.NORMAL,
    pb.STREAM_PRIORITY_LOW: Priority.LOW,
    pb.STREAM_PRIORITY_NORMAL: Priority.NORMAL,
    pb.STREAM_PRIORITY_HIGH: Priority.HIGH,
}


def stream_priority(config: pb.StreamConfig) -> Priority:
    """The config's. Raises SignalError."""
    if config.priority not in _PRIORITIES:
        names = ", ".join(pb.StreamPriority.Name(known) for known in _PRIORITIES if known)
        raise SignalError(f"priority {config.priority} is unknown; use one of {names}")
    return _PRIORITIES[config.priority]
