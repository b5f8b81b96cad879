"""What the server has for the Open Inference Protocol: networks by name, and streams by name, each with its tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ...errors import CapacityError
from ..model_table import ModelTable, check_version
from ..release import Release
from ..served import ModelKind, ServedSession, TensorDescription
from ..status import TooManyStreamsError, UnknownModelError, quoted
from .statistics import RequestCounts
from .tensors import TEXT, datatype_of

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
    """A network that is evaluated whole, of one version."""

    def __init__(self, name: str, release: Release) -> None:
        self.name = name
        self.release = release
        self.counts = RequestCounts()
        self.network = release.networks[name]
        self.inputs = tuple(_signature(one) for one in self.network.inputs)
        self.outputs = tuple(_signature(one) for one in self.network.outputs)


class StreamEntry:
    """A model of audio or feature frames, of one version, whose requests belong to sequences."""

    def __init__(self, name: str, release: Release) -> None:
        self.name = name
        self.release = release
        self.counts = RequestCounts()
        self.description = release.description

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
            return self.release.stream.open_session(rate_hz, channels)
        except CapacityError as error:
            raise TooManyStreamsError(
                f"model {self.name!r} has as many streams as it has room for; try again later"
            ) from error


Entry = NetworkEntry | StreamEntry


class Catalogue:
    """The networks of a table's releases, and their streams of audio and feature frames, as entries."""

    def __init__(self, models: ModelTable) -> None:
        self._models = models
        self._made: dict[Release, dict[str, Entry]] = {}
        """As asked for: an entry lives as long as its release."""
        models.on_freed.append(lambda release: self._made.pop(release, None))

    @property
    def entries(self) -> list[Entry]:
        """All that serve what is new, by name."""
        serving = self._models.serving
        return [entry for name in sorted(serving) if (entry := self._entry(name, serving[name])) is not None]

    @property
    def draining(self) -> list[Entry]:
        """All that go on until their last stream ends, the oldest first."""
        serving = set(self._models.serving.values())
        return [entry for release in self._models.live if release not in serving for entry in self.of(release)]

    def of(self, release: Release) -> list[Entry]:
        """Those of one release, by name."""
        return [entry for name in sorted(release.names) if (entry := self._entry(name, release)) is not None]

    def has(self, name: str, version: str) -> bool:
        """Whether `find` would find it."""
        try:
            self.find(name, version)
        except UnknownModelError:
            return False
        return True

    def find(self, name: str, version: str) -> Entry:
        """The entry that serves what is new; `version` may be empty. Raises UnknownModelError."""
        release = self._models.serving.get(name)
        entry = None if release is None else self._entry(name, release)
        if release is None or entry is None:
            names = ", ".join(one.name for one in self.entries)
            raise UnknownModelError(f"no model {quoted(name)} for this protocol; this server has {names or 'none'}")
        check_version(name, version, release)
        return entry

    def _entry(self, name: str, release: Release) -> Entry | None:
        """The entry of one of a release's names; None: a stream of images, which this protocol does not have."""
        made = self._made.setdefault(release, {})
        if name not in made:
            if name in release.networks:
                made[name] = NetworkEntry(name, release)
            elif release.description.kind is not ModelKind.IMAGE:
                made[name] = StreamEntry(name, release)
        return made.get(name)


def _signature(tensor: TensorDescription) -> TensorSignature:
    shape = tuple(int(size) if size.isdecimal() else ANY_SIZE for size in tensor.shape)
    return TensorSignature(tensor.name, datatype_of(tensor.dtype), shape)
