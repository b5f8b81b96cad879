"""A repository of the tests' own models, on real sessions: each version is as loud as it is told to be."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncIterator, Callable, Hashable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import numpy as np

from tests.server.fakes import Doubled
from tests.server.resumables import HOP, OverlapModel
from tests.server.running import PATIENCE_S, audio_of, in_chunks, serving
from tests.session.programs import overlap_spec
from wavetile.clients import ClientStream, StreamClient, StreamResult
from wavetile.engine.server import Loaded, Server
from wavetile.engine.session.scheduled_model import StepExecutor

FRAME = 480
NAME = "overlap"


class Gone:
    """Says whether models that were made here are still in memory."""

    def __init__(self) -> None:
        self._made: dict[str, list[weakref.ref[Any]]] = {}

    def watch(self, key: str, *objects: Any) -> None:
        self._made.setdefault(key, []).extend(weakref.ref(one) for one in objects)

    def is_gone(self, key: str) -> bool:
        return all(ref() is None for ref in self._made[key])


class Counted(OverlapModel):
    """Says when it goes, and its executors and states with it."""

    def __init__(self, gain: float, gone: Gone, key: str) -> None:
        super().__init__(overlap_spec(frame=FRAME, hop=HOP, gain=gain))
        self._gone, self._key = gone, key
        gone.watch(key, self, self.pool)

    def batch_costs(self, executor: StepExecutor) -> Mapping[int, float]:
        return {1: 1e-6}

    def executor(self) -> Any:
        executor = super().executor()
        self._gone.watch(self._key, executor)
        return executor


class Shelf:
    """What is in the repository, for a test to change; a version is a gain, or what raises or makes a `Loaded`."""

    def __init__(self, **models: dict[int, float | Callable[[], Loaded]]) -> None:
        self.models = models
        self.marks: dict[tuple[str, int], Callable[[], Hashable]] = {}
        """Say, at each look, what is to be seen of files that change."""
        self.looks = 0
        self.loaded: list[tuple[str, int]] = []
        self.gone = Gone()

    def look(self) -> dict[str, dict[int, Hashable]]:
        self.looks += 1
        return {
            name: {number: self.marks.get((name, number), str)() for number in versions}
            for name, versions in self.models.items()
        }

    def load(self, name: str, version: int) -> Loaded:
        self.loaded.append((name, version))
        made = self.models[name][version]
        if callable(made):
            return made()
        return Loaded(Counted(made, self.gone, f"{name} {version}"), {f"{name}.network": Doubled()})


def versions(server: Server) -> list[str]:
    """Those that serve or drain."""
    return [one.version for one in server.models.live]


def serves(server: Server, version: str, name: str = NAME) -> bool:
    release = server.models.serving.get(name)
    return release is not None and release.version == version


@asynccontextmanager
async def shelf_client(shelf: Shelf, **options: Any) -> AsyncIterator[tuple[Server, StreamClient]]:
    async with (
        asyncio.timeout(6 * PATIENCE_S),
        serving({}, repository=shelf, **options) as server,
        StreamClient(server.address) as client,
    ):
        yield server, client


async def exchanged(stream: ClientStream, samples: np.ndarray, results: list[StreamResult]) -> None:
    """Send samples of whole hops, and wait for all that they complete."""
    wanted = sum(result.frame_count for result in results) + len(samples) // HOP
    async for chunk in in_chunks(samples, 3 * HOP):
        await stream.send(chunk)
    while sum(result.frame_count for result in results) < wanted:
        results.append(await anext(stream))


async def rest_of(stream: ClientStream, results: list[StreamResult]) -> np.ndarray:
    """End the stream; all of its audio."""
    await stream.finish()
    results.extend([result async for result in stream])
    return audio_of(results)


async def undisturbed(gain: float, samples: np.ndarray) -> np.ndarray:
    """What a stream gives on a server that has nothing else."""
    model = OverlapModel(overlap_spec(frame=FRAME, hop=HOP, gain=gain))
    async with (
        serving({NAME: model}) as server,
        StreamClient(server.address) as client,
        client.stream(NAME) as stream,
    ):
        return audio_of([result async for result in stream.exchange(in_chunks(samples, 1000))])
