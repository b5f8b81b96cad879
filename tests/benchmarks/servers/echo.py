"""A bare grpc.aio server that answers every chunk with the same result: the most messages that grpc.aio carries.

It parses and serialises as generated code does; with `raw`, it does not even look into the bytes.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import grpc
import numpy as np

from tests.benchmarks.servers import messages
from tests.benchmarks.servers.networks import Network, load
from tests.benchmarks.servers.serving import serve
from wavetile.proto.v1 import wavetile_pb2 as pb


def handler(network: Network, raw: bool) -> grpc.RpcMethodHandler:
    """Of METHOD. One answer a chunk, from the one on that completes the first frame."""
    silent = network.first_frame_samples // network.hop_samples - 1
    size = network.hop_samples if network.name == "gtcrn" else 1
    first: Any = messages.started(network)
    answer: Any = messages.result(network, 1000, np.full(size, 0.5, np.float32), 50_000)
    if raw:
        first, answer = first.SerializeToString(), answer.SerializeToString()

    async def stream(requests: object, context: grpc.aio.ServicerContext) -> None:
        await context.read()
        await context.write(first)
        count = 0
        while isinstance(await context.read(), bytes if raw else pb.StreamRequest):
            count += 1
            if count > silent:
                await context.write(answer)

    if raw:
        return grpc.stream_stream_rpc_method_handler(stream)
    return grpc.stream_stream_rpc_method_handler(
        stream, pb.StreamRequest.FromString, pb.StreamResponse.SerializeToString
    )


if __name__ == "__main__":
    asyncio.run(serve(handler(load(sys.argv[1]), "raw" in sys.argv)))
