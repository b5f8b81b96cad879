"""gRPC's own view of a server: there when it is asked for, and for administrators."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import grpc
import pytest

from tests.server.fakes import GainModel
from tests.server.guards import write_tokens
from tests.server.running import serving
from wavetile.clients import StreamClient
from wavetile.engine.server import Security

channelz_pb2 = pytest.importorskip("grpc_channelz.v1.channelz_pb2", reason="the extra 'channelz' is not installed")


async def servers(address: str, token: str = "") -> Any:
    """What GetServers answers."""
    from grpc_channelz.v1 import channelz_pb2_grpc

    metadata = [("authorization", f"Bearer {token}")] if token else None
    async with grpc.aio.insecure_channel(address) as channel:
        stub: Any = channelz_pb2_grpc.ChannelzStub(cast("Any", channel))
        return await stub.GetServers(channelz_pb2.GetServersRequest(), metadata=metadata)


async def test_administrators_see_connections_and_calls(tmp_path: Path) -> None:
    tokens = write_tokens(tmp_path / "tokens", ada="administer", bob="stream infer")
    security = Security(tokens=tmp_path / "tokens")
    async with serving({"gain": GainModel()}, channelz=True, security=security) as server:
        async with StreamClient(server.address, token=tokens["bob"]) as client:
            await client.list_models()
        answer = await servers(server.address, tokens["ada"])
        assert any(one.data.calls_started >= 2 for one in answer.server)
        for token in ("", tokens["bob"]):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await servers(server.address, token)
            expected = grpc.StatusCode.PERMISSION_DENIED if token else grpc.StatusCode.UNAUTHENTICATED
            assert caught.value.code() is expected


async def test_it_is_not_there_unless_it_is_asked_for() -> None:
    async with serving({"gain": GainModel()}) as server:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await servers(server.address)
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
