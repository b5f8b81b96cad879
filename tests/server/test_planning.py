"""Streams of images that are being planned: clients that do not wait for it, and a server that stops."""

from __future__ import annotations

import asyncio
import threading
from contextlib import AsyncExitStack

import pytest

from tests.patience import PATIENCE_S
from tests.server.fakes import InvertImages, InvertModel
from tests.server.running import serving, until
from wavetile.clients import StreamClient
from wavetile.engine.errors import ServerError
from wavetile.engine.server.server import PLANNING_THREADS
from wavetile.engine.session import ImageFormat

CLIENTS = 40
"""More than asyncio's own pool has threads."""


class SlowModel(InvertModel):
    """Takes its time to open a stream of any height but 1."""

    def __init__(self) -> None:
        self.begun = self.ended = 0
        self.go_on = threading.Event()

    def open_images(self, form: ImageFormat, max_bytes: int) -> InvertImages:
        if form.height > 1:
            self.begun += 1
            self.go_on.wait()
            self.ended += 1
        return super().open_images(form, max_bytes)


async def open_and_close(client: StreamClient, height: int) -> None:
    async with client.stream_images("slow", height=height, width=1):
        pass


async def test_nobody_plans_for_clients_that_are_gone_nor_waits_to_stop() -> None:
    model = SlowModel()
    try:
        async with serving({"slow": model}) as server, StreamClient(server.address) as client:
            opening = [asyncio.create_task(open_and_close(client, 2)) for _ in range(CLIENTS)]
            await until(lambda: server.live_streams == CLIENTS and model.begun == PLANNING_THREADS)
            for task in opening[:-1]:
                task.cancel()
            await until(lambda: server.live_streams == 1)
            assert model.begun == PLANNING_THREADS
            async with asyncio.timeout(PATIENCE_S):
                await server.stop(grace_s=0)
            with pytest.raises(ServerError):
                await opening[-1]
    finally:
        model.go_on.set()
    await until(lambda: model.ended == PLANNING_THREADS)
    assert model.begun == PLANNING_THREADS


async def test_a_plan_that_is_there_is_found_while_another_one_is_made() -> None:
    model = SlowModel()
    async with serving({"slow": model}) as server, StreamClient(server.address) as client, AsyncExitStack() as stack:
        stack.callback(model.go_on.set)
        slow = asyncio.create_task(open_and_close(client, 2))
        await until(lambda: model.begun == 1)
        async with asyncio.timeout(PATIENCE_S):
            await open_and_close(client, 1)
        assert not slow.done()
        model.go_on.set()
        await slow
