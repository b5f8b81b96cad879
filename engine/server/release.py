"""A version of a model as a server has it: what is served of it, on which executors, and for how many."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from ..session.capacity import BatchCosts, ModelCost
from ..session.scheduled_model import ScheduledModel, StepExecutor
from .deadlines import hop_ns
from .served import Loaded, ModelDescription, ModelKind, ServedModel, ServedNetwork

FIRST_VERSION = "1"
"""Of models that have no others."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A version of a model that can take streams at once; made by `prepare`."""

    name: str
    version: str
    loaded: Loaded
    executors: Sequence[StepExecutor] = ()
    """None of a model whose streams are images, or that has none."""
    cost: ModelCost | None = None
    """None where it was not asked for."""

    @property
    def names(self) -> set[str]:
        """All that it serves: streams under its own name, and its networks."""
        return {*self.loaded.networks, *((self.name,) if self.loaded.stream is not None else ())}


def prepare(name: str, version: str, loaded: Loaded, *, threads: int, measure: bool) -> Prepared:
    """Make a version's executors, one a thread, and measure what their batches cost here now.

    May take as long as a model needs to be compiled and run in every size of batch; for any thread.
    """
    stream = loaded.stream
    if stream is None or stream.describe().kind is ModelKind.IMAGE:
        return Prepared(name, version, loaded)
    executors = [stream.executor() for _ in range(threads)]
    cost = None
    if measure:
        max_lanes = min(one.max_lanes for one in executors)
        cost = ModelCost(BatchCosts(stream.batch_costs(executors[0])), max_lanes, hop_ns(stream.describe()) / 1e9)
    return Prepared(name, version, loaded, executors, cost)


class Release:
    """One version of a model in a server, from when it begins to serve until nobody uses it any more.

    Made by `ModelTable`; for the event loop's thread.
    """

    def __init__(self, prepared: Prepared, scheduled: ScheduledModel | None, unused: Callable[[Release], None]) -> None:
        """`unused` is called when the last lease ends."""
        self.name = prepared.name
        self.version = prepared.version
        self.mark = prepared.loaded.mark
        self.names = prepared.names
        """All that it serves."""
        self.networks: Mapping[str, ServedNetwork] = prepared.loaded.networks
        """Those that are evaluated whole, by name."""
        self.leases = 0
        """Streams, and evaluations that are under way."""
        self._stream = prepared.loaded.stream
        self._description = None if self._stream is None else self._stream.describe()
        self._scheduled = scheduled
        self._unused = unused

    @property
    def has_stream(self) -> bool:
        """Whether it takes streams under its own name; only then has it a `stream` and a `description`."""
        return self._stream is not None

    @property
    def stream(self) -> ServedModel:
        """What its streams are opened on."""
        assert self._stream is not None
        return self._stream

    @property
    def description(self) -> ModelDescription:
        """Of its stream."""
        assert self._description is not None
        return self._description

    @property
    def scheduled(self) -> ScheduledModel:
        """Where the frames of its streams are computed; not of images."""
        assert self._scheduled is not None
        return self._scheduled

    @property
    def has_frames(self) -> bool:
        """Whether it is `scheduled`."""
        return self._scheduled is not None

    @contextmanager
    def lease(self) -> Iterator[Release]:
        """Keep it here for as long as the context lasts."""
        self.leases += 1
        try:
            yield self
        finally:
            self.leases -= 1
            if not self.leases:
                self._unused(self)
