"""The load generator: its parts alone, and its streams against a real server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.patience import PATIENCE_S
from tests.server.fakes import GainModel
from tests.server.guards import make_files
from tests.server.running import serving, until
from wavetile.clients import StreamClient
from wavetile.clients.load import Figures, Histogram, StreamWire, Traffic, arrange, find_limit
from wavetile.clients.load.connection import Connection, prefixed
from wavetile.clients.load.pacer import Pacer
from wavetile.clients.load.plan import NS, Plan
from wavetile.clients.load.wire import Expected
from wavetile.clients.load.worker import Share, play
from wavetile.clients.transport import Transport
from wavetile.engine.commands.load_page import figures_table, write_page
from wavetile.engine.errors import SignalError
from wavetile.engine.server import Server
from wavetile.proto.v1 import wavetile_pb2 as pb

SIGNAL = np.random.default_rng(7).uniform(-0.4, 0.4, 16000).astype(np.float32)
PATH = "/wavetile.v1.StreamService/Stream"


def test_percentiles_are_those_of_the_times_to_a_bucket() -> None:
    times_ns = np.random.default_rng(1).lognormal(13, 1.5, 20_000).astype(np.int64)
    one, other = Histogram(), Histogram()
    one.add(times_ns[:5000])
    other.add(times_ns[5000:])
    one.merge(other)
    for percent in (50.0, 90.0, 99.0, 99.9):
        exact = np.percentile(times_ns, percent, method="inverted_cdf")
        assert exact <= one.percentile_ns(percent) <= exact * 1.02
    assert one.percentile_ns(100) == one.largest_ns == times_ns.max()
    assert one.count == len(times_ns)
    assert one.share_above(float(np.percentile(times_ns, 90))) == pytest.approx(0.1, abs=0.01)
    assert np.isnan(Histogram().percentile_ns(50))


def test_the_limit_is_found() -> None:
    tried: list[int] = []

    def holds(streams: int) -> bool:
        tried.append(streams)
        return streams <= 100

    assert 95 <= find_limit(holds) <= 100
    assert len(tried) < 12
    assert find_limit(lambda streams: False) == 0
    assert find_limit(lambda streams: True, most=100) == 100


def test_a_load_is_drawn_from_its_seed() -> None:
    traffic = Traffic(arrivals_per_s=50, duration_mean_s=2, seconds=60, cancel_share=0.2, vanish_share=0.1, seed=3)
    plans = arrange(traffic, clips=2, chunk_ns=10_000_000)
    assert plans == arrange(traffic, clips=2, chunk_ns=10_000_000)
    assert len(plans) == pytest.approx(3000, rel=0.1)
    assert np.mean([plan.duration_ns for plan in plans]) / NS == pytest.approx(2, rel=0.1)
    shares = {ending: np.mean([plan.ending == ending for plan in plans]) for ending in ("cancel", "vanish")}
    assert shares == {"cancel": pytest.approx(0.2, abs=0.03), "vanish": pytest.approx(0.1, abs=0.03)}
    assert all(plan.opens_ns + plan.duration_ns <= 60 * NS + 1 for plan in plans)


def test_traffic_that_can_not_be_is_refused() -> None:
    with pytest.raises(SignalError, match="one of both would work"):
        arrange(Traffic(streams=3, arrivals_per_s=1), 1, 1)
    with pytest.raises(SignalError, match="at most 1 together"):
        arrange(Traffic(streams=3, cancel_share=0.6, vanish_share=0.6), 1, 1)


async def test_what_is_due_is_called_in_order_and_in_time() -> None:
    called: list[tuple[str, int]] = []
    turns: list[None] = []
    pacer = Pacer(asyncio.get_running_loop(), lambda: turns.append(None))
    now_ns = time.monotonic_ns()
    pacer.at(now_ns + 30_000_000, lambda due_ns: called.append(("later", due_ns)))
    pacer.at(now_ns + 10_000_000, lambda due_ns: called.append(("sooner", due_ns)))
    await until(lambda: len(called) == 2)
    assert called == [("sooner", now_ns + 10_000_000), ("later", now_ns + 30_000_000)]
    assert time.monotonic_ns() >= now_ns + 30_000_000
    assert turns


class Collector:
    def __init__(self) -> None:
        self.answers: list[pb.StreamResponse] = []
        self.status: tuple[int, str] | None = None

    def message(self, data: bytes) -> None:
        self.answers.append(pb.StreamResponse.FromString(data))

    def ended(self, code: int, details: str) -> None:
        self.status = code, details


@asynccontextmanager
async def connected(server: Server) -> AsyncIterator[Connection]:
    connection = Connection(server.address)
    await asyncio.get_running_loop().create_connection(lambda: connection, "127.0.0.1", server.port)
    try:
        yield connection
    finally:
        connection.close()


def request(**fields: Any) -> bytes:
    return prefixed(pb.StreamRequest(**fields).SerializeToString())


CONFIG = request(config=pb.StreamConfig(model="gain", audio=pb.AudioConfig(encoding=pb.AUDIO_ENCODING_PCM_F32LE)))


async def test_a_connection_speaks_to_a_server() -> None:
    # A chunk of four times a frame of HTTP/2, and two of what a server lets a stream send ahead.
    samples = np.tile(SIGNAL, 8)
    async with serving({"gain": GainModel()}, window_bytes=65536) as server, connected(server) as connection:
        collector = Collector()
        call = connection.call(PATH, collector)
        call.send(CONFIG)
        call.send(request(audio=samples.tobytes()))
        call.send(b"", last=True)
        connection.flush()
        await until(lambda: collector.status is not None)
    assert collector.status == (0, "")
    got = np.frombuffer(b"".join(answer.result.audio for answer in collector.answers[1:]), np.float32)
    np.testing.assert_array_equal(got[160:], 0.5 * samples)


async def test_a_refusal_is_told_with_its_code() -> None:
    async with serving({"gain": GainModel()}) as server, connected(server) as connection:
        collector = Collector()
        call = connection.call(PATH, collector)
        call.send(request(audio=b""))
        connection.flush()
        await until(lambda: collector.status is not None)
    assert collector.status is not None
    assert collector.status[0] == 9  # FAILED_PRECONDITION
    assert "config" in collector.status[1]


@pytest.mark.parametrize("end", ["cancel", "reset"])
async def test_a_stream_that_is_cancelled_or_vanishes_is_freed(end: str) -> None:
    model = GainModel()
    async with serving({"gain": model}) as server, connected(server) as connection:
        collector = Collector()
        call = connection.call(PATH, collector)
        call.send(CONFIG)
        connection.flush()
        await until(lambda: bool(collector.answers))
        assert model.open_sessions == 1
        if end == "cancel":
            call.cancel()
            connection.flush()
        else:
            connection.reset()
        await until(lambda: model.open_sessions == 0)
    assert collector.status is None


async def played(
    server: Server,
    traffic: Traffic,
    expected: list[Expected] | None = None,
    transport: Transport | None = None,
    **described: Any,
) -> Figures:
    """The figures of a load on model "gain", played on this test's own loop; `described`: what it is said to be."""
    transport = transport or Transport()
    async with StreamClient(server.address, ca=transport.ca, cert=transport.cert, key=transport.key) as client:
        model = replace(await client.describe_model("gain"), **described)
        wire = StreamWire(model, [SIGNAL], expected=expected or ())
    end_ns = int((traffic.ramp_s + traffic.seconds) * NS)
    share = Share(
        host="127.0.0.1",
        port=server.port,
        transport=transport,
        streams_per_connection=4,
        wire=wire,
        plans=arrange(traffic, 1, 10_000_000),
        depth=traffic.depth,
        deadline_ns=10_000_000,
        measured_from_ns=0,
        interval_ns=NS // 4,
        end_ns=end_ns,
        given_up_ns=end_ns + int(PATIENCE_S * NS),
    )
    return await play(share, time.monotonic_ns())


def gain_of(signal: np.ndarray, seconds: int) -> Expected:
    """What model "gain" makes of a signal that is played over and over."""
    whole = np.tile(signal, seconds)
    audio = np.concatenate([np.zeros(160, np.float32), 0.5 * whole]).astype("<f4")
    peaks = np.abs(whole.reshape(-1, 160)).max(axis=1)
    return Expected(audio.tobytes(), {"peak": peaks.tolist()}, len(peaks))


async def test_a_load_of_streams_is_answered_and_checked() -> None:
    model = GainModel()
    async with serving({"gain": model}) as server:
        figures = await played(server, Traffic(streams=6, seconds=1), [gain_of(SIGNAL, 3)])
    assert figures.endings == {"OK": 6}
    assert (figures.counts["missed"], figures.counts["wrong"], figures.refused) == (0, 0, 0)
    # Six streams of a second, a frame each 10 ms; the first ones wait for the stream to open.
    opening_s = figures.opening.largest_ns / NS
    assert 600 * (1.0 - opening_s) - 12 <= figures.counts["frames"] <= 630
    assert figures.counts["frames"] == sum(model.batch_sizes) - 6  # the last ones are of no chunk
    assert figures.latency.count == figures.counts["frames"]
    assert figures.queue.count == figures.compute.count == figures.counts["frames"]


async def test_a_wrong_sample_is_seen() -> None:
    expected = gain_of(SIGNAL, 3)
    audio = bytearray(expected.audio)
    audio[0] ^= 1
    async with serving({"gain": GainModel()}) as server:
        figures = await played(
            server, Traffic(streams=1, seconds=1), [Expected(bytes(audio), expected.values, expected.frames)]
        )
    assert figures.counts["wrong"] == 1
    assert not figures.held


async def test_churn_frees_every_stream() -> None:
    model = GainModel()
    traffic = Traffic(
        arrivals_per_s=40, duration_mean_s=0.3, seconds=1.5, bursty=True, cancel_share=0.3, vanish_share=0.3
    )
    async with serving({"gain": model}) as server:
        figures = await played(server, traffic, [gain_of(SIGNAL, 4)])
        await until(lambda: model.open_sessions == 0)
    assert set(figures.endings) == {"OK", "cancelled", "vanished"}
    assert figures.counts["streams"] == sum(figures.endings.values()) > 20
    assert (figures.counts["missed"], figures.counts["wrong"]) == (0, 0)


async def test_streams_come_over_tls(tmp_path: Path) -> None:
    files = make_files(tmp_path)
    model = GainModel()
    traffic = Traffic(arrivals_per_s=20, duration_mean_s=0.3, seconds=1.5, vanish_share=0.3)
    async with serving({"gain": model}, security=files.tls(client_ca=files.client_ca)) as server:
        guards = Transport(files.server_ca, files.client_cert, files.client_key)
        figures = await played(server, traffic, [gain_of(SIGNAL, 4)], guards)
        await until(lambda: model.open_sessions == 0)
    assert set(figures.endings) == {"OK", "vanished"}
    assert (figures.counts["missed"], figures.counts["wrong"]) == (0, 0)
    assert figures.counts["frames"] > 0


async def test_a_stall_of_the_server_counts_for_all_frames_that_were_due() -> None:
    model = GainModel(step_s=0.05)  # five times as long as a frame: its answers fall ever further behind
    async with serving({"gain": model}) as server:
        figures = await played(server, Traffic(streams=1, seconds=1.0))
    assert figures.latency.percentile_ns(99) > 0.3 * NS, "latency counts from when a chunk was due"
    assert figures.counts["over deadline"] > 0.9 * figures.counts["frames"]
    assert not figures.held


async def test_refused_streams_are_counted() -> None:
    async with (
        serving({"gain": GainModel()}, max_streams=1) as server,
        StreamClient(server.address) as client,
        client.stream("gain"),
    ):
        figures = await played(server, Traffic(streams=3, seconds=0.5))
    assert figures.endings == {"RESOURCE_EXHAUSTED": 3}
    assert figures.refused == 3
    assert not figures.held


async def test_chunks_follow_answers_where_no_pace_is_kept() -> None:
    async with serving({"gain": GainModel()}) as server:
        figures = await played(server, Traffic(streams=2, seconds=0.5, depth=2), sample_rate_hz=16)
    assert figures.counts["frames"] > 4, "none would be at the signal's pace, of 10 s a hop"
    assert figures.endings == {"OK": 2}


async def test_no_server_is_no_held_load() -> None:
    async with serving({"gain": GainModel()}) as server:
        async with StreamClient(server.address) as client:
            wire = StreamWire(await client.describe_model("gain"), [SIGNAL])
        port = server.port
    plans = [Plan(0, 0, NS // 4, "finish", 0, 1, 0, 0)]
    share = Share("127.0.0.1", port, Transport(), 4, wire, plans, 0, 10_000_000, 0, NS // 4, NS // 4, NS)
    figures = await play(share, time.monotonic_ns())
    assert figures.endings == {"no connection": 1}
    assert not figures.held


def test_the_page_has_curves_and_the_table_its_numbers(tmp_path: Path) -> None:
    figures = Figures(deadline_ns=10_000_000, measured_from_ns=0, interval_ns=NS)
    rng = np.random.default_rng(2)
    for due_ns, latency_ns in zip(range(0, 5 * NS, NS // 200), rng.lognormal(14, 0.5, 1000), strict=True):
        figures.answered(due_ns, int(latency_ns), 100_000, 50_000)
    figures.living(NS, 3)
    figures.fold()
    figures.counts["measured ms"] = 5000
    write_page(tmp_path / "load.html", "<gain>", figures, 12)
    page = (tmp_path / "load.html").read_text("utf-8")
    assert page.count("<polyline") == 4
    assert "&lt;gain&gt;" in page
    assert "http://" not in page.replace("http://www.w3.org/2000/svg", ""), "it needs nothing else"
    rows = dict(figures_table(figures, 12))
    assert rows["most streams held"] == "12"
    assert rows["frames"] == "1000 measured in 5 s, 200 a second"
