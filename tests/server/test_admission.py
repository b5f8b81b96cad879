"""Streams that a server can not compute in time: refused, pushed out, shed."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from typing import Any

import numpy as np
import pytest

from wavetile.clients import ClientStream, StreamClient
from wavetile.engine.errors import ServerError, SignalError
from wavetile.engine.server import admission as admission_module
from wavetile.engine.server import load_watch
from wavetile.engine.server.admission import Admission, Pulse
from wavetile.engine.server.priority import Priority, stream_priority
from wavetile.engine.server.status import AtCapacityError, ShedError
from wavetile.proto.v1 import wavetile_pb2 as pb

from .fakes import HOP, RATE_HZ, GainExecutor, GainModel, GainSession
from .occupants import TENTHS, House
from .running import PATIENCE_S, audio_of, exchange, serving, until
from .test_sequences import request
from .triton_client import connected

LOW, NORMAL, HIGH = Priority
SILENCE = np.zeros(HOP, np.float32)


def test_streams_come_in_while_they_fit() -> None:
    house = House(0.45)
    for priority in (HIGH, NORMAL, NORMAL, HIGH):
        house.enter(priority)
    with pytest.raises(AtCapacityError, match=r"would be at 50% of what .* takes 45%; try again in 1.0 s") as refused:
        house.enter(NORMAL)
    assert refused.value.retry_after_s == pytest.approx(1.0, abs=0.01)
    with pytest.raises(AtCapacityError) as refused:
        house.enter(HIGH)  # there are no LOW ones
    assert refused.value.retry_after_s == pytest.approx(1.05, abs=0.01)
    assert house.admission.live == 4
    house.close()
    assert (house.admission.live, house.load) == (0, 0.0)


def test_a_stream_alone_is_let_in_whatever_it_takes() -> None:
    house = House(0.2)
    house.enter(LOW, lanes=16)
    with pytest.raises(AtCapacityError):
        house.enter(NORMAL)


def test_a_high_stream_pushes_out_the_youngest_low_ones() -> None:
    house = House(0.55)
    for priority in (LOW, NORMAL, LOW, LOW, NORMAL):
        house.enter(priority)
    with pytest.raises(AtCapacityError):
        house.enter(NORMAL)
    assert house.ended == []
    house.enter(HIGH, lanes=2)
    assert house.ended == [2, 3]
    ended = house.occupants[2].ended
    assert isinstance(ended, ShedError)
    assert ended.retry_after_s is not None
    assert house.load == pytest.approx(0.5)
    with pytest.raises(AtCapacityError):
        house.enter(HIGH, lanes=3)
    assert house.ended == [2, 3]  # where all LOW ones do not make room enough, none has to go
    house.close()
    assert house.load == 0


def test_the_lowest_and_youngest_are_shed_first() -> None:
    house = House(0.9)
    for priority in (LOW, HIGH, NORMAL, LOW, NORMAL, HIGH):
        house.enter(priority)
    order: list[int] = []
    for _ in range(7):
        house.admission.shed()
        order += [index for index in house.ended if index not in order]
    assert order == [3, 0, 4, 2, 5]
    assert house.occupants[1].ended is None  # one stays
    assert house.admission.limit == pytest.approx(0.1)
    with pytest.raises(AtCapacityError):
        house.enter(HIGH)
    house.admission.recover(160.0)  # it has doubled from 5 s on, up to this
    assert house.admission.limit == pytest.approx(0.9 - 0.8 / math.e)
    house.enter(NORMAL)
    house.admission.recover(1000.0)
    assert house.admission.limit == 0.9


def test_a_crowd_comes_in_bit_by_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 100.0
    monkeypatch.setattr(admission_module.time, "monotonic", lambda: now_s)
    house = House(0.95)
    for _ in range(8):
        house.enter(NORMAL)
    with pytest.raises(AtCapacityError, match="8 streams have just come in, whose load has yet to show"):
        house.enter(HIGH)
    now_s += 1.1
    house.enter(NORMAL)


def test_who_is_refused_is_told_to_come_back_one_after_the_other() -> None:
    admission = Admission(1)
    hints = [admission.retry_after_s() for _ in range(1000)]
    assert hints[0] == pytest.approx(1.0, abs=0.01)
    assert np.allclose(np.diff(hints[:500]), 0.05, atol=0.01)
    assert max(hints) <= 30.0


async def refusal(client: StreamClient, **config: Any) -> ServerError:
    with pytest.raises(ServerError) as refused:
        async with client.stream("gain", **config):
            pass
    return refused.value


async def test_a_client_that_is_refused_is_told_when_to_come_back() -> None:
    model = GainModel(costs_s=TENTHS)
    async with serving({"gain": model}, max_load=0.45) as server, StreamClient(server.address) as client:
        async with AsyncExitStack() as stack:
            for priority in ("low", "normal", "normal"):
                await stack.enter_async_context(client.stream("gain", priority=priority))
            stereo = await refusal(client, channels=2)
            assert stereo.code == "RESOURCE_EXHAUSTED"
            assert "would be at 50% of what it can compute in time" in stereo.message
            assert stereo.retry_after_s is not None
            assert 0.9 < stereo.retry_after_s < 2
            last = await stack.enter_async_context(client.stream("gain", priority="low"))
            assert (await refusal(client)).code == "RESOURCE_EXHAUSTED"
            assert model.open_sessions == 4
            await stack.enter_async_context(client.stream("gain", priority="high"))
            with pytest.raises(ServerError, match="a stream of HIGH priority needs the place") as ended:
                await exchange(last, SILENCE, HOP)
            assert ended.value.code == "RESOURCE_EXHAUSTED"
            assert ended.value.retry_after_s is not None
            assert server.activity.of("gain").refused == {"at_capacity": 2}
            assert server.activity.of("gain").ended == {"shed": 1}
        await until(lambda: server.live_streams == 0 and model.open_sessions == 0)
        async with client.stream("gain", channels=4):
            pass


def test_an_unknown_priority_is_refused() -> None:
    assert stream_priority(pb.StreamConfig()) is Priority.NORMAL
    assert stream_priority(pb.StreamConfig(priority=pb.STREAM_PRIORITY_LOW)) is Priority.LOW
    config = pb.StreamConfig.FromString(b"\x38\x09")  # field 7, 9
    with pytest.raises(SignalError, match="priority 9 is unknown; use one of STREAM_PRIORITY_LOW"):
        stream_priority(config)


class LaneModel(GainModel):
    """A batch takes `lane_s` for each of its lanes."""

    lane_s = 0.0

    def executor(self) -> GainExecutor:
        model = self

        class LaneExecutor(GainExecutor):
            def step(self, sessions: Sequence[GainSession]) -> None:
                time.sleep(model.lane_s * len(sessions))
                super().step(sessions)

        return LaneExecutor(self, self.max_lanes)


async def live(stream: ClientStream, ended: dict[str, ServerError], name: str, until_s: float) -> None:
    """Send silence in real time; keep how the stream ends, if the server ends it."""
    loop = asyncio.get_running_loop()
    began_s = loop.time()

    async def source() -> AsyncIterator[np.ndarray]:
        index = 0
        while loop.time() < until_s:
            await asyncio.sleep(max(0.0, began_s + index * HOP / RATE_HZ - loop.time()))
            yield SILENCE
            index += 1

    try:
        async for _ in stream.exchange(source()):
            pass
    except ServerError as error:
        ended[name] = error


async def test_an_overload_sheds_the_lowest_until_it_heals() -> None:
    """Six streams at a load of 6 %, until each takes 2.5 ms of 10."""
    model = LaneModel(costs_s={1: 0.0001, 16: 0.0016})
    ended: dict[str, ServerError] = {}
    names = ("high", "normal-old", "normal", "normal-young", "low-old", "low")
    async with (
        serving({"gain": model}, max_load=0.7) as server,
        StreamClient(server.address) as client,
        AsyncExitStack() as stack,
    ):
        streams = [
            await stack.enter_async_context(client.stream("gain", priority=name.split("-")[0])) for name in names
        ]
        until_s = asyncio.get_running_loop().time() + 6.0
        tasks = [
            asyncio.create_task(live(stream, ended, name, until_s)) for name, stream in zip(names, streams, strict=True)
        ]
        await asyncio.sleep(0.5)
        model.lane_s = 0.0025
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.gather(*tasks)
    assert "high" not in ended
    assert list(ended)[:2] == ["low", "low-old"]
    for error in ended.values():
        assert error.code == "RESOURCE_EXHAUSTED"
        assert error.retry_after_s is not None
        assert "can not compute all streams in time" in error.message


async def test_a_client_in_a_hurry_tells_nothing_of_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its frames are late, all of them: they are due a thousandth of a hop after they came."""
    monkeypatch.setattr(load_watch, "LATE_TICKS", 10**9)
    async with (
        serving({"gain": GainModel(step_s=0.001)}, max_load=0.7) as server,
        StreamClient(server.address) as client,
        client.stream("gain", frame_budget_s=1e-5) as hasty,
    ):
        await exchange_part(hasty, 20)
        (seat,) = server.admission.seats
        (stream,) = server.activity.open.values()
        assert stream.missed > 0
        assert seat.pulse() == Pulse()


async def exchange_part(stream: ClientStream, hops: int) -> None:
    """Some hops, and their results."""
    for _ in range(hops):
        await stream.send(SILENCE)
    frames = 0
    while frames < hops:
        frames += (await anext(stream)).frame_count


async def test_sequences_have_priorities_and_are_shed() -> None:
    model = GainModel(costs_s=TENTHS)
    samples = np.random.default_rng(3).uniform(-1, 1, 8 * HOP).astype(np.float32)
    parts = np.array_split(samples, 2)
    async with serving({"gain": model}, max_load=0.25) as server, connected(server) as client:
        await client.infer(**request(1, parts, 0, priority=3))
        await client.infer(**request(2, parts, 0))
        with pytest.raises(Exception, match=r"RESOURCE_EXHAUSTED.*at 30% of what it can compute in time"):
            await client.infer(**request(3, parts, 0))
        await client.infer(**request(4, parts, 0, priority=1))
        assert server.live_streams == model.open_sessions == 2
        with pytest.raises(Exception, match=r"RESOURCE_EXHAUSTED.*a stream of HIGH priority needs the place"):
            await client.infer(**request(1, parts, 1))
        with pytest.raises(Exception, match="is not open here"):
            await client.infer(**request(1, parts, 1))
        for number in (2, 4):
            await client.infer(**request(number, parts, 1))
        assert server.live_streams == model.open_sessions == 0
        assert server.activity.of("gain").ended == {"shed": 1, "ok": 2}


async def test_a_server_measures_before_it_is_there() -> None:
    async with (
        serving({"gain": GainModel(costs_s=TENTHS)}, max_load=0.5) as server,
        StreamClient(server.address) as one,
    ):
        message_s = server.admission.capacity.message_s
        assert 1e-5 < message_s < 1e-2
        async with one.stream("gain") as stream:
            load = server.admission.capacity.load()
            assert load.compute == pytest.approx(0.1)
            assert load.messages == pytest.approx(server.admission.capacity.message_s / 0.01)
            assert len(audio_of(await exchange(stream, np.zeros(5 * HOP, np.float32), HOP))) == 6 * HOP
