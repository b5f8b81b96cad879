"""Clients that go away, and clients that do not read: slots come back at once, memory stays bounded, others go on."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from contextlib import suppress
from typing import Any

import grpc
import numpy as np
import pytest

from tests.patience import PATIENCE_S
from wavetile.clients import StreamClient
from wavetile.engine.errors import ServerError
from wavetile.engine.server import Server
from wavetile.proto.v1 import wavetile_pb2 as pb
from wavetile.proto.v1 import wavetile_pb2_grpc as pb_grpc

from .fakes import HOP, GainModel
from .running import audio_of, process, serving, settled, until

CONFIG = pb.StreamRequest(
    config=pb.StreamConfig(
        model="gain", audio=pb.AudioConfig(sample_rate_hz=16000, channels=1, encoding=pb.AUDIO_ENCODING_PCM_F32LE)
    )
)
SECOND = pb.StreamRequest(audio=bytes(4 * 16000))

VANISHER = """
import asyncio, sys
import numpy as np
from wavetile.clients import StreamClient

async def main():
    async with StreamClient(sys.argv[1]) as client, client.stream("gain") as stream:
        await stream.send(np.zeros(1600, np.float32))
        await anext(stream)
        print("streaming", flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


async def is_alive(server: Server) -> bool:
    """A whole new stream works."""
    async with StreamClient(server.address) as client:
        results = await process(client, np.ones(HOP, np.float32), HOP)
    return sum(result.frame_count for result in results) == 2


@pytest.mark.parametrize("way", ["cancel the call", "close the client", "leave the context"])
async def test_a_client_that_leaves_mid_stream_frees_its_slot(way: str) -> None:
    model = GainModel(step_s=0.002)
    async with serving({"gain": model}) as server:
        if way == "cancel the call":
            async with grpc.aio.insecure_channel(server.address) as channel:
                call: Any = pb_grpc.StreamServiceStub(channel).Stream()
                await call.write(CONFIG)
                await call.write(SECOND)
                await call.read()
                await call.read()
                call.cancel()
        else:
            async with StreamClient(server.address) as client, client.stream("gain") as stream:
                await stream.send(np.zeros(16000, np.float32))
                await anext(stream)
                assert (server.live_streams, model.open_sessions) == (1, 1)
                if way == "close the client":
                    await client.close()
                    with pytest.raises(ServerError, match="CANCELLED: this client has ended the stream"):
                        _ = [result async for result in stream]
                    await until(lambda: server.live_streams == 0)
        await until(lambda: server.live_streams == 0 and model.open_sessions == 0)
        assert await is_alive(server)


@pytest.mark.parametrize("busy", [0, 2])
async def test_a_call_whose_own_deadline_passes_frees_its_slot_at_once(busy: int) -> None:
    go_on = threading.Event()
    model = GainModel(go_on=go_on)
    async with serving({"gain": model}) as server, grpc.aio.insecure_channel(server.address) as channel:
        await channel.channel_ready()
        call: Any = pb_grpc.StreamServiceStub(channel).Stream(timeout=2.0)
        await call.write(CONFIG)
        await call.read()
        for _ in range(busy):
            await call.write(SECOND)
        assert await call.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        await until(lambda: server.live_streams == 0)
        go_on.set()  # until here the first of its frames is being computed
        await until(lambda: model.open_sessions == 0)
        assert len(model.batch_sizes) == bool(busy)  # what else it had sent ahead is not
        assert await is_alive(server)


async def test_a_killed_process_frees_its_slot() -> None:
    model = GainModel()
    async with serving({"gain": model}) as server:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", VANISHER, server.address, stdout=asyncio.subprocess.PIPE, env=dict(os.environ)
        )
        assert process.stdout is not None
        async with asyncio.timeout(PATIENCE_S):
            assert await process.stdout.readline() == b"streaming\n"
        assert (server.live_streams, model.open_sessions) == (1, 1)
        process.send_signal(signal.SIGKILL)
        await process.wait()
        await until(lambda: server.live_streams == 0 and model.open_sessions == 0)
        assert await is_alive(server)


async def test_a_session_is_not_closed_during_its_step() -> None:
    go_on = threading.Event()
    model = GainModel(go_on=go_on)  # the fake fails when it is closed in there
    async with serving({"gain": model}) as server:
        async with StreamClient(server.address) as client, client.stream("gain") as stream:
            await stream.send(np.zeros(HOP, np.float32))
            await until(lambda: len(model.batch_sizes) == 1)
        await until(lambda: server.live_streams == 0)
        assert model.open_sessions == 1
        go_on.set()
        await until(lambda: model.open_sessions == 0)


async def test_a_client_that_never_reads_does_not_grow_memory() -> None:
    model = GainModel()
    second = np.zeros(16000, np.float32)
    async with serving({"gain": model}, max_pending_frames=8) as server, StreamClient(server.address) as client:
        async with client.stream("gain") as stream:
            sent_seconds = 0
            with suppress(TimeoutError):  # flow control stops the writer
                while sent_seconds < 1000:
                    async with asyncio.timeout(0.5):
                        await stream.send(second)
                    sent_seconds += 1
            # A second is 64 kB: what has gone out is in the windows of both sides and in the few pending frames.
            assert sent_seconds < 60
            await settled(lambda: len(model.batch_sizes))  # nothing is computed for nobody
            assert await is_alive(server)
        await until(lambda: server.live_streams == 0 and model.open_sessions == 0)


async def test_a_stopped_reader_goes_on_where_it_stopped() -> None:
    samples = np.random.default_rng(0).uniform(-1, 1, 16000 * 30).astype(np.float32)
    async with (
        serving({"gain": GainModel()}, max_pending_frames=4) as server,
        StreamClient(server.address) as client,
        client.stream("gain") as stream,
    ):

        async def send() -> None:
            for start in range(0, len(samples), 16000):
                await stream.send(samples[start : start + 16000])
            await stream.finish()

        sender = asyncio.create_task(send())
        await asyncio.sleep(0.3)
        results = [result async for result in stream]
        await sender
    np.testing.assert_array_equal(audio_of(results)[HOP:], 0.5 * samples)
