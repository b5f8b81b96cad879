"""A plain grpc.aio server: one onnxruntime session of one thread, a stream's state in its coroutine.

Each hop is computed where it is read, in the event loop; with `thread`, in a thread beside it.
"""

from __future__ import annotations

import asyncio
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np

from tests.benchmarks.servers import messages
from tests.benchmarks.servers.networks import Network, load
from tests.benchmarks.servers.serving import serve
from wavetile.proto.v1 import wavetile_pb2 as pb


def handler(network: Network, threaded: bool) -> grpc.RpcMethodHandler:
    """Of METHOD; chunks are hops."""
    pool = ThreadPoolExecutor(1)

    async def stream(requests: object, context: grpc.aio.ServicerContext) -> None:
        await context.read()
        await context.write(messages.started(network))
        states = [network.begin()]
        frame = 0
        while isinstance(request := await context.read(), pb.StreamRequest):
            hop = np.frombuffer(request.audio, np.float32)
            started_ns = time.monotonic_ns()
            if threaded:
                (numbers,) = await asyncio.get_running_loop().run_in_executor(pool, network.step, states, [hop])
            else:
                (numbers,) = network.step(states, [hop])
            if numbers is not None:
                await context.write(messages.result(network, frame, numbers, time.monotonic_ns() - started_ns))
                frame += 1

    return grpc.stream_stream_rpc_method_handler(
        stream, pb.StreamRequest.FromString, pb.StreamResponse.SerializeToString
    )


if __name__ == "__main__":
    asyncio.run(serve(handler(load(sys.argv[1]), "thread" in sys.argv)))
