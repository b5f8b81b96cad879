"""Loaded models in the form that the server takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import ModelError
from ..models.description import TensorDescription as DescribedTensor
from ..models.image_session import ImageSession
from ..models.model import Model
from ..server import ModelDescription, ModelKind, TensorDescription
from ..session import Executor, ImageFormat, Session
from ..session.capacity import measure_batches
from ..session.kept_session import KeptSession
from ..session.scheduled_model import StepExecutor


@dataclass(frozen=True, slots=True)
class Served:
    """A model behind the server's door (`server.ServedModel`)."""

    model: Model
    description: ModelDescription

    def describe(self) -> ModelDescription:
        """What the model takes, gives and costs."""
        return self.description

    def open_session(self, sample_rate_hz: int, channels: int, *, bypass: bool = False) -> Session:
        """A new stream with fresh state. Raises SignalError."""
        return self.model.open_session(sample_rate_hz or None, channels, bypass=bypass)

    def open_kept_session(
        self,
        sample_rate_hz: int,
        channels: int,
        *,
        bypass: bool = False,
        interval_frames: int,
    ) -> KeptSession:
        """The same with snapshots."""
        return self.model.open_kept_session(
            sample_rate_hz or None, channels, bypass=bypass, interval_frames=interval_frames
        )

    def executor(self) -> Executor:
        """A workspace whose kernels are compiled, and that has run every size of batch."""
        executor = self.model.executor()
        executor.warm_up()
        return executor

    def batch_costs(self, executor: StepExecutor) -> dict[int, float]:
        """Seconds of a batch by its lanes, on silence."""
        spec = self.model.stream_spec
        hop = np.zeros((1, spec.feature_count) if spec.feature_count else spec.hop_samples, np.float32)
        return measure_batches(executor, lambda: self.open_session(0, 1), hop)

    def open_images(self, form: ImageFormat, max_bytes: int) -> ImageSession:
        """A new stream of images, planned and proved. Raises SignalError."""
        return self.model.images(form, max_bytes=max_bytes)


@dataclass(frozen=True, slots=True)
class Evaluated:
    """A model's network behind the server's door (`server.ServedNetwork`)."""

    model: Model
    inputs: tuple[TensorDescription, ...]
    outputs: tuple[TensorDescription, ...]

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Evaluate it. Raises SignalError, ModelError."""
        return self.model.run(inputs)


def evaluated(model: Model) -> dict[str, Evaluated]:
    """The model's network by the name under which it is evaluated whole; nothing of a model with several networks.

    That name is the model's, or `MODEL.network` where the model's own name is that of a stream.
    """
    if len(model.weights) != 1:
        return {}
    about = model.describe()
    streams = model.card is not None and ModelKind(about.kind) is not ModelKind.IMAGE
    name = f"{about.name}.network" if streams else about.name
    return {name: Evaluated(model, _tensors(about.inputs), _tensors(about.outputs))}


def _tensors(described: Sequence[DescribedTensor]) -> tuple[TensorDescription, ...]:
    return tuple(TensorDescription(one.name, one.dtype, one.shape) for one in described)


def served(model: Model) -> Served:
    """Prepare a model for serving: its stream is compiled now, not at the first client's cost.

    Raises:
        ModelError: it has no card, so the server would not know what its signal is.
    """
    if model.card is None:
        raise ModelError(f"{model.name!r} is a bare network, which does not stream; give the path of a card (.toml)")
    about = model.describe()
    description = ModelDescription(
        name=about.name,
        kind=ModelKind(about.kind),
        inputs=_tensors(about.inputs),
        outputs=_tensors(about.outputs),
        operators=about.operators,
        sample_rate_hz=about.sample_rate_hz,
        hop_samples=about.hop_samples,
        delay_samples=about.delay_samples,
        feature_count=about.feature_count,
        returns_audio=about.returns_audio,
        value_names=about.value_names,
        gives_events=model.card.decoder is not None,
        multiply_adds=about.multiply_adds,
        weight_bytes=about.weight_bytes,
        state_bytes=about.state_bytes,
        license=about.licence,
        pixels=about.pixels,
    )
    return Served(model, description)
