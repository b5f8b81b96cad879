"""Runs a load: in processes of its own, which begin together."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from ...engine.errors import ServerError
from ..transport import Transport
from .figures import INTERVALS, Figures
from .plan import NS, Traffic, arrange
from .wire import Wire
from .worker import Share, work

STEADY_NS = NS // 2
"""After the ramp, before frames are measured: what the ramp has piled up is gone by then."""
HEAD_START_NS = NS // 10
GRACE_NS = 5 * NS
"""After the load's end, for answers that are still to come."""


@dataclass(frozen=True, slots=True)
class Target:
    """A server, and how it is talked to."""

    host: str
    port: int
    transport: Transport = field(default_factory=Transport)
    streams_per_connection: int = 32
    processes: int = 1

    @classmethod
    def of(cls, address: str, transport: Transport | None = None, **more: int) -> Target:
        """The server at HOST:PORT. Raises SignalError as `Transport.check`."""
        transport = transport or Transport()
        transport.check(address)
        host, _, port = address.rpartition(":")
        return cls(host.removeprefix("[").removesuffix("]"), int(port), transport, **more)


def run_load(target: Target, wire: Wire, traffic: Traffic, *, deadline_s: float = 0.0) -> Figures:
    """Put a load on a server and wait until it is over; `deadline_s` of a frame is one hop where it is 0.

    Raises SignalError for traffic that can not be, ServerError when a process of the generator failed.
    """
    chunk_ns = int(wire.chunk_samples * NS / wire.sample_rate_hz)
    plans = arrange(traffic, wire.clips, chunk_ns)
    ramp_ns, end_ns = int(traffic.ramp_s * NS), int((traffic.ramp_s + traffic.seconds) * NS)
    deadline_ns = int((deadline_s or wire.hop_samples / wire.sample_rate_hz) * NS)
    measured_from_ns = ramp_ns + min(STEADY_NS, (end_ns - ramp_ns) // 4)
    interval_ns = max(NS // 4, end_ns // INTERVALS)
    shares = [
        Share(
            host=target.host,
            port=target.port,
            transport=target.transport,
            streams_per_connection=target.streams_per_connection,
            wire=wire,
            plans=plans[number :: target.processes],
            depth=traffic.depth,
            deadline_ns=deadline_ns,
            measured_from_ns=measured_from_ns,
            interval_ns=interval_ns,
            end_ns=end_ns,
            given_up_ns=end_ns + GRACE_NS,
        )
        for number in range(target.processes)
    ]
    figures = Figures(deadline_ns, measured_from_ns, interval_ns)
    for share in _play(shares):
        figures.merge(share)
    figures.counts["measured ms"] = (end_ns - measured_from_ns) // 1_000_000
    return figures


def _play(shares: Sequence[Share]) -> list[Figures]:
    """What the processes of these shares have seen."""
    context = multiprocessing.get_context("spawn")
    started = []
    try:
        for share in shares:
            ours, theirs = context.Pipe()
            process = context.Process(target=work, args=(share, theirs), daemon=True)
            process.start()
            theirs.close()
            started.append((process, ours))
        for _, pipe in started:
            pipe.recv()
        begin_ns = time.monotonic_ns() + HEAD_START_NS
        for _, pipe in started:
            pipe.send(begin_ns)
        return [pipe.recv() for _, pipe in started]
    except EOFError:
        raise ServerError("INTERNAL", "a process of the load generator has failed; it said why above") from None
    finally:
        for process, pipe in started:
            pipe.close()
            if process.is_alive():
                process.join(1.0)
            if process.is_alive():
                process.kill()
