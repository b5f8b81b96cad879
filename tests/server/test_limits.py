"""Clients that take more than their share, or too long: they lose their calls, and nobody else notices."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import grpc
import numpy as np
import pytest

from tests.patience import PATIENCE_S
from tests.virtual_time import VirtualTime
from wavetile.clients import ClientStream, StreamClient
from wavetile.engine.errors import ServerError
from wavetile.engine.server import ServerOptions
from wavetile.engine.server.admission import Admission
from wavetile.engine.server.peer import Patience, Peer
from wavetile.engine.server.quotas import Account, Quota
from wavetile.engine.server.status import (
    INTERNAL_MESSAGE,
    SlowClientError,
    TooManyStreamsError,
    UnknownModelError,
    status_of,
)
from wavetile.proto.v1 import wavetile_pb2 as pb
from wavetile.proto.v1 import wavetile_pb2_grpc as pb_grpc

from .fakes import HOP, GainModel, InvertModel
from .running import audio_of, exchange, process, serving, until

SAMPLES = np.random.default_rng(0).uniform(-1, 1, 100 * HOP).astype(np.float32)


def own_connection(address: str, number: int = 0) -> grpc.aio.Channel:
    """A channel that shares no connection: gRPC would give equal channels of a process the same one."""
    return grpc.aio.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1), ("number", number)])


async def open_stream(channel: grpc.aio.Channel) -> Any:
    """A call that has been let in."""
    call: Any = pb_grpc.StreamServiceStub(channel).Stream()
    audio = pb.AudioConfig(sample_rate_hz=16000, channels=1, encoding=pb.AUDIO_ENCODING_PCM_F32LE)
    await call.write(pb.StreamRequest(config=pb.StreamConfig(model="gain", audio=audio)))
    async with asyncio.timeout(PATIENCE_S):
        assert (await call.read()).WhichOneof("response") == "started"
    return call


async def test_a_slow_reader_is_cut_off_while_others_go_on() -> None:
    model = GainModel()
    second = pb.StreamRequest(audio=bytes(4 * 16000))
    async with (
        serving({"gain": model}, max_pending_frames=8, slow_client_timeout_s=1.0) as server,
        own_connection(server.address) as channel,
        StreamClient(server.address) as client,
        client.stream("gain") as good,
    ):
        slow = await open_stream(channel)

        async def send() -> None:
            while True:
                await slow.write(second)

        sender = asyncio.create_task(send())
        sent, received = [], []
        async with asyncio.timeout(PATIENCE_S):
            while model.open_sessions == 2 or len(sent) < 100:  # the cut falls into it
                sent.append(SAMPLES[:HOP] * (1 - len(sent) % 7 / 10))
                await good.send(sent[-1])
                received.append(await anext(good))
                await asyncio.sleep(0.01)
        assert server.live_streams == 1
        await good.finish()
        received += [result async for result in good]
        np.testing.assert_array_equal(audio_of(received)[HOP:], 0.5 * np.concatenate(sent))
        await until(lambda: server._admission._lingering == 1)  # it has not taken its end
        sender.cancel()
        slow.cancel()
        await until(lambda: server._admission._lingering == 0)
        again = await open_stream(channel)  # it may come back, on the same connection
        again.cancel()


async def test_a_slow_reader_is_told_once_it_reads() -> None:
    model = InvertModel()
    async with serving({"invert": model}, slow_client_timeout_s=0.3) as server, StreamClient(server.address) as client:
        async with client.stream_images("invert", height=1024, width=1024, pixel_type="uint8") as stream:
            await stream.send(np.zeros((1024, 1024, 1), np.uint8))  # its result, of 4 MiB, is more than is sent ahead
            await until(lambda: server.live_streams == 0)
            with pytest.raises(ServerError, match=r"^DEADLINE_EXCEEDED: the client has read nothing for 0.3 s$"):
                _ = [result async for result in stream]
        async with client.stream_images("invert", height=16, width=16, pixel_type="uint8") as stream:
            await stream.send(np.zeros((16, 16, 1), np.uint8))
            assert (await anext(stream)).frame_count == 1


async def test_a_slow_client_that_goes_on_sending_is_told_too() -> None:
    reason = "^DEADLINE_EXCEEDED: the client has read nothing for 0.3 s$"
    async with (
        serving({"gain": GainModel()}, max_pending_frames=8, slow_client_timeout_s=0.3) as server,
        StreamClient(server.address) as client,
        client.stream("gain") as stream,
    ):
        sender = asyncio.create_task(send_all(stream, np.zeros(16000 * 60, np.float32)))
        await until(lambda: server.live_streams == 1)
        await until(lambda: server.live_streams == 0)
        with pytest.raises(ServerError, match=reason):
            async with asyncio.timeout(PATIENCE_S):
                _ = [result async for result in stream]
        with pytest.raises(ServerError, match=reason):
            await sender


async def send_all(stream: ClientStream, samples: np.ndarray) -> None:
    for start in range(0, len(samples), 16000):
        await stream.send(samples[start : start + 16000])
    await stream.finish()


async def test_a_client_that_sends_nothing_loses_its_place_and_may_come_back() -> None:
    model = GainModel()
    async with serving({"gain": model}, idle_timeout_s=1.0) as server, StreamClient(server.address) as client:
        async with client.stream("gain") as stream:
            with pytest.raises(ServerError, match=r"^DEADLINE_EXCEEDED: the client has sent nothing for 1 s$"):
                await anext(stream)
            assert (server.live_streams, model.open_sessions) == (0, 0)
        assert len(audio_of(await process(client, SAMPLES, HOP))) == len(SAMPLES) + HOP


class Hesitant:
    """A call's context, each read and write of which takes `pause_s`."""

    def __init__(self) -> None:
        self.pause_s = 0.4

    async def read(self) -> str:
        await asyncio.sleep(self.pause_s)
        return "request"

    async def write(self, response: str) -> None:
        await asyncio.sleep(self.pause_s)


@pytest.mark.parametrize(("way", "reason"), [("read", "sent nothing for 1 s"), ("write", "read nothing for 0.5 s")])
def test_clients_that_pause_for_less_are_not_harmed(way: str, reason: str) -> None:
    async def play() -> None:
        context: Any = Hesitant()
        options = ServerOptions(idle_timeout_s=1.0, slow_client_timeout_s=0.5)
        peer = Peer(context, pb.StreamRequest, options, Account(Quota(), 1))
        take: Any = {"read": peer.read, "write": lambda: peer.write("response")}[way]
        for _ in range(10):  # longer than the limit together
            await take()
        context.pause_s = 1.1
        with pytest.raises(SlowClientError, match=reason):
            await take()

    VirtualTime().run(play())


async def test_a_connection_has_so_many_streams_and_another_its_own() -> None:
    async with (
        serving({"gain": GainModel()}, max_streams_per_connection=2) as server,
        own_connection(server.address, 1) as greedy,
        own_connection(server.address, 2) as modest,
    ):
        first, second = await open_stream(greedy), await open_stream(greedy)
        third = asyncio.create_task(open_stream(greedy))
        other = await open_stream(modest)
        await asyncio.sleep(0.2)
        assert not third.done()  # HTTP/2 has the client itself wait
        assert server.live_streams == 3
        first.cancel()
        for call in (await third, second, other):
            call.cancel()


@pytest.mark.parametrize(("size", "code"), [(2000, None), (9000, grpc.StatusCode.RESOURCE_EXHAUSTED)])
async def test_headers_are_bounded(size: int, code: grpc.StatusCode | None) -> None:
    async with (
        serving({"gain": GainModel()}, max_metadata_bytes=8192) as server,
        own_connection(server.address) as channel,
        StreamClient(server.address) as client,
        client.stream("gain") as stream,
    ):
        stub: Any = pb_grpc.StreamServiceStub(channel)
        call = stub.ListModels(pb.ListModelsRequest(), metadata=[("x", "a" * size)])
        assert (await call.code()) is (code or grpc.StatusCode.OK)
        assert len((await stub.ListModels(pb.ListModelsRequest())).models) == 1  # on the same connection
        assert len(await exchange(stream, SAMPLES, HOP)) > 0


async def test_a_messages_own_words_are_not_given_back_at_length() -> None:
    async with serving({"gain": GainModel()}) as server, StreamClient(server.address) as client:
        with pytest.raises(ServerError, match=r"^NOT_FOUND: no model 'aaa") as caught:
            await client.describe_model("a" * 1_000_000)
        assert len(str(caught.value)) < 1100
        assert len(await process(client, SAMPLES, HOP)) > 0


@pytest.mark.parametrize(
    ("method", "package"),
    [
        ("wavetile.v1.StreamService/DescribeModel", "wavetile.v1"),
        ("inference.GRPCInferenceService/ModelInfer", "inference"),
        ("grpc.health.v1.Health/Check", "grpc.health.v1"),
    ],
)
async def test_a_request_that_is_no_message_is_told_so(
    caplog: pytest.LogCaptureFixture, method: str, package: str
) -> None:
    async with serving({"gain": GainModel()}) as server, own_connection(server.address) as channel:
        call: Any = channel.unary_unary(f"/{method}")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(b"\xff\xff\xff")
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert caught.value.details() == f"a request is not a valid message of {package}"
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


def test_errors_say_nothing_of_the_server() -> None:
    secret = "/" + "srv/models/secret.onnx"
    assert status_of(FileNotFoundError(2, "no such file", secret)) == (grpc.StatusCode.INTERNAL, INTERNAL_MESSAGE)
    assert status_of(RuntimeError(secret)) == (grpc.StatusCode.INTERNAL, INTERNAL_MESSAGE)
    code, message = status_of(UnknownModelError("a" * 5000))
    assert (code, len(message)) == (grpc.StatusCode.NOT_FOUND, 1004)


def test_ends_that_nobody_takes_are_counted() -> None:
    admission = Admission(max_streams=2)
    with admission.linger():
        with admission.admit():
            assert admission.live == 1
        with admission.linger(), pytest.raises(TooManyStreamsError, match="not taken the end"), admission.admit():
            pass
        with admission.admit():
            pass


def test_patience_ends_one_wait_and_not_many_short_ones() -> None:
    async def play() -> None:
        patience = Patience(0.1, "too late")
        for _ in range(20):
            with patience:
                await asyncio.sleep(0.09)
        with pytest.raises(SlowClientError, match="too late"), patience:
            await asyncio.sleep(0.11)
        await asyncio.sleep(0)  # the task itself is not left cancelled

    VirtualTime().run(play())


async def test_patience_leaves_a_cancellation_from_elsewhere_alone() -> None:
    patience = Patience(PATIENCE_S, "too late")

    async def wait() -> None:
        with patience:
            await asyncio.Event().wait()

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_patience_keeps_nothing_of_a_call_that_has_ended() -> None:
    patience = Patience(3600.0, "too late")
    with patience:
        await asyncio.sleep(0)
    patience.close()
    kept = weakref.ref(patience)
    del patience
    await asyncio.sleep(0)  # loops let go of timers that were cancelled when they look at them next
    gc.collect()
    assert kept() is None


def test_the_limits_reach_grpc() -> None:
    options = dict(ServerOptions(max_streams_per_connection=7, max_metadata_bytes=5000).channel_options())
    assert options["grpc.max_concurrent_streams"] == 7
    assert options["grpc.max_metadata_size"] == options["grpc.absolute_max_metadata_size"] == 5000
