"""gRPC's own view of its connections and calls, for administrators: grpc.channelz.v1."""

from __future__ import annotations

from typing import Any

import grpc

from ..errors import WavetileError


def add_channelz(server: grpc.aio.Server) -> Any:
    """Let `server` answer it, and return the service's file descriptor. Raises WavetileError: it is not installed."""
    try:
        from grpc_channelz.v1 import channelz, channelz_pb2
    except ImportError as error:
        raise WavetileError("channelz needs grpcio-channelz (pip install 'wavetile[channelz]')") from error
    channelz.add_channelz_servicer(server)
    return channelz_pb2.DESCRIPTOR
