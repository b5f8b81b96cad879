"""Every way to send nonsense: a clear status, and no harm to a stream that runs meanwhile on the same connection."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from typing import Any, cast

import grpc
import numpy as np
import pytest

from wavetile.clients import StreamClient
from wavetile.clients.call import StreamCall
from wavetile.engine.errors import ServerError
from wavetile.engine.server import Server
from wavetile.proto.v1 import wavetile_pb2 as pb
from wavetile.proto.v1 import wavetile_pb2_grpc as pb_grpc

from .fakes import HOP, GainModel, InvertModel, RowSumModel
from .running import audio_of, serving, until

F32 = pb.AUDIO_ENCODING_PCM_F32LE
U8, FLOAT = pb.PIXEL_TYPE_UINT8, pb.PIXEL_TYPE_FLOAT32
AUDIO = pb.AudioConfig(sample_rate_hz=16000, channels=1, encoding=F32)
S16 = pb.AudioConfig(sample_rate_hz=16000, channels=2, encoding=pb.AUDIO_ENCODING_PCM_S16LE)
SILENCE = pb.StreamRequest(audio=bytes(4 * HOP))
IMAGE = pb.ImageConfig(height=4, width=6, pixel_type=U8)


def config(model: str = "gain", **signal: Any) -> pb.StreamRequest:
    return pb.StreamRequest(config=pb.StreamConfig(model=model, **(signal or {"audio": AUDIO})))


def floats(*samples: float) -> pb.StreamRequest:
    return pb.StreamRequest(audio=np.array(samples, "<f4").tobytes())


def tile(**fields: Any) -> pb.StreamRequest:
    return pb.StreamRequest(tile=pb.ImageTile(**{"height": 4, "width": 6, "data": bytes(24), **fields}))


def unknown_encoding() -> pb.AudioConfig:
    """As a newer client would send it."""
    return pb.AudioConfig.FromString(b"\x18\x4d")


# The offence is always the last message: grpc.aio reports a write to a call that has just ended as INTERNAL.
CASES: dict[str, tuple[list[pb.StreamRequest], str, str]] = {
    "chunk before config": ([SILENCE], "FAILED_PRECONDITION", "first message"),
    "no message at all": ([], "FAILED_PRECONDITION", "ended before its config"),
    "empty first message": ([pb.StreamRequest()], "FAILED_PRECONDITION", "first message"),
    "two configs": ([config(), config()], "INVALID_ARGUMENT", "second config"),
    "empty message": ([config(), pb.StreamRequest()], "INVALID_ARGUMENT", "holds nothing"),
    "unknown model": ([config("nothing")], "NOT_FOUND", "no model 'nothing'; this server has gain, invert, rows"),
    "no signal": ([pb.StreamRequest(config=pb.StreamConfig(model="gain"))], "INVALID_ARGUMENT", "'audio'"),
    "wrong signal": ([config(image=IMAGE)], "INVALID_ARGUMENT", "takes 'audio'"),
    "wrong rate": ([config(audio=pb.AudioConfig(sample_rate_hz=11025, encoding=F32))], "INVALID_ARGUMENT", "48000"),
    "negative rate": ([config(audio=pb.AudioConfig(sample_rate_hz=-1, encoding=F32))], "INVALID_ARGUMENT", "48000"),
    "too many channels": ([config(audio=pb.AudioConfig(channels=9, encoding=F32))], "INVALID_ARGUMENT", "1 to 8"),
    "negative channels": ([config(audio=pb.AudioConfig(channels=-1, encoding=F32))], "INVALID_ARGUMENT", "1 to 8"),
    "no encoding": ([config(audio=pb.AudioConfig())], "INVALID_ARGUMENT", "AUDIO_ENCODING_PCM_S16LE"),
    "unknown encoding": ([config(audio=unknown_encoding())], "INVALID_ARGUMENT", "77"),
    "negative budget": (
        [pb.StreamRequest(config=pb.StreamConfig(model="gain", audio=AUDIO, frame_budget_ns=-1))],
        "INVALID_ARGUMENT",
        "frame_budget_ns is -1",
    ),
    "unknown policy": (
        [pb.StreamRequest(config=pb.StreamConfig.FromString(b"\x0a\x04gain\x12\x02\x18\x02\x30\x09"))],
        "INVALID_ARGUMENT",
        "late_policy 9 is unknown; use one of LATE_POLICY_PROCESS, LATE_POLICY_SKIP, LATE_POLICY_BYPASS",
    ),
    "bypass of features": (
        [
            pb.StreamRequest(
                config=pb.StreamConfig(
                    model="rows", features=pb.FeatureConfig(feature_count=3), late_policy=pb.LATE_POLICY_BYPASS
                )
            )
        ],
        "INVALID_ARGUMENT",
        "late_policy process would work",
    ),
    "policy of images": (
        [pb.StreamRequest(config=pb.StreamConfig(model="invert", image=IMAGE, late_policy=pb.LATE_POLICY_SKIP))],
        "INVALID_ARGUMENT",
        "images have no frames that could be late, leave it out",
    ),
    "odd bytes float": ([config(), pb.StreamRequest(audio=bytes(7))], "INVALID_ARGUMENT", "multiple of 4"),
    "odd bytes stereo": ([config(audio=S16), pb.StreamRequest(audio=bytes(6))], "INVALID_ARGUMENT", "multiple of 4"),
    "NaN": ([config(), SILENCE, floats(0.0, float("nan"))], "INVALID_ARGUMENT", "finite"),
    "infinity": ([config(), floats(float("-inf"))], "INVALID_ARGUMENT", "finite"),
    "features on audio": (
        [config(), pb.StreamRequest(features=pb.FeatureFrames(data=bytes(12)))],
        "INVALID_ARGUMENT",
        "calls for 'audio'",
    ),
    "feature count": ([config("rows", features=pb.FeatureConfig(feature_count=4))], "INVALID_ARGUMENT", "takes 3"),
    "half a frame": (
        [
            config("rows", features=pb.FeatureConfig(feature_count=3)),
            pb.StreamRequest(features=pb.FeatureFrames(data=bytes(16))),
        ],
        "INVALID_ARGUMENT",
        "multiple of 12",
    ),
    "image without size": ([config("invert", image=pb.ImageConfig(pixel_type=U8))], "INVALID_ARGUMENT", "at least 1"),
    "image pixel type": ([config("invert", image=pb.ImageConfig(height=1, width=1))], "INVALID_ARGUMENT", "UINT8"),
    "image too large": (
        [config("invert", image=pb.ImageConfig(height=1 << 20, width=1 << 20, pixel_type=U8))],
        "INVALID_ARGUMENT",
        "bytes that a message may have",
    ),
    "part of an image": (
        [config("invert", image=IMAGE), tile(height=2, data=bytes(12))],
        "INVALID_ARGUMENT",
        "whole image",
    ),
    "tile of another shape": ([config("invert", image=IMAGE), tile(height=2)], "INVALID_ARGUMENT", "needs 12 bytes"),
    "tile at a place below 0": ([config("invert", image=IMAGE), tile(y=-1)], "INVALID_ARGUMENT", "negative"),
    "image order": (
        [config("invert", image=pb.ImageConfig(height=4, width=6, pixel_type=U8, order=cast("Any", 9)))],
        "INVALID_ARGUMENT",
        "RASTER",
    ),
    "image map": (
        [config("invert", image=pb.ImageConfig(height=4, width=6, pixel_type=U8, scale=math.inf))],
        "INVALID_ARGUMENT",
        "finite",
    ),
    "tile bytes": ([config("invert", image=IMAGE), tile(data=bytes(23))], "INVALID_ARGUMENT", "24 bytes"),
    "tile type": ([config("invert", image=IMAGE), tile(pixel_type=FLOAT)], "INVALID_ARGUMENT", "pixel type"),
    "image the model refuses": (
        [
            config("invert", image=pb.ImageConfig(height=3, width=2, pixel_type=U8)),
            tile(height=3, width=2, data=bytes(6)),
        ],
        "INVALID_ARGUMENT",
        "must be even",
    ),
    "NaN pixel": (
        [
            config("invert", image=pb.ImageConfig(height=2, width=1, pixel_type=FLOAT)),
            tile(height=2, width=1, data=np.array([0, np.nan], "<f4").tobytes()),
        ],
        "INVALID_ARGUMENT",
        "finite",
    ),
    "audio on images": ([config("invert", image=IMAGE), SILENCE], "INVALID_ARGUMENT", "calls for 'tile'"),
}


async def talk(server: Server, requests: Iterable[Any], serializer: Any = None) -> tuple[str, str]:
    """Send raw requests on a connection of their own; the status and its message."""
    async with grpc.aio.insecure_channel(server.address) as channel:
        if serializer is None:
            opened: Any = pb_grpc.StreamServiceStub(channel).Stream()
        else:
            opened = channel.stream_stream("/wavetile.v1.StreamService/Stream", request_serializer=serializer)()
        call = StreamCall(opened)
        with suppress(ServerError):  # the server may end the call before we do
            for request in requests:
                await call.write(request)
            await call.half_close()
        try:
            while await call.read() is not None:  # trailers come after the answers before them
                pass
        except ServerError as error:
            return error.code, error.message
        return "OK", ""


@pytest.fixture
async def models() -> dict[str, Any]:
    return {"gain": GainModel(), "rows": RowSumModel(), "invert": InvertModel()}


@pytest.fixture
async def server(models: dict[str, Any]) -> AsyncIterator[Server]:
    async with serving(models, max_message_bytes=1 << 20) as server:
        yield server


@pytest.mark.parametrize("case", CASES)
async def test_nonsense_gets_a_status_and_harms_nobody(case: str, server: Server, models: dict[str, Any]) -> None:
    requests, code, words = CASES[case]
    async with StreamClient(server.address) as client, client.stream("gain") as witness:
        await witness.send(np.full(HOP, 0.25, np.float32))
        await anext(witness)

        got_code, message = await talk(server, requests)
        assert (got_code, words in message) == (code, True), f"{got_code}: {message}"

        await witness.send(np.full(HOP, 0.5, np.float32))
        result = await anext(witness)
        assert (result.sequence_number, audio_of([result]).tolist()) == (1, [0.125] * HOP)
        await until(lambda: server.live_streams == 1 and models["gain"].open_sessions == 1)
    await until(lambda: models["gain"].open_sessions == 0 and models["rows"].open_sessions == 0)


async def test_bytes_that_are_no_message(server: Server) -> None:
    code, message = await talk(server, [b"\xff\xff\xff\xff"], serializer=bytes)
    assert (code, message) == ("INVALID_ARGUMENT", "a request is not a valid message of wavetile.v1")


async def test_a_message_over_the_limit(server: Server) -> None:
    code, _ = await talk(server, [config(), pb.StreamRequest(audio=bytes((1 << 20) + 4))])
    assert code == "RESOURCE_EXHAUSTED"
    await until(lambda: server.live_streams == 0)


async def test_a_call_that_never_sends_its_config() -> None:
    async with (
        serving({"gain": GainModel()}, config_timeout_s=0.05) as server,
        grpc.aio.insecure_channel(server.address) as channel,
    ):
        call: Any = pb_grpc.StreamServiceStub(channel).Stream()
        assert await call.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert "0.05 s" in await call.details()


async def test_too_many_streams() -> None:
    model = GainModel()
    async with serving({"gain": model}, max_streams=2) as server, StreamClient(server.address) as client:
        async with client.stream("gain") as first, client.stream("gain"):
            with pytest.raises(ServerError, match="RESOURCE_EXHAUSTED: the server has 2 streams"):
                await client.stream("gain").__aenter__()
            await first.send(np.zeros(HOP, np.float32))
            assert (await anext(first)).frame_count == 1
        await until(lambda: server.live_streams == 0)
        async with client.stream("gain"):
            assert model.open_sessions == 1


async def test_no_room_for_the_models_state() -> None:
    async with (
        serving({"gain": GainModel(max_sessions=1)}) as server,
        StreamClient(server.address) as client,
        client.stream("gain"),
    ):
        with pytest.raises(ServerError, match="RESOURCE_EXHAUSTED: model 'gain' has as many streams"):
            await client.stream("gain").__aenter__()
        assert server.live_streams == 1


async def test_more_channels_than_lanes() -> None:
    model = GainModel(max_lanes=2)
    async with serving({"gain": model}) as server, StreamClient(server.address) as client:
        with pytest.raises(ServerError, match="INVALID_ARGUMENT: 3 channels; model 'gain' computes at most 2"):
            await client.stream("gain", channels=3).__aenter__()
    assert model.open_sessions == 0


async def test_a_defect_is_internal_and_tells_nothing(caplog: pytest.LogCaptureFixture) -> None:
    broken = GainModel(step_error=RuntimeError("/secret/path exploded"))
    async with serving({"gain": GainModel(), "broken": broken}) as server, StreamClient(server.address) as client:
        async with client.stream("gain") as witness:
            async with client.stream("broken") as stream:
                await stream.send(np.zeros(HOP, np.float32))
                with pytest.raises(ServerError) as caught:
                    await anext(stream)
            await witness.send(np.zeros(HOP, np.float32))
            assert (await anext(witness)).frame_count == 1
        await until(lambda: broken.open_sessions == 0)
    assert caught.value.code == "INTERNAL"
    assert "secret" not in caught.value.message
    assert "/secret/path exploded" in caplog.text
