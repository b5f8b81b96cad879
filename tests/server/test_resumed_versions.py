"""Streams that are resumed after their model has changed: in their own version, or not at all."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import numpy as np
import pytest

from tests.server.resumables import HOP, Line, line_to
from tests.server.running import until
from tests.server.shelf import NAME, Shelf, exchanged, rest_of, shelf_client, undisturbed, versions
from wavetile.clients import ClientStream, StreamClient, StreamResult
from wavetile.engine.errors import ModelError, ServerError
from wavetile.engine.server import Loaded, ResumeOptions, Server

SIGNAL = np.random.default_rng(8).uniform(-1, 1, HOP * 60).astype(np.float32)
FIRST, REST = SIGNAL[: HOP * 30], SIGNAL[HOP * 30 :]
NOWHERE = 1
"""A port on which nobody listens."""


@asynccontextmanager
async def updated(
    shelf: Shelf, results: list[StreamResult]
) -> AsyncIterator[tuple[Server, StreamClient, Line, ClientStream]]:
    """A resumable stream that has had FIRST on version 1, and version 2, which is half as loud, serves."""
    async with (
        shelf_client(shelf, resume=ResumeOptions(interval_s=0.1)) as (server, client),
        line_to(server.port) as line,
        StreamClient(line.address) as elsewhere,
        elsewhere.stream(NAME, resumable=True) as stream,
    ):
        await exchanged(stream, FIRST, results)
        shelf.models[NAME][2] = 0.5
        server.reread()
        await until(lambda: versions(server) == ["2", "1"])
        yield server, client, line, stream


async def test_a_resumed_stream_goes_on_in_the_version_that_still_drains() -> None:
    shelf, results = Shelf(overlap={1: 1.0}), []
    async with updated(shelf, results) as (server, _, line, stream):
        with server.models.kept(NAME, "1").lease():  # type: ignore[union-attr] - another stream has it too
            line.cut()
            await exchanged(stream, REST, results)
        audio = await rest_of(stream, results)
        assert shelf.loaded == [(NAME, 1), (NAME, 2)]
        await until(lambda: versions(server) == ["2"])
    np.testing.assert_array_equal(audio, await undisturbed(1.0, SIGNAL))


async def test_a_resumed_stream_has_its_version_loaded_again() -> None:
    shelf, results = Shelf(overlap={1: 1.0}), []
    async with updated(shelf, results) as (server, client, line, stream):
        line.port = NOWHERE
        line.cut()
        await until(lambda: versions(server) == ["2"])
        line.port = server.port
        await exchanged(stream, REST, results)
        assert shelf.loaded == [(NAME, 1), (NAME, 2), (NAME, 1)]
        assert versions(server) == ["2", "1"]
        async with client.stream(NAME) as new:
            assert new.info.model_version == "2"
        audio = await rest_of(stream, results)
        await until(lambda: versions(server) == ["2"])
    np.testing.assert_array_equal(audio, await undisturbed(1.0, SIGNAL))


def broken() -> Loaded:
    raise ModelError("its weights are gone")


@pytest.mark.parametrize("left", [None, broken], ids=["removed", "broken"])
async def test_a_stream_whose_version_is_nowhere_is_not_resumed(left: Callable[[], Loaded] | None) -> None:
    shelf, results = Shelf(overlap={1: 1.0}), []
    async with updated(shelf, results) as (server, _, line, stream):
        line.port = NOWHERE
        line.cut()
        await until(lambda: versions(server) == ["2"])
        if left is None:
            del shelf.models[NAME][1]
            looks = shelf.looks
            server.reread()
            await until(lambda: shelf.looks > looks)
        else:
            shelf.models[NAME][1] = left
        line.port = server.port
        with pytest.raises(ServerError, match=r"FAILED_PRECONDITION.*was on version 1 of model 'overlap', which is no"):
            await exchanged(stream, REST, results)
        assert versions(server) == ["2"]
        # The client has asked again and again; what can not be loaded is tried once.
        assert shelf.loaded == [(NAME, 1), (NAME, 2), *([(NAME, 1)] if left else [])]
