"""What a model takes, gives and costs, in plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class TensorDescription:
    """An input or output of a network: its ONNX name, NumPy's name of its type, its axes ("1", "512", "time")."""

    name: str
    dtype: str
    shape: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ModelDescription:
    """Sample counts and delays are at the model's own rate; 0 where a model has no such thing.

    `operators` counts the operators of the networks as their files have them, bodies of `If`, `Loop` and `Scan`
    included. Costs are those of one frame (of one whole image for images with fixed sizes) on one channel.
    """

    name: str
    kind: Literal["audio", "features", "image", "network"]
    """What it runs on; "network": it has no card, so it can only be run."""
    inputs: tuple[TensorDescription, ...]
    outputs: tuple[TensorDescription, ...]
    title: str = ""
    task: str = ""
    operators: Mapping[str, int] = field(default_factory=dict)
    sample_rate_hz: int = 0
    hop_samples: int = 0
    delay_samples: int = 0
    feature_count: int = 0
    returns_audio: bool = False
    value_names: tuple[str, ...] = ()
    instruction_count: int = 0
    multiply_adds: int = 0
    weights: Mapping[str, str] = field(default_factory=dict)
    """Network -> "float32", or "float16": products and recurrent layers keep rounded weights."""
    weight_bytes: int = 0
    state_bytes: int = 0
    budget_ms: float = 0.0
    licence: str = ""
    """SPDX identifier of the weights' licence; empty when unknown."""
    attribution: str = ""
