"""Serves one method of grpc.aio on a free port of this machine, until the process is ended."""

from __future__ import annotations

import grpc

READY = "ready on "


async def serve(handler: grpc.RpcMethodHandler) -> None:
    """Serve `handler` as wavetile's Stream; says on standard output where."""
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("wavetile.v1.StreamService", {"Stream": handler}),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"{READY}127.0.0.1:{port}", flush=True)
    await server.wait_for_termination()
