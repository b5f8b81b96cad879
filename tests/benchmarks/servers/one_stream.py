"""One stream from its beginning to its end, as fast as the server takes it: what it gives."""

from __future__ import annotations

import asyncio

import numpy as np

from tests.benchmarks.servers.networks import Network
from tests.benchmarks.servers.sides import Side
from wavetile.clients.load.connection import Connection
from wavetile.clients.load.plan import Plan
from wavetile.clients.load.wire import Answer
from wavetile.proto.inference.v2 import inference_pb2
from wavetile.proto.v1 import wavetile_pb2

SIGNAL = Plan(0, 0, 0, "finish", 0, 1, 0, 0)
AT_ONCE = 8
"""Hops under way."""


class _Collector:
    """Sends a hop for each answer, and keeps the answers."""

    def __init__(self) -> None:
        self.answers: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.status = -1

    def message(self, data: bytes) -> None:
        self.answers.put_nowait(data)

    def ended(self, code: int, details: str) -> None:
        self.status = code
        self.answers.put_nowait(None)


async def collect(side: Side, network: Network, hops: int) -> np.ndarray:
    """What the first `hops` of the side's first signal give, `[numbers]`, from the first frame on."""
    loop = asyncio.get_running_loop()
    connection = Connection(f"{side.target.host}:{side.target.port}")
    await loop.create_connection(lambda: connection, side.target.host, side.target.port)
    collector = _Collector()
    call = connection.call(side.wire.path, collector)
    if opening := side.wire.opening(SIGNAL):
        call.send(opening)
    at_once = 1 if side.name == "triton" else AT_ONCE
    sent = frames = 0
    pieces: list[np.ndarray] = []
    async with asyncio.timeout(60):
        while True:
            while sent < hops and sent - frames < at_once:
                call.send(side.wire.chunk(SIGNAL, sent))
                sent += 1
                if sent == hops:
                    call.send(side.wire.closing(SIGNAL), last=True)
            connection.flush()
            data = await collector.answers.get()
            if data is None:
                break
            answer = side.wire.read(SIGNAL, data, frames, hops)
            frames += answer.frames if isinstance(answer, Answer) else 0
            pieces += _numbers(side, data)
    connection.close()
    numbers = np.concatenate(pieces)
    if network.name != "gtcrn" or not side.name.startswith(("wavetile", "triton")):
        return numbers
    return numbers[network.first_frame_samples - network.hop_samples :]  # before the first frame they send silence


def _numbers(side: Side, data: bytes) -> list[np.ndarray]:
    if side.name == "triton":
        response = inference_pb2.ModelStreamInferResponse.FromString(data)
        if response.error_message:
            raise SystemExit(f"triton: {response.error_message}")
        return [np.frombuffer(response.infer_response.raw_output_contents[0], np.float32)]
    result = wavetile_pb2.StreamResponse.FromString(data).result
    if result.audio:
        return [np.frombuffer(result.audio, np.float32)]
    return [np.array(value.numbers, np.float32) for value in result.values]
