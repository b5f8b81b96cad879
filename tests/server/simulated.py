"""Streams of one model in virtual time: a signal call each, without gRPC, whose messages take no time."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import numpy as np
import pytest

from tests.server.fakes import RATE_HZ
from tests.virtual_time import VirtualTime
from wavetile.clients import StreamResult
from wavetile.clients.results import StreamInfo, stream_info, stream_result
from wavetile.engine.server import Loaded, ServerOptions, admission, live_stream, load_watch
from wavetile.engine.server.activity import Activity
from wavetile.engine.server.admission import Admission
from wavetile.engine.server.model_table import ModelTable
from wavetile.engine.server.release import FIRST_VERSION, prepare
from wavetile.engine.server.signal_call import SignalCall
from wavetile.engine.session import scheduled, scheduler
from wavetile.engine.session.scheduler import Scheduler
from wavetile.proto.v1 import wavetile_pb2 as pb

T = TypeVar("T")

MODEL = "model"


class Simulation:
    """A server of one model on one compute thread, less its door."""

    def __init__(self, model: Any, patch: pytest.MonkeyPatch) -> None:
        """`model.spend` is what its steps let time pass with."""
        self.time = VirtualTime(threads=1).stand_in(patch, admission, live_stream, load_watch, scheduled, scheduler)
        model.spend = self.time.compute
        self.admission = Admission(max_streams=100)
        self.activity = Activity({MODEL})
        self.scheduler = Scheduler()
        prepared = prepare(MODEL, FIRST_VERSION, Loaded(model), threads=1, measure=False)
        self.release = ModelTable(self.scheduler, self.admission, self.activity).install(prepared)
        self.scheduler._wakes = self.time  # pyright: ignore[reportAttributeAccessIssue] - it has what is used of a queue

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """What a coroutine returns that opens streams here."""
        self.scheduler.start()
        try:
            return self.time.run(work)
        finally:
            self.scheduler.stop()


class SimulatedStream:
    """A stream's call and both its ends."""

    def __init__(self, simulation: Simulation, *, late_policy: str = "process", priority: str = "normal") -> None:
        self._simulation = simulation
        self._sent: asyncio.Queue[Any] = asyncio.Queue()
        self._info: StreamInfo | None = None
        self._config = pb.StreamConfig(
            model=MODEL,
            audio=pb.AudioConfig(sample_rate_hz=RATE_HZ, channels=1, encoding=pb.AUDIO_ENCODING_PCM_F32LE),
            late_policy=f"LATE_POLICY_{late_policy.upper()}",
            priority=f"STREAM_PRIORITY_{priority.upper()}",
        )
        self.results: list[StreamResult] = []
        self.arrived_s: list[float] = []
        """When each of them came."""

    # The client's side.

    def send(self, samples: np.ndarray) -> None:
        """Send a chunk, which waits to be read if need be."""
        self._sent.put_nowait(pb.StreamRequest(audio=samples.astype("<f4").tobytes()))

    def finish(self) -> None:
        """Half-close."""
        self._sent.put_nowait(None)

    # The server's.

    async def run(self) -> None:
        """Serve the call to its end. Raises what ends it early."""
        simulation = self._simulation
        stream = simulation.activity.stream("simulated", MODEL)
        peer: Any = self
        with simulation.admission.admit() as seat:
            await SignalCall(
                peer, stream, self._config, simulation.release, simulation.scheduler, seat, ServerOptions()
            ).run()

    async def read(self) -> Any:
        """See `Peer`."""
        return await self._sent.get()

    async def write(self, response: pb.StreamResponse) -> None:
        """See `Peer`."""
        if response.HasField("started"):
            self._info = stream_info(response.started)
            return
        assert self._info is not None
        self.results.append(stream_result(response.result, self._info, "pcm_f32le"))
        self.arrived_s.append(asyncio.get_running_loop().time())
