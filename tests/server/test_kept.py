"""What a server keeps of streams: how they stand when they break off, in the room that they were promised."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from tests.patience import PATIENCE_S
from tests.server.resumables import (
    HOP,
    OFTEN,
    SIGNAL,
    OverlapModel,
    answered,
    assert_same,
    calling,
    code_of,
    config_of,
    expiry,
    left_token,
    line_to,
    slowly,
    whole,
)
from tests.server.running import serving, until
from tests.virtual_time import HeldTime
from wavetile.clients import StreamClient, resume
from wavetile.engine.errors import ServerError
from wavetile.engine.server.resume import keeper, store, vault
from wavetile.engine.session import Executor
from wavetile.engine.session.kept_session import KeptSession
from wavetile.proto.v1 import wavetile_pb2 as pb


@pytest.mark.parametrize("way", ["cancelled", "cut"])
async def test_a_stream_whose_client_goes_is_kept_as_it_is(way: str) -> None:
    """Nothing of it is computed again, unless results were lost on the way."""
    model = OverlapModel()
    async with (
        serving({"overlap": model}, resume=replace(OFTEN, interval_s=600.0)) as server,
        line_to(server.port) as line,
    ):
        async with calling(line.address, config_of()) as (call, started):
            await answered(call, 30)
            if way == "cut":
                line.cut()
                await until(lambda: model.pool.free == 64)
        await until(lambda: model.pool.free == 64)
        async with calling(line.address, config_of(started.resume_token, 30)) as (call, started):
            assert started.resume_from == 30 * HOP
            before = server._scheduler.counts("overlap").frames
            await answered(call, 5)
            assert server._scheduler.counts("overlap").frames == before + 5
        await until(lambda: model.pool.free == 64)
        async with calling(line.address, config_of(started.resume_token, 33)) as (call, started):
            assert started.resume_from == 30 * HOP  # two frames were lost
        assert server.live_streams <= 1


async def test_a_stream_is_kept_right_after_the_step_that_it_is_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its slot is given back then, and who comes back meanwhile waits for it."""
    model = OverlapModel()
    entered, go_on = threading.Event(), threading.Event()
    step = Executor.step

    def held(executor: Executor, sessions: Sequence[Any]) -> None:
        entered.set()
        assert go_on.wait(PATIENCE_S)
        step(executor, sessions)

    async with serving({"overlap": model}, resume=replace(OFTEN, interval_s=600.0)) as server:
        async with calling(server.address, config_of()) as (call, started):
            await answered(call, 10)
            monkeypatch.setattr(Executor, "step", held)
            await call.write(pb.StreamRequest(audio=bytes(4 * HOP)))
            await until(entered.is_set)
        await until(lambda: server.live_streams == 0)
        assert model.pool.free == 63

        async def resumed() -> int:
            async with calling(server.address, config_of(started.resume_token, 11)) as (_, again):
                return again.resume_from

        resuming = asyncio.create_task(resumed())
        await until(lambda: server.live_streams == 1)
        go_on.set()
        assert await resuming == 11 * HOP
        await until(lambda: model.pool.free == 64)


async def test_a_stream_is_restored_beside_the_event_loop_and_cancelled_after_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = OverlapModel()
    entered, go_on = threading.Event(), threading.Event()
    restore = KeptSession.go_on_from

    def held(session: KeptSession, snapshot: bytes) -> None:
        entered.set()
        assert go_on.wait(PATIENCE_S)
        restore(session, snapshot)

    async with serving({"overlap": model}, resume=OFTEN) as server:
        token = await left_token(server.address, 5)
        await until(lambda: model.pool.free == 64)
        monkeypatch.setattr(KeptSession, "go_on_from", held)
        resuming = asyncio.create_task(code_of(server.address, config_of(token, 5)))
        await until(entered.is_set)
        resuming.cancel()
        await asyncio.wait((resuming,))
        assert model.pool.free == 63
        go_on.set()
        await until(lambda: model.pool.free == 64)
        async with calling(server.address, config_of(token, 5)) as (_, started):  # it has cost the token nothing
            assert started.resume_from == 5 * HOP


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ({"next_sequence_number": 2**63 - 1}, "next_sequence_number is 9223372036854775807 at frame 30; 31 at most"),
        ({"next_frame_index": 2**63 - 1}, "next_frame_index is 9223372036854775807; the stream was kept at frame 30"),
        ({"next_sample_index": 2**63 - 1}, "next_sample_index is 9223372036854775807; 0 frames behind sample 4800"),
    ],
)
async def test_streams_do_not_go_on_beyond_what_they_can_have(numbers: dict[str, int], words: str) -> None:
    async with serving({"overlap": OverlapModel()}, resume=OFTEN) as server:
        token = await left_token(server.address, 30)
        config = config_of(token, 30)
        config.resume.next_sample_index = 30 * HOP
        for name, number in numbers.items():
            setattr(config.resume, name, number)
        with pytest.raises(ServerError, match=f"INVALID_ARGUMENT: {words}"):
            async with calling(server.address, config):
                pass


async def test_room_is_promised_to_streams_and_kept_for_those_that_broke_off() -> None:
    """Two streams have room: whoever else comes is refused, and can make none of them be forgotten."""
    model = OverlapModel()
    async with serving({"overlap": model}, resume=replace(OFTEN, max_bytes=400_000)) as server:
        token = await left_token(server.address, 30)
        async with calling(server.address, config_of()) as (call, _):
            for _ in range(5):
                await answered(call, 20)
                assert await code_of(server.address, config_of()) == "RESOURCE_EXHAUSTED"
            await call.half_close()
            while await call.read() is not None:
                pass
        await until(lambda: model.pool.free == 64)
        await server._vault.settle(PATIENCE_S)
        async with calling(server.address, config_of()):  # in place of the one that came to its end
            pass
        async with calling(server.address, config_of(token, 30)):
            pass
    async with serving({"overlap": OverlapModel()}, resume=replace(OFTEN, max_bytes=1000)) as server:
        assert await code_of(server.address, config_of()) == "RESOURCE_EXHAUSTED"


async def test_a_stream_that_can_not_be_kept_any_more_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its client need not wait for the server to need less of what it has sent."""
    clock = HeldTime().stand_in(monkeypatch, keeper, vault, store)
    expected = await whole(SIGNAL)
    monkeypatch.setattr(resume, "MAX_KEPT_BYTES", 100_000)  # of 256,000 that are sent

    def fail(kept: store.MemoryStore, *_: object) -> bool:
        clock.pass_by(61.0)
        raise OSError("the disk is full")

    monkeypatch.setattr(store.MemoryStore, "replace", fail)
    async with (
        asyncio.timeout(3 * PATIENCE_S),
        serving({"overlap": OverlapModel()}, resume=OFTEN) as server,
        line_to(server.port) as line,
        StreamClient(line.address) as client,
    ):
        async with client.stream("overlap", resumable=True) as stream:
            results = [result async for result in stream.exchange(slowly(SIGNAL))]
        assert_same(results, expected)
        async with client.stream("overlap", resumable=True) as stream:
            await stream.send(SIGNAL[:20_000])
            frames = 0
            while frames < 100:
                frames += (await anext(stream)).frame_count
            line.cut()
            with pytest.raises(ServerError, match=r"UNAVAILABLE|CANCELLED"):
                _ = [result async for result in stream]


async def test_a_store_that_fails_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError("down")

    monkeypatch.setattr(store.MemoryStore, "add", fail)
    async with serving({"overlap": OverlapModel()}, resume=OFTEN) as server:
        for _ in range(3):
            assert await code_of(server.address, config_of()) == "RESOURCE_EXHAUSTED"
        assert not server._vault._owners
        assert server._vault._room.taken_bytes == 0


async def abandoned(model: OverlapModel, address: str, config: pb.StreamConfig, entered: threading.Event) -> None:
    """Cancel a call that is being opened while the store is at work."""
    opening = asyncio.create_task(code_of(address, config))
    await until(entered.is_set)
    opening.cancel()
    await asyncio.wait((opening,))
    await until(lambda: any(task.cancelling() for task in asyncio.all_tasks()))  # the server knows it
    assert model.pool.free == 63


@pytest.mark.parametrize("operation", ["add", "take"])
async def test_who_goes_while_a_stream_is_being_kept_costs_nobody_anything(
    operation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = OverlapModel()
    entered, go_on = threading.Event(), threading.Event()
    work = getattr(store.MemoryStore, operation)

    def held(kept: store.MemoryStore, *arguments: Any) -> Any:
        done = work(kept, *arguments)
        entered.set()
        assert go_on.wait(PATIENCE_S)
        return done

    async with serving({"overlap": model}, resume=OFTEN) as server:
        token = await left_token(server.address, 5)
        await until(lambda: model.pool.free == 64)
        await server._vault.settle(PATIENCE_S)
        before = server._vault._room.taken_bytes
        monkeypatch.setattr(store.MemoryStore, operation, held)
        await abandoned(model, server.address, config_of() if operation == "add" else config_of(token, 5), entered)
        go_on.set()
        await until(lambda: model.pool.free == 64)
        await server._vault.settle(PATIENCE_S)
        assert not server._vault._owners
        assert server._vault._room.taken_bytes <= before
        await until(lambda: expiry(server, token) > 0)
        async with calling(server.address, config_of(token, 5)) as (_, started):
            assert started.resume_from == 5 * HOP
