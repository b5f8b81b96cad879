"""What each caller may take: streams, bytes a second, bytes of a message, plans, a priority."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.patience import PATIENCE_S
from tests.virtual_time import VirtualTime
from wavetile.clients import StreamClient
from wavetile.engine.errors import ServerError, WavetileError
from wavetile.engine.server import Security
from wavetile.engine.server import quotas as quotas_module
from wavetile.engine.server.callers import Caller
from wavetile.engine.server.priority import Priority
from wavetile.engine.server.quotas import KEPT_ACCOUNTS, Account, Accounts, ByteBucket, Quota, Quotas
from wavetile.engine.server.status import QuotaError

from .fakes import HOP, GainModel
from .guards import write_tokens
from .running import audio_of, exchange, process, serving, until
from .test_sequences import request
from .triton_client import connected

SAMPLES = np.random.default_rng(0).uniform(-1, 1, 100 * HOP).astype(np.float32)


def written(folder: Path, text: str) -> Path:
    path = folder / "quotas.toml"
    path.write_text(text)
    return path


def test_a_file_has_a_quota_for_each_caller(tmp_path: Path) -> None:
    quotas = Quotas.read(
        written(
            tmp_path,
            """
            [default]
            streams = 2
            [callers.ada]
            streams = 20
            bytes_per_second = 100_000
            message_bytes = 4096
            plans = 1
            priority = "normal"
            [callers."bob@example.org"]
            """,
        )
    )
    assert quotas.of("eve") == Quota(streams=2)
    assert quotas.of("ada") == Quota(20, 100_000, 4096, 1, Priority.NORMAL)
    assert quotas.of("bob@example.org") == Quota()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("streams = 2", r"hold 'streams'; \[default\] and \[callers.NAME\] would work"),
        ("callers = 3", r"hold 'callers'"),
        ("[callers]\nada = 3", r"\[callers.ada\] is 3; a table"),
        ("[default]\nstream = 2", r"\[default\] has 'stream'; of streams, bytes_per_second"),
        ("[default]\nstreams = 0", "streams is 0; a whole number above 0"),
        ("[default]\nstreams = true", "streams is True"),
        ("[default]\nbytes_per_second = 1.5", "bytes_per_second is 1.5"),
        ("[callers.ada]\npriority = 'top'", r"\[callers.ada\]: priority is 'top'; one of low, normal, high"),
        ("[default", "are no TOML"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(WavetileError, match=words):
        Quotas.read(written(tmp_path, text))
    with pytest.raises(WavetileError, match="can not be read"):
        Quotas.read(tmp_path / "none")


def test_a_bucket_gives_its_rate_and_a_burst() -> None:
    bucket = ByteBucket(100.0, 5.0)
    assert bucket.take(60, 5.0) == 0.0
    assert bucket.take(60, 5.0) == pytest.approx(0.2)
    assert bucket.take(60, 5.0) == pytest.approx(0.8)
    assert not bucket.is_full(6.0)
    assert bucket.take(20, 6.0) == 0.0
    assert bucket.is_full(7.0)
    assert bucket.take(100, 1000.0) == 0.0  # no more than a second is saved
    assert bucket.take(3000, 1000.0) == 30.0
    assert bucket.take(1, 1000.0) is None
    assert bucket.take(1, 1001.0) == pytest.approx(29.01)


def test_accounts_that_nobody_uses_are_forgotten() -> None:
    accounts = Accounts(Quotas(Quota(streams=1)))
    busy = accounts.of(Caller("busy", frozenset()))
    with busy.stream():
        for index in range(3 * KEPT_ACCOUNTS):
            accounts.of(Caller(str(index), frozenset()))
        assert accounts.of(Caller("busy", frozenset())) is busy
        assert len(accounts._accounts) <= KEPT_ACCOUNTS


async def test_callers_plan_a_few_streams_at_a_time() -> None:
    account = Account(Quota(), 2)
    go_on = threading.Event()
    begun: list[int] = []

    def plan(number: int) -> int:
        begun.append(number)
        assert go_on.wait(PATIENCE_S)
        return number

    with ThreadPoolExecutor(8) as pool:
        tasks = [asyncio.create_task(account.plan(pool, plan, number)) for number in range(6)]
        await until(lambda: set(begun) == {0, 1})
        gone = [tasks[0], tasks[3]]  # one that has begun goes on; one that waits is gone
        for task in gone:
            task.cancel()
        await asyncio.wait(gone)
        assert account._planning == len(begun) == 2
        go_on.set()
        async with asyncio.timeout(PATIENCE_S):
            results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [result for result in results if isinstance(result, int)] == [1, 2, 4, 5]
    await until(lambda: account.is_idle)


async def test_streams_and_priorities_are_bounded_for_each_caller(tmp_path: Path) -> None:
    tokens = write_tokens(tmp_path / "tokens", ada="stream infer", bob="stream")
    quotas = written(tmp_path, '[callers.ada]\nstreams = 2\npriority = "normal"\n[callers.bob]\nstreams = 1')
    security = Security(tokens=tmp_path / "tokens")
    async with (
        serving({"gain": GainModel()}, security=security, quotas=quotas) as server,
        StreamClient(server.address, token=tokens["ada"]) as ada,
        StreamClient(server.address, token=tokens["bob"]) as bob,
    ):
        async with AsyncExitStack() as stack:
            for _ in range(2):
                await stack.enter_async_context(ada.stream("gain"))
            with pytest.raises(
                ServerError, match="RESOURCE_EXHAUSTED: this caller has 2 streams, as many as its quota"
            ):
                await stack.enter_async_context(ada.stream("gain"))
            await stack.enter_async_context(bob.stream("gain", priority="high"))
            with pytest.raises(ServerError, match="this caller has 1 streams"):
                await stack.enter_async_context(bob.stream("gain"))
        with pytest.raises(ServerError, match="priority HIGH is above this caller's quota; NORMAL would work"):
            async with ada.stream("gain", priority="high"):
                pass
        assert len(audio_of(await process(ada, SAMPLES, HOP))) == len(SAMPLES) + HOP
        assert server.activity.of("gain").refused == {"quota": 3}


async def test_a_caller_with_too_many_bytes_waits(tmp_path: Path) -> None:
    """64,000 bytes at 40,000 a second, after a burst of as many: 0.6 s, and the streams share them."""
    quotas = written(tmp_path, "[default]\nbytes_per_second = 40_000\nmessage_bytes = 10_000")
    async with serving({"gain": GainModel()}, quotas=quotas) as server, StreamClient(server.address) as client:
        began_s = time.monotonic()
        halves = await asyncio.gather(*(process(client, half, 2 * HOP) for half in np.split(SAMPLES, 2)))
        took_s = time.monotonic() - began_s
        assert [len(audio_of(half)) for half in halves] == [51 * HOP] * 2
        assert took_s > 0.55
        with pytest.raises(ServerError, match=r"a message of 12\d+ bytes; this caller's quota is 10000") as refused:
            async with client.stream("gain") as stream:
                await exchange(stream, SAMPLES, 3000)
        assert refused.value.code == "RESOURCE_EXHAUSTED"
        async with connected(server) as triton:
            parts: Any = np.array_split(SAMPLES[: 20 * HOP], 2)
            await triton.infer(**request(1, parts, 0))
            with pytest.raises(Exception, match=r"RESOURCE_EXHAUSTED.*this caller's quota is 10000"):
                await triton.infer(**request(2, [SAMPLES, SAMPLES], 0))


def test_callers_wait_for_as_long_as_their_bytes_take(monkeypatch: pytest.MonkeyPatch) -> None:
    """A burst of 40,000 bytes is free, and the other 24,000 take 0.6 s, whoever sends them."""
    clock = VirtualTime().stand_in(monkeypatch, quotas_module)

    async def pay() -> None:
        account = Account(Quota(bytes_per_second=40_000), 1)

        async def send() -> None:
            for _ in range(25):
                await account.pay(1280)

        await asyncio.gather(send(), send())

    began_s = clock.monotonic()
    clock.run(pay())
    assert clock.monotonic() - began_s == pytest.approx(0.6)


async def test_nobody_waits_without_end_for_its_bytes() -> None:
    account = Account(Quota(bytes_per_second=10), 1)
    with pytest.raises(QuotaError, match="would have to wait for more than 30 s") as refused:
        await account.pay(1000)
    assert refused.value.retry_after_s == 30.0
    async with asyncio.timeout(PATIENCE_S):
        await account.pay(10)  # it was not charged for what was refused
