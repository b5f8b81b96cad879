"""Measures what a server's machine gives, and what a message takes of it."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import grpc

from ..loopback import NO_PROXY

ECHO_STREAMS = 4
ECHO_MESSAGES = 50
ECHO_BYTES = 2048
HANDLING = 3.0
"""A frame's message by one that is only echoed: it is read into a session, and its result made, besides (measured)."""
_ECHO = "Echo"


def busy_s() -> float:
    """How long this thread has computed since its start, and, where the system tells (Linux), waited for a processor.

    Where others keep the processors busy, what takes a thread 1 ms of computing takes it longer.
    """
    try:
        computed_ns, waited_ns, _ = Path("/proc/thread-self/schedstat").read_bytes().split()
    except (OSError, ValueError):
        return time.thread_time()
    # Some kernels have the file and count nothing.
    return (int(computed_ns) + int(waited_ns)) / 1e9 if int(computed_ns) else time.thread_time()


async def measured_message_s() -> float:
    """What a frame's message and its result take the event loop: gRPC's part as a server on the loopback shows it.

    A few messages, as of a signal's hops, are echoed by a server of its own, whose client is on the same loop and takes
    as much. Serving corrects it.
    """

    async def echo(_: object, context: grpc.aio.ServicerContext) -> None:
        while isinstance(message := await context.read(), bytes):
            await context.write(message)

    server = grpc.aio.server()
    handler = grpc.method_handlers_generic_handler(_ECHO, {_ECHO: grpc.stream_stream_rpc_method_handler(echo)})
    server.add_generic_rpc_handlers((handler,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=[NO_PROXY]) as channel:
            method = channel.stream_stream(f"/{_ECHO}/{_ECHO}")

            async def exchange(messages: int) -> None:
                call = method()
                for _ in range(messages):
                    await call.write(bytes(ECHO_BYTES))
                    await call.read()
                await call.done_writing()

            await exchange(1)  # which connects
            began_s = busy_s()
            await asyncio.gather(*(exchange(ECHO_MESSAGES) for _ in range(ECHO_STREAMS)))
            took_s = busy_s() - began_s
    finally:
        await server.stop(None)
    return HANDLING * took_s / 2 / (ECHO_STREAMS * ECHO_MESSAGES)
