"""What it costs to be seen: ns a frame for the counts, and what scrapes and looks do to a server that streams.

`python -m tests.benchmarks.seeing`; a minute or two. The rounds of a server take turns, medians are printed.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import numpy as np

from tests.server.fakes import HOP, GainModel
from wavetile.clients import StreamClient
from wavetile.engine.server import Server, ServerOptions, WebAddress
from wavetile.engine.server.activity import Activity
from wavetile.engine.server.web.dashboard.overview import overview
from wavetile.engine.session.counts import ModelCounts
from wavetile.engine.session.deadlines import Outcome

ROUNDS, STREAMS, FRAMES = 5, 16, 250


class PlainCounts:
    """What was kept before there were histograms: frames, a sum of times, and batches by size."""

    def __init__(self) -> None:
        self.frames = self.queue_ns = 0
        self.by_size: dict[int, list[int]] = {}

    def add_batch(self, queue_ns: list[int], compute_ns: int) -> None:
        """Count one batch."""
        self.frames += len(queue_ns)
        self.queue_ns += sum(queue_ns)
        batch = self.by_size.setdefault(len(queue_ns), [0, 0])
        batch[0] += 1
        batch[1] += compute_ns


def frame_ns(size: int, *, histograms: bool) -> float:
    """CPU time a frame of the scheduler's counting, in batches of `size`; the least of several rounds."""
    queue = [150_000 + 1000 * one for one in range(size)]
    outcomes = [Outcome.MET] * size
    best = float("inf")
    for _ in range(7):
        counts: Any = ModelCounts() if histograms else PlainCounts()
        turns = 40_000 // size
        started = time.process_time_ns()
        for _ in range(turns):
            counts.add_batch(queue, 90_000)
            if histograms:
                counts.add_outcomes(outcomes)
                counts.end_to_end.add([200_000 - arrival for arrival in queue])
        best = min(best, (time.process_time_ns() - started) / (turns * size))
    return best


def result_ns() -> float:
    """CPU time a result of what a stream's record is told, nobody looking."""
    stream = Activity(["gain"]).stream("wavetile.v1", "gain")
    best = float("inf")
    for _ in range(7):
        started = time.process_time_ns()
        for _ in range(40_000):
            if stream.tap is not None:
                raise AssertionError
            stream.count(1, 1000, 1000)
            stream.count_missed(0, 0, 0)
        best = min(best, (time.process_time_ns() - started) / 40_000)
    return best


@asynccontextmanager
async def polled(urls: list[str], every_s: float) -> AsyncIterator[None]:
    """Somebody who asks for these again and again."""

    async def ask(session: aiohttp.ClientSession, url: str) -> None:
        while True:
            async with session.get(url) as response:
                await response.read()
            await asyncio.sleep(every_s)

    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
        tasks = [group.create_task(ask(session, url)) for url in urls]
        yield
        for task in tasks:
            task.cancel()


async def frames_per_second(client: StreamClient) -> float:
    """Frames a second over all streams, each sending a frame when it has the answer to the last."""

    async def one() -> None:
        async with client.stream("gain", sample_rate_hz=16_000) as stream:
            for _ in range(FRAMES):
                await stream.send(np.zeros(HOP, np.float32))
                await anext(stream)

    started = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(STREAMS)))
    return STREAMS * FRAMES / (time.perf_counter() - started)


async def rates() -> dict[str, list[float]]:
    """Frames a second: nobody looking, scraped once a second, and with a page open that looks at a stream."""
    here = WebAddress("127.0.0.1", 0)
    server = Server({"gain": GainModel()}, ServerOptions(port=0, metrics=here, dashboard=here, max_load=0.0))
    await server.start()
    found: dict[str, list[float]] = {"nobody looks": [], "scraped every second": [], "a page looks at a stream": []}
    metrics, page = f"{server.urls['metrics']}/metrics", f"{server.urls['dashboard']}/api/overview"
    async with StreamClient(server.address) as client, client.stream("gain", sample_rate_hz=16_000) as seen:
        signal = f"{server.urls['dashboard']}/api/streams/{seen.info.stream_id}"
        for _ in range(ROUNDS):
            found["nobody looks"].append(await frames_per_second(client))
            async with polled([metrics], 1.0):
                found["scraped every second"].append(await frames_per_second(client))
            async with polled([page], 1.0), polled([signal], 0.15):
                found["a page looks at a stream"].append(await frames_per_second(client))
    await server.stop(0)
    return found


async def overview_ms(streams: int) -> float:
    """How long the event loop makes the page's numbers of that many streams."""
    from wavetile.engine.server.web import Instruments

    server = Server({"gain": GainModel()}, ServerOptions(port=0, dashboard=WebAddress("127.0.0.1", 0)))
    await server.start()
    for _ in range(streams):
        server.activity.stream("wavetile.v1", "gain").begin()
    instruments = Instruments(
        models=server._models,
        scheduler=server._scheduler,
        activity=server.activity,
        admission=server._admission,
        calls_refused={},
        options=server._options,
        started_ns=0,
    )
    took = []
    for _ in range(9):
        started = time.perf_counter()
        overview(instruments)
        took.append(time.perf_counter() - started)
    await server.stop(0)
    return 1000 * statistics.median(took)


def main() -> None:
    """Print the tables."""
    print("counting, CPU ns a frame        before     with histograms and outcomes")
    for size in (1, 8, 32):
        before, after = (frame_ns(size, histograms=one) for one in (False, True))
        print(f"  batches of {size:<20}{before:8.0f}{after:15.0f}")
    print(f"a stream's record, CPU ns a result, nobody looking {result_ns():8.0f}")
    print(f"the page's numbers of 1000 streams, ms on the event loop {asyncio.run(overview_ms(1000)):.2f}")
    print(f"frames a second through gRPC, {STREAMS} streams, client and server in one process")
    found = asyncio.run(rates())
    idle = statistics.median(found["nobody looks"])
    for name, rounds in found.items():
        median = statistics.median(rounds)
        print(f"  {name:<28}{median:8.0f}   {median / idle:6.1%}   of {min(rounds):.0f} to {max(rounds):.0f}")


if __name__ == "__main__":
    main()
