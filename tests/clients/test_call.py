"""Whatever a client is doing when the server ends its stream: it gets the server's status, and every result before."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from typing import Any

import grpc
import numpy as np
import pytest

from tests.patience import PATIENCE_S
from tests.server.running import until
from wavetile.clients import ClientStream, StreamClient, StreamResult
from wavetile.clients import call as calls
from wavetile.clients.call import StreamCall
from wavetile.engine.errors import ServerError, SignalError
from wavetile.proto.v1 import wavetile_pb2 as pb
from wavetile.proto.v1 import wavetile_pb2_grpc as pb_grpc

CHUNK = np.zeros(100, np.float32)
FAILURES = [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK]


class EndingService(pb_grpc.StreamServiceServicer):
    """Starts a stream, gives `results` and ends it with `code` when the test says so, without reading what is sent.

    In threads of its own, so that it can end a stream while the client's event loop is held.
    """

    def __init__(self) -> None:
        self.code = grpc.StatusCode.OK
        self.results = 0
        self.starts = True
        self._may_end = threading.Event()
        self._has_ended = threading.Event()

    def Stream(self, request_iterator: Any, context: Any) -> Iterator[pb.StreamResponse]:  # noqa: N802 - the service definition's name
        context.add_callback(self._has_ended.set)
        if self.starts:
            yield pb.StreamResponse(started=pb.StreamStarted(stream_id="one", channels=1))
        for index in range(self.results):
            yield pb.StreamResponse(result=pb.StreamResult(sequence_number=index))
        assert self._may_end.wait(PATIENCE_S)
        if self.code is not grpc.StatusCode.OK:
            context.abort(self.code, "for this reason")

    def end_unnoticed(self) -> None:
        """End the stream, and let gRPC's core know it, before the client's event loop, which this holds, can."""
        self._may_end.set()
        assert self._has_ended.wait(PATIENCE_S)
        time.sleep(0.03)  # for the way to the client: while the end is on it, the client has nothing to lose


@pytest.fixture
def service() -> EndingService:
    return EndingService()


@pytest.fixture
def address(service: EndingService) -> Iterator[str]:
    server = grpc.server(ThreadPoolExecutor(2))
    port = server.add_insecure_port("127.0.0.1:0")
    pb_grpc.add_StreamServiceServicer_to_server(service, server)
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(grace=None).wait()


async def outcome(results: AsyncIterator[StreamResult], seen: list[int] | None = None) -> tuple[list[int], str]:
    """The numbers of the results, put into `seen` as they come, and how they end."""
    seen = [] if seen is None else seen
    try:
        async with asyncio.timeout(PATIENCE_S):
            async for result in results:
                seen.append(result.sequence_number)
    except ServerError as error:
        return seen, str(error)
    return seen, "OK"


async def refusal(attempt: Callable[[], Awaitable[Any]]) -> str:
    """The error with which an attempt is answered; it is made again while the end is still on its way."""

    async def try_on() -> None:
        while True:
            await attempt()

    with pytest.raises(ServerError) as caught:
        await asyncio.wait_for(try_on(), PATIENCE_S)
    return str(caught.value)


@pytest.mark.parametrize("results", [0, 3])
@pytest.mark.parametrize("code", FAILURES, ids=lambda code: code.name)
async def test_a_chunk_that_meets_the_end(
    service: EndingService, address: str, code: grpc.StatusCode, results: int
) -> None:
    service.code, service.results = code, results
    expected = f"{code.name}: for this reason"
    async with StreamClient(address) as client, client.stream("any") as stream:
        service.end_unnoticed()
        for _ in range(2):
            assert await refusal(lambda: stream.send(CHUNK)) == expected
        assert await outcome(stream) == (list(range(results)), expected)
        assert await outcome(stream) == ([], expected)


@pytest.mark.parametrize("results", [0, 3])
async def test_the_end_without_an_error(service: EndingService, address: str, results: int) -> None:
    service.results = results
    async with StreamClient(address) as client, client.stream("any") as stream:
        service.end_unnoticed()
        assert await refusal(lambda: stream.send(CHUNK)) == "OK: the server has ended this stream"
        assert await outcome(stream) == (list(range(results)), "OK")


@pytest.mark.parametrize("results", [0, 3])
async def test_who_reads_meanwhile_is_told_the_same(service: EndingService, address: str, results: int) -> None:
    service.code, service.results = grpc.StatusCode.RESOURCE_EXHAUSTED, results
    expected = "RESOURCE_EXHAUSTED: for this reason"
    async with StreamClient(address) as client, client.stream("any") as stream:
        seen: list[int] = []
        reader = asyncio.create_task(outcome(stream, seen))
        await until(lambda: len(seen) == results)
        service.end_unnoticed()
        assert await refusal(lambda: stream.send(CHUNK)) == expected
        assert await reader == (list(range(results)), expected)


@pytest.mark.parametrize("kind", ["audio", "features", "images"])
async def test_an_exchange_that_meets_the_end(service: EndingService, address: str, kind: str) -> None:
    service.code, service.results = grpc.StatusCode.INVALID_ARGUMENT, 3
    client = StreamClient(address)
    streams: dict[str, tuple[AbstractAsyncContextManager[ClientStream], np.ndarray]] = {
        "audio": (client.stream("any"), CHUNK),
        "features": (client.stream_features("any", feature_count=2), np.zeros((5, 2), np.float32)),
        "images": (client.stream_images("any", height=8, width=8), np.zeros((8, 8, 1), np.float32)),
    }
    opened, chunk = streams[kind]

    async def source() -> AsyncIterator[np.ndarray]:
        yield chunk
        service.end_unnoticed()
        for _ in range(3):
            yield chunk

    async with client, opened as stream:
        assert await outcome(stream.exchange(source())) == ([0, 1, 2], "INVALID_ARGUMENT: for this reason")


async def test_finish_that_meets_the_end(service: EndingService, address: str) -> None:
    service.code, service.results = grpc.StatusCode.ABORTED, 3
    async with StreamClient(address) as client, client.stream("any") as stream:
        service.end_unnoticed()
        await stream.finish()  # which is what the server did too: results tell how
        assert await outcome(stream) == ([0, 1, 2], "ABORTED: for this reason")


@pytest.mark.parametrize("code", FAILURES, ids=lambda code: code.name)
async def test_the_first_request_that_meets_a_refusal(
    service: EndingService, address: str, code: grpc.StatusCode
) -> None:
    service.code, service.starts = code, False
    async with grpc.aio.insecure_channel(address) as channel:
        stub: Any = pb_grpc.StreamServiceStub(channel)
        opened = stub.Stream()
        call = StreamCall(opened)
        await opened.wait_for_connection()  # what is written from here on does not wait any more
        service.end_unnoticed()
        for attempt in (lambda: call.write(pb.StreamRequest()), call.read):
            assert await refusal(attempt) == f"{code.name}: for this reason"


async def test_what_this_client_ended(service: EndingService, address: str) -> None:
    service.results = 1
    expected = "CANCELLED: this client has ended the stream"
    async with StreamClient(address) as client, client.stream("any") as stream:
        seen: list[int] = []
        reader = asyncio.create_task(outcome(stream, seen))
        await until(lambda: seen == [0])
        await client.close()
        assert await reader == ([0], expected)
        assert await refusal(lambda: stream.send(CHUNK)) == expected
        assert await outcome(stream) == ([], expected)


async def test_nothing_follows_the_end_of_a_signal(address: str) -> None:
    async with StreamClient(address) as client, client.stream("any") as stream:
        await stream.finish()
        with pytest.raises(SignalError, match="takes nothing more after `finish`; another stream would"):
            await stream.send(CHUNK)


class SilentCall:
    """A call of which gRPC never says how it ended."""

    def __aiter__(self) -> SilentCall:
        return self

    async def __anext__(self) -> Any:
        raise StopAsyncIteration

    def add_done_callback(self, callback: Any) -> None:
        callback(self)

    def done(self) -> bool:
        return True

    async def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.INTERNAL

    async def details(self) -> str:
        return "Internal error from Core"

    async def trailing_metadata(self) -> tuple[tuple[str, str], ...]:
        return ()

    async def write(self, request: Any) -> None:
        raise asyncio.InvalidStateError


async def test_a_status_that_never_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "_STATUS_TIMEOUT_S", 0.01)
    lost = "INTERNAL: the stream has ended, and gRPC has not said how"
    assert await refusal(lambda: StreamCall(SilentCall()).write(pb.StreamRequest())) == lost
