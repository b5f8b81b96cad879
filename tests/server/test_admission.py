"""Streams that a server can not compute in time: refused, pushed out, shed."""

from __future__ import annotations

import asyncio
import gc
import math
from contextlib import AsyncExitStack
from typing import Any

import numpy as np
import pytest

from tests.virtual_time import HeldTime
from wavetile.clients import ClientStream, StreamClient
from wavetile.engine.errors import ServerError, SignalError
from wavetile.engine.server import admission as admission_module
from wavetile.engine.server import load_watch, measured
from wavetile.engine.server.admission import Admission, Pulse, Seat
from wavetile.engine.server.load_watch import LoadWatch
from wavetile.engine.server.priority import Priority, stream_priority
from wavetile.engine.server.status import AtCapacityError, CallError, ShedError
from wavetile.engine.session.capacity import BatchCosts, Capacity, ModelCost
from wavetile.proto.v1 import wavetile_pb2 as pb

from .fakes import HOP, RATE_HZ, GainModel
from .occupants import TENTHS, House
from .running import audio_of, exchange, serving, until
from .simulated import SimulatedStream, Simulation
from .test_sequences import request
from .triton_client import connected

LOW, NORMAL, HIGH = Priority
SILENCE = np.zeros(HOP, np.float32)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> HeldTime:
    return HeldTime().stand_in(monkeypatch, admission_module)


@pytest.mark.usefixtures("clock")
def test_streams_come_in_while_they_fit() -> None:
    house = House(0.45)
    for priority in (HIGH, NORMAL, NORMAL, HIGH):
        house.enter(priority)
    with pytest.raises(AtCapacityError, match=r"would be at 50% of what .* takes 45%; try again in 1.0 s") as refused:
        house.enter(NORMAL)
    assert refused.value.retry_after_s == pytest.approx(1.0)
    with pytest.raises(AtCapacityError) as refused:
        house.enter(HIGH)  # there are no LOW ones
    assert refused.value.retry_after_s == pytest.approx(1.05)
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


def test_a_crowd_comes_in_bit_by_bit(clock: HeldTime) -> None:
    house = House(0.95)
    for _ in range(8):
        house.enter(NORMAL)
    with pytest.raises(AtCapacityError, match="8 streams have just come in, whose load has yet to show"):
        house.enter(HIGH)
    clock.pass_by(1.1)
    house.enter(NORMAL)


def test_streams_that_have_gone_are_not_kept(clock: HeldTime) -> None:
    house = House(0.95)
    for _ in range(30):
        house.enter(NORMAL)
        house.close()
        house.occupants.clear()
        clock.pass_by(0.5)
    gc.collect()
    # Its type alone: isinstance asks other tests' weak proxies too, and a dead one answers with an error.
    seats = [one for one in gc.get_objects() if type(one) is Seat and one.admission is house.admission]
    assert len(seats) <= 3


@pytest.mark.usefixtures("clock")
def test_who_is_refused_is_told_to_come_back_one_after_the_other() -> None:
    admission = Admission(1)
    hints = [admission.retry_after_s() for _ in range(1000)]
    np.testing.assert_allclose(hints[:500], 1.0 + 0.05 * np.arange(500))
    assert max(hints) <= 30.0


async def refusal(client: StreamClient, **config: Any) -> ServerError:
    with pytest.raises(ServerError) as refused:
        async with client.stream("gain", **config):
            pass
    return refused.value


@pytest.mark.usefixtures("unwatched")
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


async def live(stream: SimulatedStream, until_s: float) -> CallError | None:
    """Send silence in real time; return how the stream ends, if the server ends it."""
    loop = asyncio.get_running_loop()
    serving = asyncio.create_task(stream.run())
    due_s = loop.time()
    while due_s < until_s and not serving.done():
        await asyncio.sleep(due_s - loop.time())
        stream.send(SILENCE)
        due_s += HOP / RATE_HZ
    stream.finish()
    try:
        await serving
    except CallError as error:
        return error
    return None


def test_an_overload_sheds_the_lowest_until_it_heals(monkeypatch: pytest.MonkeyPatch) -> None:
    """Six streams at a load of 6 %, until each takes 2.5 ms of 10: as of 75 % nobody is late any more."""
    model = GainModel(lane_s=0.0001)
    simulation = Simulation(model, monkeypatch)
    cost = ModelCost(BatchCosts({1: 0.0001, 16: 0.0016}), 16, 0.01)
    simulation.admission.limit_load(Capacity({simulation.release.scheduled: cost}, 1), 0.7)
    monkeypatch.setattr(load_watch, "busy_s", lambda: 0.0)
    names = ("high", "normal-old", "normal", "normal-young", "low-old", "low")

    async def play() -> dict[str, CallError | None]:
        streams = [SimulatedStream(simulation, priority=name.split("-")[0]) for name in names]
        watching = asyncio.create_task(LoadWatch(simulation.admission, simulation.scheduler).run())
        until_s = asyncio.get_running_loop().time() + 6.0
        tasks = [asyncio.create_task(live(stream, until_s)) for stream in streams]
        await asyncio.sleep(0.5)
        model.lane_s = 0.0025
        ended = await asyncio.gather(*tasks)
        watching.cancel()
        return dict(zip(names, ended, strict=True))

    ended = simulation.run(play())
    shed = {name: error for name, error in ended.items() if error is not None}
    assert shed.keys() == {"normal-young", "low-old", "low"}
    for error in shed.values():
        assert isinstance(error, ShedError)
        assert error.retry_after_s is not None
        assert "can not compute all streams in time" in str(error)


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


@pytest.mark.usefixtures("unwatched")
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


async def test_a_server_knows_what_its_streams_take_before_it_is_there(unwatched: float) -> None:
    async with (
        serving({"gain": GainModel(costs_s=TENTHS)}, max_load=0.5) as server,
        StreamClient(server.address) as one,
        one.stream("gain") as stream,
    ):
        load = server.admission.capacity.load()
        assert load.compute == pytest.approx(0.1)
        assert load.messages == pytest.approx(unwatched / 0.01)
        assert len(audio_of(await exchange(stream, np.zeros(5 * HOP, np.float32), HOP))) == 6 * HOP


async def test_a_message_takes_what_echoes_take_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of 0.4 s for 200 messages is the server's, and a frame takes it three times as much."""
    busy_s = iter((7.0, 7.4))
    monkeypatch.setattr(measured, "busy_s", lambda: next(busy_s))
    assert await measured.measured_message_s() == pytest.approx(0.003)
