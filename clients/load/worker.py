"""One process of the generator: plays its share of the streams on an event loop with timers of microseconds."""

from __future__ import annotations

import asyncio
import gc
import selectors
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection as Pipe

from ..transport import Transport
from .figures import Figures
from .pacer import Pacer
from .plan import NS, Plan
from .player import Player
from .pool import Pool
from .wire import Wire

SAMPLED_EVERY_NS = NS // 4


@dataclass(frozen=True, slots=True)
class Share:
    """What one process does."""

    host: str
    port: int
    transport: Transport
    streams_per_connection: int
    wire: Wire
    plans: Sequence[Plan]
    depth: int
    deadline_ns: int
    measured_from_ns: int
    interval_ns: int
    end_ns: int
    """When the load ends, and when no answer is waited for any more, in ns after its beginning."""
    given_up_ns: int


def work(share: Share, pipe: Pipe) -> None:
    """Say that this process is ready, take the time at which to begin, and send the figures when all is over."""
    # What lives now lives to the end: the collector need not look at it again and again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)
    pipe.send("ready")
    begin_ns: int = pipe.recv()
    # Timers on epoll are rounded to milliseconds; select takes microseconds, and there are few connections.
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())) as runner:
        pipe.send(runner.run(play(share, begin_ns)))


async def play(share: Share, begin_ns: int) -> Figures:
    """Play all plans of a share from `begin_ns` on `time.monotonic_ns` on."""
    loop = asyncio.get_running_loop()
    figures = Figures(share.deadline_ns, share.measured_from_ns, share.interval_ns)
    pool = Pool(share.host, share.port, share.streams_per_connection, share.transport)
    pacer = Pacer(loop, pool.flush)
    live: set[Player] = set()
    left = len(share.plans)
    done = asyncio.Event()

    def start(plan: Plan, due_ns: int) -> None:
        def over() -> None:
            nonlocal left
            live.discard(player)
            left -= 1
            if not left:
                done.set()

        player = Player(plan, share.wire, pool, pacer, figures, begin_ns, share.depth, over)
        live.add(player)
        player.open(due_ns)

    def sample(due_ns: int) -> None:
        figures.living(due_ns - begin_ns, len(live))
        if due_ns < begin_ns + share.end_ns:
            pacer.at(due_ns + SAMPLED_EVERY_NS, sample)

    for plan in share.plans:
        pacer.at(begin_ns + plan.opens_ns, lambda due_ns, plan=plan: start(plan, due_ns))
    pacer.at(begin_ns, sample)
    try:
        async with asyncio.timeout((begin_ns + share.given_up_ns - time.monotonic_ns()) / NS):
            if left:
                await done.wait()
    except TimeoutError:
        for player in list(live):
            player.give_up()
    pool.close()
    figures.fold()
    return figures
