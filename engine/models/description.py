"""What a model takes, gives and costs, in plain values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from ..graph import Network
from ..graph.limits import all_nodes
from ..graph.network import DeclaredType
from ..pixels import PixelNormalisation
from ..plan import Program
from ..session import StreamSpec
from .card import Card, FeatureSignal, ImageSignal


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
    products: Mapping[str, str] = field(default_factory=dict)
    """Network -> what its convolutions round their operands to on this back end; "float32": nothing."""
    weight_bytes: int = 0
    state_bytes: int = 0
    budget_ms: float = 0.0
    licence: str = ""
    """SPDX identifier of the weights' licence; empty when unknown."""
    attribution: str = ""
    pixels: PixelNormalisation | None = None
    """How an image's numbers become the network's, where its card says so."""


def described(
    name: str,
    card: Card | None,
    networks: Mapping[str, Network],
    declared: tuple[Mapping[str, DeclaredType], Mapping[str, DeclaredType]],
    spec: StreamSpec | None,
    program: Program | None,
    weights: Mapping[str, str],
    products: Mapping[str, str],
) -> ModelDescription:
    """Describe a model.

    Args:
        name: of the model.
        card: its card, if it has one.
        networks: its networks by name.
        declared: its inputs and its outputs.
        spec: its stream, if it has one.
        program: what one step, or one run, computes; None where shapes are open.
        weights: how each network keeps them.
        products: what each network's convolutions multiply.
    """
    operators = Counter(node.op_type for network in networks.values() for node in all_nodes(network.model))
    feature_count = card.signal.feature_count if card and isinstance(card.signal, FeatureSignal) else 0
    return ModelDescription(
        name=name,
        kind=card.signal.kind if card else "network",
        inputs=_tensors(declared[0]),
        outputs=_tensors(declared[1]),
        title=card.title if card else "",
        task=card.task if card else "",
        operators=dict(operators.most_common()),
        sample_rate_hz=spec.sample_rate_hz if spec else 0,
        hop_samples=0 if spec is None else 1 if feature_count else spec.hop_samples,
        delay_samples=spec.delay_samples if spec else 0,
        feature_count=feature_count,
        returns_audio=spec is not None and spec.audio is not None,
        value_names=tuple(spec.values) if spec else (),
        instruction_count=program.instruction_count if program else 0,
        multiply_adds=program.multiply_adds if program else 0,
        weights=dict(weights),
        products=dict(products),
        weight_bytes=program.weight_bytes
        if program
        else sum(array.nbytes for network in networks.values() for array in network.initializers.values()),
        state_bytes=spec.program.state_bytes if spec else 0,
        budget_ms=card.budget_ms if card else 0.0,
        licence=card.licence if card else "",
        attribution=card.attribution if card else "",
        pixels=card.signal.pixels if card and isinstance(card.signal, ImageSignal) else None,
    )


def _tensors(declared: Mapping[str, DeclaredType]) -> tuple[TensorDescription, ...]:
    return tuple(
        TensorDescription(name, kind.dtype.name, tuple("?" if dim is None else str(dim) for dim in kind.dims or ()))
        for name, kind in declared.items()
    )
