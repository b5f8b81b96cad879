"""The parameters that a request of the Open Inference Protocol may have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ....proto.inference.v2 import inference_pb2 as pb
from ...errors import SignalError
from ..status import quoted

HIGHEST_PRIORITY = 1
DEFAULT_PRIORITY = 2
LOWEST_PRIORITY = 3
MAX_ID_CHARACTERS = 128
MAX_TIMEOUT_US = 3_600_000_000

_KINDS: dict[str, tuple[str, ...]] = {
    "sequence_id": ("int64_param", "uint64_param", "string_param"),
    "sequence_start": ("bool_param",),
    "sequence_end": ("bool_param",),
    "priority": ("uint64_param", "int64_param"),
    "timeout": ("int64_param", "uint64_param"),
    "sample_rate_hz": ("int64_param", "uint64_param"),
    "triton_enable_empty_final_response": ("bool_param",),
}
"""Parameter -> the fields that its value may come in."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """What a request asks for beside its tensors."""

    sequence_id: int | str | None = None
    """None: the request belongs to no sequence."""
    sequence_start: bool = False
    sequence_end: bool = False
    priority: int = DEFAULT_PRIORITY
    """1 (first), 2 or 3: of a sequence HIGH, NORMAL or LOW, as its first request says."""
    timeout_s: float | None = None
    """How long the request may wait before it is begun; None: as long as its call lives."""
    sample_rate_hz: int = 0
    """Of a sequence's audio; 0: the model's own."""
    several_answers: bool = False
    """Results leave as they are computed, each in an answer of its own, and then an empty final one."""


def read_parameters(request: pb.ModelInferRequest) -> Parameters:
    """The request's parameters. Raises SignalError for one that is unknown, of a wrong type or out of range."""
    values = {name: _value(name, parameter) for name, parameter in request.parameters.items()}
    sequence_id = values.get("sequence_id", 0) or None
    if isinstance(sequence_id, str) and len(sequence_id) > MAX_ID_CHARACTERS:
        raise SignalError(f"sequence_id has {len(sequence_id)} characters; at most {MAX_ID_CHARACTERS} would work")
    for name in ("sequence_start", "sequence_end", "sample_rate_hz"):
        if sequence_id is None and values.get(name):
            raise SignalError(f"{name} without a sequence_id; with one, an integer but 0 or a text, it would work")
    priority = values.get("priority", 0) or DEFAULT_PRIORITY
    if not HIGHEST_PRIORITY <= priority <= LOWEST_PRIORITY:
        raise SignalError(f"priority is {priority}; {HIGHEST_PRIORITY} (first) to {LOWEST_PRIORITY} would work")
    timeout_us = values.get("timeout", 0)
    if not 0 <= timeout_us <= MAX_TIMEOUT_US:
        raise SignalError(f"timeout is {timeout_us}; 0 (none) to {MAX_TIMEOUT_US} microseconds would work")
    sample_rate_hz = values.get("sample_rate_hz", 0)
    if sample_rate_hz and not values.get("sequence_start"):
        raise SignalError("sample_rate_hz is a whole sequence's; in the request with sequence_start it would work")
    return Parameters(
        sequence_id=sequence_id,
        sequence_start=values.get("sequence_start", False),
        sequence_end=values.get("sequence_end", False),
        priority=priority,
        timeout_s=timeout_us / 1e6 if timeout_us else None,
        sample_rate_hz=sample_rate_hz,
        several_answers=values.get("triton_enable_empty_final_response", False),
    )


def _value(name: str, parameter: pb.InferParameter) -> Any:
    kinds = _KINDS.get(name)
    if kinds is None:
        raise SignalError(f"parameter {quoted(name)} is unknown; {', '.join(_KINDS)} are known")
    kind = parameter.WhichOneof("parameter_choice")
    if kind not in kinds:
        raise SignalError(f"parameter {quoted(name)} comes as {kind or 'nothing'}; {' or '.join(kinds)} would work")
    return getattr(parameter, kind)
