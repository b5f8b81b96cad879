"""What the server has for the Open Inference Protocol: networks by name, and streams by name, each with its tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ...errors import CapacityError
from ..served import ModelDescription, ModelKind, ServedModel, ServedNetwork, ServedSession, TensorDescription
from ..status import TooManyStreamsError, UnknownModelError
from .tensors import TEXT, datatype_of

VERSION = "1"
"""Of every model: a server has one of each."""
ANY_SIZE = -1
AUDIO = "audio"
"""Name of a stream's samples, in and out."""
FEATURES = "features"
EVENTS = "events"
"""Name of what has happened in a stream's signal, out: text, a JSON object an event."""


@dataclass(frozen=True, slots=True)
class TensorSignature:
    """Name, the protocol's name of the type, and sizes, ANY_SIZE where they are free."""

    name: str
    datatype: str
    shape: tuple[int, ...]


class NetworkEntry:
    """A network that is evaluated whole."""

    def __init__(self, name: str, network: ServedNetwork) -> None:
        self.name = name
        self.network = network
        self.inputs = tuple(_signature(one) for one in network.inputs)
        self.outputs = tuple(_signature(one) for one in network.outputs)


class StreamEntry:
    """A model of audio or feature frames, whose requests belong to sequences."""

    def __init__(self, name: str, served: ServedModel) -> None:
        self.name = name
        self.served = served
        self.description: ModelDescription = served.describe()

    @property
    def takes_features(self) -> bool:
        """Whether it takes feature frames, not audio."""
        return self.description.kind is ModelKind.FEATURES

    @property
    def inputs(self) -> tuple[TensorSignature, ...]:
        """One: `audio` `[samples]`, of several channels `[samples, channels]`; or `features` `[frames, features]`."""
        if self.takes_features:
            return (TensorSignature(FEATURES, "FP32", (ANY_SIZE, self.description.feature_count)),)
        return (TensorSignature(AUDIO, "FP32", (ANY_SIZE,)),)

    @cached_property
    def outputs(self) -> tuple[TensorSignature, ...]:
        """`audio` `[samples]` if the model gives any, each value `[frames, ...]`, and `events` `[events]` if it does.

        Raises TooManyStreamsError.
        """
        session = self.open(0, 1)
        try:
            nothing = session.drain()  # the arrays of no frame have the shapes of those of frames
        finally:
            session.close()
        audio = [TensorSignature(AUDIO, "FP32", (ANY_SIZE,))] if self.description.returns_audio else []
        events = [TensorSignature(EVENTS, TEXT, (ANY_SIZE,))] if self.description.gives_events else []
        named: Mapping[str, np.ndarray] = nothing.values
        values = (TensorSignature(name, "FP32", (ANY_SIZE, *one.shape[1:])) for name, one in named.items())
        return (*audio, *values, *events)

    def open(self, sample_rate_hz: int, channels: int) -> ServedSession:
        """A new session; 0 Hz is the model's own rate. Raises SignalError, TooManyStreamsError."""
        rate_hz = 0 if self.takes_features else sample_rate_hz or self.description.sample_rate_hz
        try:
            return self.served.open_session(rate_hz, channels)
        except CapacityError as error:
            raise TooManyStreamsError(
                f"model {self.name!r} has as many streams as it has room for; try again later"
            ) from error


class Catalogue:
    """Entries by name: `networks`, and those of `models` that stream audio or feature frames."""

    def __init__(self, models: Mapping[str, ServedModel], networks: Mapping[str, ServedNetwork]) -> None:
        self._entries: dict[str, NetworkEntry | StreamEntry] = {
            name: StreamEntry(name, served)
            for name, served in models.items()
            if served.describe().kind is not ModelKind.IMAGE
        }
        for name, network in networks.items():
            if name in self._entries:
                raise ValueError(f"a network and a stream are both called {name!r}; two names would work")
            self._entries[name] = NetworkEntry(name, network)

    @property
    def entries(self) -> list[NetworkEntry | StreamEntry]:
        """All, by name."""
        return [self._entries[name] for name in sorted(self._entries)]

    def has(self, name: str, version: str) -> bool:
        """Whether `find` would find it."""
        return name in self._entries and version in ("", VERSION)

    def find(self, name: str, version: str) -> NetworkEntry | StreamEntry:
        """The entry. Raises UnknownModelError."""
        if name not in self._entries:
            raise UnknownModelError(
                f"no model {name!r} for this protocol; this server has {', '.join(sorted(self._entries)) or 'none'}"
            )
        if version not in ("", VERSION):
            raise UnknownModelError(
                f"model {name!r} has no version {version!r}; {VERSION!r}, or none given, would work"
            )
        return self._entries[name]


def _signature(tensor: TensorDescription) -> TensorSignature:
    shape = tuple(int(size) if size.isdecimal() else ANY_SIZE for size in tensor.shape)
    return TensorSignature(tensor.name, datatype_of(tensor.dtype), shape)
