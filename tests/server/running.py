"""A real server on a free port of this machine, for the length of a test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import numpy as np

from tests.patience import PATIENCE_S
from wavetile.clients import ClientStream, StreamClient, StreamResult
from wavetile.engine.server import Server, ServerOptions


@asynccontextmanager
async def serving(
    models: Mapping[str, Any], *, networks: Mapping[str, Any] | None = None, repository: Any = None, **options: Any
) -> AsyncIterator[Server]:
    """Serve `models`, `networks` and the models of `repository` until the context ends.

    To any load, unless the options say how much.
    """
    server = Server(models, ServerOptions(port=0, **{"max_load": 0.0, **options}), networks, repository)
    await server.start()
    try:
        yield server
    finally:
        await server.stop(grace_s=0)


async def until(condition: Callable[[], bool]) -> None:
    """Return once `condition` holds; fail after PATIENCE_S."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - what is waited for happens inside the server, which has no event for it
            await asyncio.sleep(0.005)


async def settled(count: Callable[[], int]) -> None:
    """Return once a count stands still; fail after PATIENCE_S."""
    async with asyncio.timeout(PATIENCE_S):
        before = -1
        while before != (now := count()):
            before = now
            await asyncio.sleep(0.5)


async def in_chunks(samples: np.ndarray, *sizes: int) -> AsyncIterator[np.ndarray]:
    """`samples` cut into chunks of these sizes, over and over."""
    start = turn = 0
    while start < len(samples):
        size = sizes[turn % len(sizes)]
        yield samples[start : start + size]
        start, turn = start + size, turn + 1


async def exchange(stream: ClientStream, samples: np.ndarray, *sizes: int) -> list[StreamResult]:
    """All results of a whole signal that is sent in chunks of these sizes."""
    async with asyncio.timeout(PATIENCE_S):
        return [result async for result in stream.exchange(in_chunks(samples, *sizes))]


async def process(client: StreamClient, samples: np.ndarray, *sizes: int, **config: Any) -> list[StreamResult]:
    """The same on a stream of its own on model "gain"."""
    async with client.stream("gain", **config) as stream:
        return await exchange(stream, samples, *sizes)


def audio_of(results: list[StreamResult]) -> np.ndarray:
    """The results' samples, one after the other."""
    return np.concatenate([result.samples for result in results if result.samples is not None])
