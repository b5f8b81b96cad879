"""Servers that stop: who streams is told, goes on for a while, or elsewhere, and loses nothing."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.patience import PATIENCE_S
from tests.server.fakes import HOP, GainModel, InvertModel
from tests.server.resumables import SIGNAL, OverlapModel, assert_same, calling, config_of, line_to, whole
from tests.server.running import audio_of, serving, settled, until
from wavetile.clients import StreamClient, StreamResult, resume
from wavetile.engine.errors import ServerError
from wavetile.engine.server import ResumeOptions, Server, server
from wavetile.engine.server import drain as draining
from wavetile.engine.server.drain import Drain
from wavetile.proto.v1 import wavetile_pb2 as pb

LONG_S = 600.0
"""A grace that no test waits for."""
ONE_HOP = np.ones(HOP, np.float32)


class Stream:
    """What `Drain` is told to say."""

    def __init__(self) -> None:
        self.heard: list[float | str] = []

    def notice(self, grace_s: float) -> None:
        self.heard.append(grace_s)

    def leave(self) -> None:
        self.heard.append("leave")


async def test_each_stream_is_told_once_and_ended_if_it_stays() -> None:
    drain, gone, stays, late = Drain(), Stream(), Stream(), Stream()
    with drain.member(stays):
        with drain.member(gone):
            running = asyncio.create_task(drain.run(0.05))
            await until(lambda: bool(gone.heard))
        with drain.member(late):
            await until(lambda: stays.heard[1:] == ["leave"])
            assert not running.done()
    assert await running == 0.0
    assert gone.heard == [0.05]
    assert stays.heard == [0.05, "leave"]
    assert len(late.heard) == 2
    assert isinstance(late.heard[0], float)
    assert late.heard[0] <= 0.05


async def test_a_drain_is_over_when_nobody_is_left() -> None:
    drain, stream = Drain(), Stream()
    with drain.member(stream):
        running = asyncio.create_task(drain.run(LONG_S))
        await until(lambda: bool(stream.heard))
    async with asyncio.timeout(PATIENCE_S):
        left_s = await running
    assert LONG_S - PATIENCE_S < left_s <= LONG_S
    assert stream.heard == [LONG_S]


async def test_without_a_grace_nobody_is_told() -> None:
    drain, stream = Drain(), Stream()
    with drain.member(stream):
        assert await drain.run(0.0) == 0.0
    assert stream.heard == []


async def test_live_streams_are_told_and_go_on_while_new_ones_are_refused() -> None:
    async with (
        asyncio.timeout(PATIENCE_S),
        serving({"gain": GainModel(), "invert": InvertModel()}) as running,
        StreamClient(running.address) as client,
        client.stream("gain") as stream,
        client.stream_images("invert", height=2, width=2) as images,
    ):
        assert stream.notice is None
        stopping = asyncio.create_task(running.stop(LONG_S))
        await until(lambda: running.admission.draining)
        async with grpc.aio.insecure_channel(running.address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
            stub: Any = health_pb2_grpc.HealthStub(channel)
            health = await stub.Check(health_pb2.HealthCheckRequest())
        assert health.status == health_pb2.HealthCheckResponse.NOT_SERVING
        with pytest.raises(ServerError, match="UNAVAILABLE: the server is stopping and takes no new streams"):
            await client.stream("gain").__aenter__()

        results = []
        for _ in range(3):
            await stream.send(ONE_HOP)
            results.append(await anext(stream))
        assert stream.notice is not None
        assert stream.notice.grace_s == LONG_S
        await stream.finish()
        results += [result async for result in stream]
        np.testing.assert_array_equal(audio_of(results)[HOP:], np.full(3 * HOP, 0.5, np.float32))

        await images.send(np.zeros((2, 2), np.float32))
        assert (await anext(images)).finished_share == 1.0
        assert images.notice == stream.notice
        await images.finish()
        assert [result async for result in images] == []
        await stopping


async def test_a_stream_that_stays_is_ended_behind_the_results_of_all_that_came(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(draining, "LEAVE_S", LONG_S)
    go_on = threading.Event()
    model = GainModel(go_on=go_on)
    async with (
        asyncio.timeout(PATIENCE_S),
        serving({"gain": model}) as running,
        StreamClient(running.address) as client,
        client.stream("gain") as stream,
        client.stream("gain") as silent,
    ):
        try:
            await stream.send(np.ones(5 * HOP, np.float32))
            await until(lambda: len(model.batch_sizes) == 1)  # the first of the frames is being computed
            stopping = asyncio.create_task(running.stop(0.05))
            with pytest.raises(ServerError, match="UNAVAILABLE: the server is stopping; the stream can go on"):
                await anext(silent)
        finally:
            go_on.set()
        computed = 0
        while computed < 5:
            computed += (await anext(stream)).frame_count
        with pytest.raises(ServerError, match="UNAVAILABLE: the server is stopping; the stream can go on"):
            await anext(stream)
        await stopping
    assert computed == 5
    assert stream.notice is not None
    assert stream.notice.grace_s == 0.05
    assert model.open_sessions == 0


async def test_an_image_stream_that_stays_is_ended() -> None:
    async with (
        asyncio.timeout(PATIENCE_S),
        serving({"invert": InvertModel()}) as running,
        StreamClient(running.address) as client,
        client.stream_images("invert", height=2, width=2) as images,
    ):
        await running.stop(0.05)
        with pytest.raises(ServerError, match="UNAVAILABLE: the server is stopping; the image can begin anew"):
            await anext(images)
        assert images.notice is not None


async def blocked(call: grpc.aio.StreamStreamCall[Any, Any], model: GainModel) -> asyncio.Task[None]:
    """Send until the server is waiting for the client to read; the task that sends on."""

    async def send() -> None:
        while True:
            await call.write(pb.StreamRequest(audio=bytes(4 * 16000)))

    sender = asyncio.create_task(send())
    await until(lambda: bool(model.batch_sizes))
    await settled(lambda: len(model.batch_sizes))
    return sender


@pytest.mark.parametrize("reads", [True, False])
async def test_a_notice_waits_behind_a_blocked_write(reads: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client that begins to read has everything in order; the one that never does holds nothing up."""
    monkeypatch.setattr(draining, "LEAVE_S", 0.05)
    model = GainModel()
    config = pb.StreamConfig(
        model="gain", audio=pb.AudioConfig(sample_rate_hz=16000, encoding=pb.AUDIO_ENCODING_PCM_F32LE)
    )
    async with asyncio.timeout(PATIENCE_S), serving({"gain": model}, max_pending_frames=4) as running:
        async with calling(running.address, config) as (call, _):
            sender = await blocked(call._call, model)
            stopping = asyncio.create_task(running.stop(LONG_S if reads else 0.05))
            await until(lambda: running.admission.draining)
            if reads:
                kinds, next_frame = [], 0
                while not kinds or kinds[-1] != "notice":
                    response = await call.read()
                    assert response is not None
                    kinds.append(response.WhichOneof("response"))
                    if kinds[-1] == "result":
                        assert response.result.first_frame_index == next_frame
                        next_frame += response.result.frame_count
                assert kinds.count("notice") == 1
                assert len(kinds) > 1
            else:
                await stopping
            sender.cancel()
        await stopping
    await until(lambda: model.open_sessions == 0)


async def gated(samples: np.ndarray, is_open: Callable[[], bool]) -> AsyncIterator[np.ndarray]:
    """The second half comes when the gate is open."""
    for start in range(0, len(samples), 400):
        if start == len(samples) // 2:
            await until(is_open)
        yield samples[start : start + 400]


def frames(running: Server) -> int:
    """How many a server has computed."""
    return running._scheduler.counts("overlap").frames


@pytest.fixture
def seldom(shared_options: ResumeOptions) -> ResumeOptions:
    """Snapshots at the beginning and at the end alone."""
    return replace(shared_options, interval_s=LONG_S)


async def test_a_resumable_stream_moves_at_the_notice(
    shared_options: ResumeOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resume, "LONGEST_PAUSE_S", 0.05)
    expected = await whole(SIGNAL)
    results: list[StreamResult] = []
    async with (
        asyncio.timeout(PATIENCE_S),
        serving({"overlap": OverlapModel()}, resume=shared_options) as first,
        serving({"overlap": OverlapModel()}, resume=shared_options) as second,
        StreamClient([first.address, second.address]) as client,
        client.stream("overlap", resumable=True) as stream,
    ):
        stopping = None
        async for result in stream.exchange(gated(SIGNAL, lambda: second.live_streams == 1)):
            results.append(result)
            stopping = stopping or asyncio.create_task(first.stop(LONG_S))
        assert stopping is not None
        await stopping  # nobody was left, long before the grace was over
        assert stream.notice is None
        async with client.stream("overlap"):  # new streams go there too
            assert second.live_streams == 1
    assert_same(results, expected)


async def test_streams_that_nobody_else_takes_stay_until_the_end(
    shared_options: ResumeOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One other address does not answer, and at the other one the stream is unknown."""
    monkeypatch.setattr(resume, "LONGEST_PAUSE_S", 0.05)
    expected = await whole(SIGNAL)
    async with (
        asyncio.timeout(PATIENCE_S),
        serving({"overlap": OverlapModel()}, resume=shared_options) as first,
        serving({"overlap": OverlapModel()}) as stranger,
        StreamClient([first.address, "127.0.0.1:1", stranger.address]) as client,
        client.stream("overlap", resumable=True) as stream,
    ):
        stopping = asyncio.create_task(first.stop(LONG_S))
        refused = stranger.activity.of("overlap").refused
        results = [r async for r in stream.exchange(gated(SIGNAL, lambda: refused["unknown_token"] > 1))]
        await stopping
    assert_same(results, expected)


async def test_without_another_address_the_stream_waits_for_the_next_server_there(seldom: ResumeOptions) -> None:
    """It is kept as it was at its end: not a frame is computed twice."""
    expected = await whole(SIGNAL)
    results: list[StreamResult] = []
    async with (
        asyncio.timeout(PATIENCE_S),
        serving({"overlap": OverlapModel()}, resume=seldom) as first,
        serving({"overlap": OverlapModel()}, resume=seldom) as second,
        line_to(first.port) as line,
        StreamClient(line.address) as client,
        client.stream("overlap", resumable=True) as stream,
    ):

        async def give_way() -> None:
            await first.stop(0.05)
            line.port = second.port

        replacing = None
        async for result in stream.exchange(gated(SIGNAL, lambda: line.port == second.port)):
            results.append(result)
            replacing = replacing or asyncio.create_task(give_way())
        assert frames(first) + frames(second) == sum(result.frame_count for result in results)
        assert min(frames(first), frames(second)) > 0
    assert_same(results, expected)


class LostStore:
    """A place for snapshots that keeps what it has, and nothing more."""

    def __init__(self, store: Any, replace: Callable[[], bool]) -> None:
        self.add, self.read, self.take = store.add, store.read, store.take
        self._replace = replace

    def replace(self, name: str, data: bytes, expires_s: float) -> bool:
        return self._replace()


def unreachable() -> bool:
    raise OSError("the place can not be reached")


async def test_where_the_end_can_not_be_kept_the_stream_goes_on_from_before(
    shared_options: ResumeOptions, caplog: pytest.LogCaptureFixture
) -> None:
    expected = await whole(SIGNAL)
    results: list[StreamResult] = []
    async with (
        asyncio.timeout(PATIENCE_S),
        serving({"overlap": OverlapModel()}, resume=shared_options) as first,
        serving({"overlap": OverlapModel()}, resume=shared_options) as second,
        StreamClient([first.address, second.address]) as client,
        client.stream("overlap", resumable=True) as stream,
    ):
        first._vault._store = LostStore(first._vault._store, unreachable)
        stopping = None
        async for result in stream.exchange(gated(SIGNAL, lambda: second.live_streams == 1)):
            results.append(result)
            stopping = stopping or asyncio.create_task(first.stop(0.0))
    assert_same(results, expected)
    assert "a snapshot was not kept: the place can not be reached" in caplog.text


async def test_a_store_that_does_not_answer_holds_no_server_up(
    seldom: ResumeOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "SETTLE_S", 0.05)
    answers = threading.Event()
    model = OverlapModel()
    try:
        async with (
            asyncio.timeout(PATIENCE_S),
            serving({"overlap": model}, resume=seldom) as running,
            calling(running.address, config_of()),
        ):
            running._vault._store = LostStore(running._vault._store, answers.wait)
            await running.stop(0.05)
            assert model.pool.free == 64
            assert not answers.is_set()
    finally:
        answers.set()
