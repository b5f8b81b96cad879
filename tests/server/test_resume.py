"""Streams that outlive their connections and servers: the same bits, each result once, and tokens that work once."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.patience import PATIENCE_S
from tests.server.fakes import GainModel
from tests.server.guards import write_tokens
from tests.server.resumables import (
    HOP,
    OFTEN,
    SIGNAL,
    OverlapModel,
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
from tests.session.programs import overlap_spec
from tests.virtual_time import HeldTime
from wavetile.clients import StreamClient, StreamResult
from wavetile.clients.opening import Opened, Opener
from wavetile.engine.errors import ServerError
from wavetile.engine.server import ResumeOptions, Security
from wavetile.engine.server.admission import Admission
from wavetile.engine.server.resume import keeper, store, vault
from wavetile.proto.v1 import wavetile_pb2 as pb


@pytest.mark.parametrize(
    "config", [{}, {"sample_rate_hz": 48000}, {"channels": 2, "encoding": "pcm_s16le"}], ids=["own", "48k", "stereo"]
)
async def test_a_broken_connection_is_but_a_pause(config: dict[str, Any]) -> None:
    samples = np.tile(SIGNAL, config.get("sample_rate_hz", 16000) // 16000)
    if "channels" in config:
        samples = np.stack([samples, -samples], axis=1)
    expected = await whole(samples, **config)
    results: list[StreamResult] = []
    model = OverlapModel()
    async with (
        asyncio.timeout(3 * PATIENCE_S),
        serving({"overlap": model}, resume=OFTEN) as server,
        line_to(server.port) as line,
        StreamClient(line.address) as client,
    ):
        async with client.stream("overlap", resumable=True, **config) as stream:
            cuts = [20, 90, 91, 170]
            async for result in stream.exchange(slowly(samples)):
                results.append(result)
                if cuts and result.first_frame_index >= cuts[0]:
                    del cuts[0]
                    line.cut()
            assert not cuts
        await until(lambda: server.live_streams == 0 and model.pool.free == 64)
    assert_same(results, expected)


def modes(folder: str) -> list[int]:
    return [path.stat().st_mode for path in Path(folder).iterdir()]


def damage(folder: str) -> None:
    """Change the last byte of every snapshot."""
    for path in Path(folder).glob("*.snapshot"):
        data, until_s = bytearray(path.read_bytes()), path.stat().st_mtime
        data[-1] ^= 1
        path.write_bytes(bytes(data))
        os.utime(path, (until_s, until_s))


async def test_another_server_goes_on_from_the_folder(shared_options: ResumeOptions) -> None:
    expected = await whole(SIGNAL)
    results: list[StreamResult] = []
    async with (
        asyncio.timeout(3 * PATIENCE_S),
        serving({"overlap": OverlapModel()}, resume=shared_options) as first,
        serving({"overlap": OverlapModel()}, resume=shared_options) as second,
        StreamClient([first.address, second.address]) as client,
        client.stream("overlap", resumable=True) as stream,
    ):
        async for result in stream.exchange(slowly(SIGNAL)):
            results.append(result)
            if result.first_frame_index <= 150 < result.first_frame_index + result.frame_count:
                await first.stop(grace_s=0)
        assert second.live_streams + first.live_streams <= 1
    assert_same(results, expected)
    assert all(mode & 0o777 == 0o600 for mode in modes(shared_options.store))


async def test_a_stream_that_sends_ahead_and_reads_late_loses_nothing() -> None:
    """The client that only writes, and then only reads, is served as well: its writer reconnects by itself."""
    expected = await whole(SIGNAL)
    async with (
        asyncio.timeout(3 * PATIENCE_S),
        serving({"overlap": OverlapModel()}, resume=OFTEN) as server,
        line_to(server.port) as line,
        StreamClient(line.address) as client,
        client.stream("overlap", resumable=True) as stream,
    ):
        for start in range(0, len(SIGNAL), 4000):
            await stream.send(SIGNAL[start : start + 4000])
            if start in (8000, 36000):
                line.cut()
        await stream.finish()
        results = [result async for result in stream]
    assert_same(results, expected)


async def test_a_token_works_once_and_a_forged_one_never() -> None:
    async with serving({"overlap": OverlapModel()}, resume=OFTEN) as server:
        token = await left_token(server.address, 30)
        for forged in (b"", b"x", bytes(32), token[:-1], token + b"\0", bytes(100_000)):
            assert await code_of(server.address, config_of(forged)) == "NOT_FOUND"
        async with calling(server.address, config_of(token, 30)) as (call, started):
            assert started.resume_token not in (b"", token)
            assert started.next_sequence_number == 0
            assert 0 < started.resume_from <= 30 * HOP
            for _ in range(5):
                await call.write(pb.StreamRequest(audio=bytes(4 * HOP)))
            assert await code_of(server.address, config_of(token, 30)) == "NOT_FOUND"


async def test_a_client_that_never_heard_of_its_new_token_uses_the_old_one_again() -> None:
    async with serving({"overlap": OverlapModel()}, resume=OFTEN) as server:
        token = await left_token(server.address, 5)
        async with calling(server.address, config_of(token, 0)):
            pass  # gone before it has said anything
        await until(lambda: server.live_streams == 0 and expiry(server, token) > 0)
        async with calling(server.address, config_of(token, 0)) as (_, started):
            assert started.resume_token


async def test_what_differs_can_not_be_resumed_and_costs_the_token_nothing(shared_options: ResumeOptions) -> None:
    other = replace(overlap_spec(frame=480, hop=HOP), made_by=lambda: "another version")
    async with (
        serving({"overlap": OverlapModel()}, resume=shared_options) as server,
        serving({"overlap": OverlapModel(other)}, resume=shared_options) as updated,
    ):
        token = await left_token(server.address, 30)
        assert await code_of(updated.address, config_of(token)) == "FAILED_PRECONDITION"
        assert await code_of(server.address, config_of(token, rate_hz=48000)) == "FAILED_PRECONDITION"
        negative = config_of(token)
        negative.resume.next_frame_index = -1
        assert await code_of(server.address, negative) == "INVALID_ARGUMENT"
        async with calling(server.address, config_of(token)):
            pass


async def test_a_token_ends_with_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = HeldTime().stand_in(monkeypatch, keeper, vault, store)
    async with serving({"overlap": OverlapModel()}, resume=replace(OFTEN, resume_for_s=0.3)) as server:
        async with calling(server.address, config_of()) as (_, started):
            token = started.resume_token
            for _ in range(3):  # a silent stream is alive all the same
                clock.pass_by(0.2)
                await until(lambda: expiry(server, token) >= clock.time() + 0.29)
        await until(lambda: server.live_streams == 0)
        async with calling(server.address, config_of(token)) as (_, started):
            token = started.resume_token
        await until(lambda: server.live_streams == 0)
        clock.pass_by(0.4)
        assert await code_of(server.address, config_of(token)) == "NOT_FOUND"


async def test_a_token_is_its_callers_alone(tmp_path: Path) -> None:
    tokens = write_tokens(tmp_path / "tokens", ada="stream", bob="stream")
    metadata = {name: (("authorization", f"Bearer {token}"),) for name, token in tokens.items()}
    security = Security(tokens=tmp_path / "tokens")
    async with serving({"overlap": OverlapModel()}, resume=OFTEN, security=security) as server:
        token = await left_token(server.address, 3, metadata=metadata["ada"])
        assert await code_of(server.address, config_of(token), metadata=metadata["bob"]) == "PERMISSION_DENIED"
        async with calling(server.address, config_of(token), metadata=metadata["ada"]):
            pass


async def test_snapshots_of_another_key_are_unknown(shared_options: ResumeOptions, tmp_path: Path) -> None:
    key = tmp_path / "other"
    key.touch(mode=0o600)
    key.write_text("f" * 64)
    async with (
        serving({"overlap": OverlapModel()}, resume=shared_options) as server,
        serving({"overlap": OverlapModel()}, resume=replace(shared_options, key=key)) as stranger,
    ):
        token = await left_token(server.address, 3)
        assert await code_of(stranger.address, config_of(token)) == "NOT_FOUND"
        await server._vault.settle(PATIENCE_S)
        damage(shared_options.store)
        assert await code_of(server.address, config_of(token)) == "NOT_FOUND"


async def race(address: str, token: bytes) -> None:
    """Twenty calls at once resume one stream: one does."""
    outcomes: list[str] = []
    decided = asyncio.Event()

    async def resume() -> None:
        try:
            async with calling(address, config_of(token)) as (call, _):
                await call.write(pb.StreamRequest(received=pb.Received()))
                outcomes.append("OK")
                await decided.wait()
        except ServerError as error:
            outcomes.append(error.code)

    calls = [asyncio.create_task(resume()) for _ in range(20)]
    await until(lambda: len(outcomes) == 20)
    decided.set()
    await asyncio.gather(*calls)
    assert sorted(outcomes) == ["NOT_FOUND"] * 19 + ["OK"]


async def test_of_many_resumes_at_once_one_wins_in_memory() -> None:
    async with serving({"overlap": OverlapModel()}, resume=OFTEN) as server:
        await race(server.address, await left_token(server.address, 20))


async def test_of_many_resumes_at_once_one_wins_in_a_folder(shared_options: ResumeOptions) -> None:
    async with serving({"overlap": OverlapModel()}, resume=shared_options) as server:
        await race(server.address, await left_token(server.address, 20))


async def test_of_many_resumes_at_once_one_wins_in_redis(redis_url: str, shared_options: ResumeOptions) -> None:
    async with serving({"overlap": OverlapModel()}, resume=replace(shared_options, store=redis_url)) as server:
        await race(server.address, await left_token(server.address, 20))


async def test_a_resumed_stream_ends_where_it_was() -> None:
    """A client that comes back before the server knows that it went: the old call gives its place up."""
    model = OverlapModel()
    async with (
        serving({"overlap": model}, resume=OFTEN) as server,
        calling(server.address, config_of()) as (before, started),
        calling(server.address, config_of(started.resume_token)) as (call, _),
    ):
        await call.write(pb.StreamRequest(received=pb.Received()))
        with pytest.raises(ServerError, match="ABORTED: this stream was resumed by another call"):
            await before.read()
        await until(lambda: model.pool.free == 63)


async def test_a_stream_that_was_shed_comes_back_when_it_is_told_to(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = await whole(SIGNAL)
    opened_s: list[float] = []
    open_call = Opener.open

    async def noted(opener: Opener, *arguments: Any, **options: Any) -> Opened:
        opened_s.append(asyncio.get_running_loop().time())
        if len(opened_s) == 2:
            raise ServerError("RESOURCE_EXHAUSTED", "still too much; try again in 0.3 s", 0.3)
        return await open_call(opener, *arguments, **options)

    monkeypatch.setattr(Opener, "open", noted)
    monkeypatch.setattr(Admission, "retry_after_s", lambda admission: 0.4)
    results: list[StreamResult] = []
    async with (
        asyncio.timeout(3 * PATIENCE_S),
        serving({"overlap": OverlapModel()}, resume=OFTEN, max_load=0.7) as server,
        StreamClient(server.address) as client,
        client.stream("overlap", resumable=True, priority="low") as stream,
    ):
        shed_s = 0.0
        async for result in stream.exchange(slowly(SIGNAL)):
            results.append(result)
            if not shed_s and result.first_frame_index > 50:
                shed_s = asyncio.get_running_loop().time()
                server.admission.seats[0].shed("the server can not compute all streams in time")
    assert len(opened_s) == 3
    assert opened_s[1] - shed_s >= 0.4
    assert opened_s[2] - opened_s[1] >= 0.3
    assert_same(results, expected)


async def test_images_and_models_without_snapshots_are_refused() -> None:
    async with serving({"gain": GainModel()}) as server, StreamClient(server.address) as client:
        with pytest.raises(ServerError, match="INVALID_ARGUMENT"):
            async with client.stream("gain", resumable=True):
                pass
    async with serving({"overlap": OverlapModel()}, resume=ResumeOptions(resume_for_s=0)) as server:
        assert await code_of(server.address, config_of()) == "UNIMPLEMENTED"
