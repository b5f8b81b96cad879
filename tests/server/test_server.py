"""The server's life and its unary face: lists, descriptions, health, reflection, ports, stopping."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Any

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from tests.patience import PATIENCE_S
from wavetile.clients import ModelSummary, StreamClient, Tensor
from wavetile.engine.errors import ServerError, SignalError, WavetileError
from wavetile.engine.server import Server, ServerOptions, serve

from .fakes import HOP, GainModel, InvertModel, RowSumModel
from .running import audio_of, exchange, serving, until


async def test_models_are_listed_by_name() -> None:
    models = {"b": GainModel(), "a": InvertModel(), "c": RowSumModel()}
    async with serving(models) as server, StreamClient(server.address) as client:
        assert await client.list_models() == [
            ModelSummary("a", "image", 0, "1"),
            ModelSummary("b", "audio", 16000, "1"),
            ModelSummary("c", "features", 100, "1"),
        ]


async def test_a_model_is_described() -> None:
    async with serving({"half": GainModel()}) as server, StreamClient(server.address) as client:
        description = await client.describe_model("half")
        with pytest.raises(ServerError, match="NOT_FOUND: no model 'other'; this server has half") as caught:
            await client.describe_model("other")
    assert caught.value.code == "NOT_FOUND"
    assert (description.name, description.kind) == ("half", "audio")
    assert (description.sample_rate_hz, description.hop_samples, description.delay_samples) == (16000, HOP, HOP)
    assert (description.returns_audio, description.value_names) == (True, ("peak",))
    assert description.inputs == (Tensor("x", "float32", ("1", "160")),)
    assert description.outputs == (Tensor("y", "float32", ("1", "160")),)
    assert description.operators == {"Mul": 1}
    assert (description.multiply_adds, description.weight_bytes, description.state_bytes) == (160, 4, 640)
    assert description.license == "Apache-2.0"


async def test_features_stream_too() -> None:
    rows = np.arange(60, dtype=np.float32).reshape(20, 3)
    async with (
        serving({"rows": RowSumModel()}) as server,
        StreamClient(server.address) as client,
        client.stream_features("rows", feature_count=3) as stream,
    ):
        assert stream.info.kind == "features"
        results = await exchange(stream, rows, 7)
        with pytest.raises(SignalError, match=r"takes \[frames, 3\]"):
            await stream.send(rows[:, :2])
    np.testing.assert_array_equal(np.concatenate([result.values["sum"] for result in results]), rows.sum(axis=1))
    assert all(result.samples is None for result in results)


@pytest.mark.parametrize("count", [0, 1, 20])
async def test_a_flush_that_leaves_nothing_sends_nothing(count: int) -> None:
    async with (
        serving({"rows": RowSumModel()}) as server,
        StreamClient(server.address) as client,
        client.stream_features("rows", feature_count=3) as stream,
    ):
        assert stream.info.first_frame_samples == 1
        results = await exchange(stream, np.ones((count, 3), np.float32), 1)
    assert all(result.frame_count > 0 for result in results)
    assert sum(result.frame_count for result in results) == count


async def test_images_stream_too() -> None:
    images = np.random.default_rng(0).integers(0, 255, (3, 4, 6, 2)).astype(np.uint8)
    async with (
        serving({"invert": InvertModel()}) as server,
        StreamClient(server.address) as client,
        client.stream_images("invert", height=4, width=6, channels=2, pixel_type="uint8") as stream,
    ):
        for number, image in enumerate(images):
            await stream.send(image)
            result = await anext(stream)
            assert (result.sequence_number, result.frame_count) == (number, 1)
            (tile,) = result.tiles
            assert (tile.name, tile.y, tile.x) == ("mask", 0, 0)
            np.testing.assert_array_equal(tile.pixels, 1 - image.astype(np.float32))
            np.testing.assert_allclose(result.values["mean"], image.mean(axis=(0, 1))[None], rtol=1e-6)
            assert result.compute_time_ns > 0
        with pytest.raises(SignalError, match="shape"):
            await stream.send(images[0, :, :, :1])
        with pytest.raises(SignalError, match="float64"):
            await stream.send(images[0].astype(np.float64))
        await stream.finish()
        assert [result async for result in stream] == []


async def test_tasks_that_send_at_once_wait_for_each_other() -> None:
    async with (
        serving({"gain": GainModel()}) as server,
        StreamClient(server.address) as client,
        client.stream("gain") as stream,
    ):
        levels = [number / 64 for number in range(32)]
        await asyncio.gather(*(stream.send(np.full(HOP, level, np.float32)) for level in levels))
        await stream.finish()
        heard = audio_of([result async for result in stream])
    np.testing.assert_array_equal(heard[HOP:], np.repeat(np.array(levels, np.float32) / 2, HOP))


async def test_health_follows_the_servers_life() -> None:
    server = Server({"gain": GainModel()}, ServerOptions(port=0))
    await server.start()
    async with grpc.aio.insecure_channel(server.address) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        for service in ("", "wavetile.v1.StreamService"):
            response = await stub.Check(health_pb2.HealthCheckRequest(service=service))
            assert response.status == health_pb2.HealthCheckResponse.SERVING
        watch = stub.Watch(health_pb2.HealthCheckRequest(service="wavetile.v1.StreamService"))
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
        stopping = asyncio.create_task(server.stop(grace_s=1.0))
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
        watch.cancel()
        await stopping


async def test_reflection_names_the_services() -> None:
    async with serving({}) as server, grpc.aio.insecure_channel(server.address) as channel:
        stub: Any = reflection_pb2_grpc.ServerReflectionStub(channel)  # pyright: ignore[reportArgumentType] - typed for the sync API
        call = stub.ServerReflectionInfo()
        await call.write(reflection_pb2.ServerReflectionRequest(list_services=""))
        names = {service.name for service in (await call.read()).list_services_response.service}
        await call.write(reflection_pb2.ServerReflectionRequest(file_containing_symbol="wavetile.v1.StreamConfig"))
        files = (await call.read()).file_descriptor_response.file_descriptor_proto
        await call.done_writing()
    assert {"wavetile.v1.StreamService", "grpc.health.v1.Health"} <= names
    assert any(b"StreamConfig" in file for file in files)


async def test_a_taken_port_is_an_error() -> None:
    async with serving({}) as server:
        second = Server({}, ServerOptions(port=server.port))
        with pytest.raises(WavetileError, match=f"can not listen on 127.0.0.1:{server.port}"):
            await second.start()


async def test_stop_lets_live_streams_end_and_refuses_new_ones() -> None:
    samples = np.ones(10 * HOP, np.float32)
    server = Server({"gain": GainModel()}, ServerOptions(port=0))
    await server.start()
    async with StreamClient(server.address) as client, StreamClient(server.address) as late:
        await late.list_models()  # its connection is there before the stop
        async with client.stream("gain") as stream:
            stopping = asyncio.create_task(server.stop(grace_s=10 * PATIENCE_S))
            await until(lambda: server.admission.draining)
            with pytest.raises(ServerError, match="UNAVAILABLE"):
                await late.stream("gain").__aenter__()
            results = await exchange(stream, samples, HOP)
        async with asyncio.timeout(PATIENCE_S):  # not the whole grace
            await stopping
    np.testing.assert_array_equal(audio_of(results)[HOP:], 0.5 * samples)


async def test_stop_ends_streams_that_do_not_end() -> None:
    model = GainModel()
    server = Server({"gain": model}, ServerOptions(port=0))
    await server.start()
    async with StreamClient(server.address) as client, client.stream("gain") as stream:
        await server.stop(grace_s=0.1)
        with pytest.raises(ServerError):
            await anext(stream)
    await until(lambda: model.open_sessions == 0)
    assert server.live_streams == 0


async def assert_serve_stops_on(number: signal.Signals) -> None:
    addresses: list[str] = []
    serving_task = asyncio.create_task(
        serve({"gain": GainModel()}, ServerOptions(port=0), on_started=lambda server: addresses.append(server.address))
    )
    await until(lambda: bool(addresses))
    async with StreamClient(addresses[0]) as client:
        assert len(await client.list_models()) == 1
    os.kill(os.getpid(), number)
    async with asyncio.timeout(PATIENCE_S):
        await serving_task


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_serve_stops_on_signals(number: signal.Signals) -> None:
    await assert_serve_stops_on(number)


async def test_serve_stops_where_the_loop_takes_no_signal_handlers(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise NotImplementedError  # as the event loops of Windows do

    monkeypatch.setattr(asyncio.get_running_loop(), "add_signal_handler", refuse)
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(number) for number in numbers]
    for number in numbers:
        await assert_serve_stops_on(number)
    assert [signal.getsignal(number) for number in numbers] == before


async def test_a_second_signal_does_not_wait_for_streams() -> None:
    servers: list[Server] = []
    options = ServerOptions(port=0, stop_grace_s=10 * PATIENCE_S)
    serving_task = asyncio.create_task(serve({"gain": GainModel()}, options, on_started=servers.append))
    await until(lambda: bool(servers))
    async with StreamClient(servers[0].address) as client, client.stream("gain"):
        os.kill(os.getpid(), signal.SIGTERM)
        await until(lambda: servers[0].admission.draining)
        assert not serving_task.done()
        os.kill(os.getpid(), signal.SIGTERM)
        async with asyncio.timeout(PATIENCE_S):
            await serving_task
