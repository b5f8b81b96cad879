"""Whose sequences are, how many requests wait for one, and what is said of it when it ends."""

from __future__ import annotations

import asyncio
import logging
import threading
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from tests.patience import PATIENCE_S
from tests.virtual_time import DAY_S, HeldTimers
from wavetile.engine.server import Security
from wavetile.engine.server.inference.service import MAX_WAITING_REQUESTS
from wavetile.proto.inference.v2 import inference_pb2 as pb

from .fakes import HOP, GainModel
from .guards import write_tokens
from .running import serving, until

INFER = "/inference.GRPCInferenceService/ModelInfer"


def request(sequence: int = 7, *, start: bool = False, end: bool = False) -> bytes:
    """Return one hop of a sequence."""
    message = pb.ModelInferRequest(model_name="gain", raw_input_contents=[np.ones(HOP, "<f4").tobytes()])
    message.inputs.add(name="audio", datatype="FP32", shape=[HOP])
    message.parameters["sequence_id"].int64_param = sequence
    message.parameters["sequence_start"].bool_param = start
    message.parameters["sequence_end"].bool_param = end
    return message.SerializeToString()


async def test_callers_on_one_connection_have_their_own_sequences(tmp_path: Path) -> None:
    tokens = write_tokens(tmp_path / "tokens", ada="infer", bob="infer")
    ada, bob = ((("authorization", f"Bearer {tokens[name]}"),) for name in ("ada", "bob"))
    model = GainModel()
    async with (
        serving({"gain": model}, security=Security(tokens=tmp_path / "tokens")) as server,
        grpc.aio.insecure_channel(server.address) as channel,
    ):
        infer: Any = channel.unary_unary(INFER)
        await infer(request(start=True), metadata=ada)
        with pytest.raises(grpc.aio.AioRpcError, match="sequence 7 of model 'gain' is not open here"):
            await infer(request(), metadata=bob)
        await infer(request(start=True), metadata=bob)
        assert model.open_sessions == 2
        await infer(request(end=True), metadata=bob)
        await infer(request(), metadata=ada)
        assert model.open_sessions == 1


async def test_a_few_requests_wait_for_a_sequence() -> None:
    go_on = threading.Event()
    model = GainModel(go_on=go_on)
    async with serving({"gain": model}) as server, grpc.aio.insecure_channel(server.address) as channel:
        infer: Any = channel.unary_unary(INFER)
        first = infer(request(start=True))
        await until(lambda: model.open_sessions == 1)
        others = [infer(request()) for _ in range(MAX_WAITING_REQUESTS + 1)]
        await until(lambda: any(call.done() for call in others))
        go_on.set()
        async with asyncio.timeout(PATIENCE_S):
            answers = await asyncio.gather(first, *others, return_exceptions=True)
        (refused,) = (one for one in answers if isinstance(one, grpc.aio.AioRpcError))
        assert refused.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "8 requests of sequence 7 wait, as many as may" in str(refused.details())
        await infer(request(end=True))


async def test_sequences_are_counted_by_how_they_end_and_logged_when_they_come(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    timers = HeldTimers(monkeypatch)
    go_on = threading.Event()
    go_on.set()
    model = GainModel(go_on=go_on)
    caplog.set_level(logging.INFO, "wavetile")
    async with (
        serving({"gain": model}, sequence_idle_s=DAY_S) as server,
        grpc.aio.insecure_channel(server.address) as channel,
    ):
        infer: Any = channel.unary_unary(INFER)
        ended = server.activity.of("gain").ended
        await infer(request(1, start=True))
        await infer(request(1, end=True))
        assert dict(ended) == {"ok": 1}
        await infer(request(2, start=True))
        timers.fire()  # nothing came for a day
        assert dict(ended) == {"ok": 1, "slow_client": 1}
        go_on.clear()
        call = infer(request(3, start=True))
        await until(lambda: model.open_sessions == 1)
        call.cancel()
        await until(lambda: ended["gone"] == 1)
        go_on.set()
        model.step_error = RuntimeError("secret")
        with pytest.raises(grpc.aio.AioRpcError):
            await infer(request(4, start=True))
        assert dict(ended) == {"ok": 1, "slow_client": 1, "gone": 1, "runtime": 1}
        model.step_error = None
        stream: Any = channel.stream_stream("/inference.GRPCInferenceService/ModelStreamInfer")()
        await stream.write(request(5, start=True))
        await stream.read()
        await stream.done_writing()  # and has not ended its sequence
        await until(lambda: ended["gone"] == 2)
    admitted = [record for record in caplog.records if getattr(record, "event", "") == "stream_admitted"]
    assert len(admitted) == 5
    assert all(getattr(record, "peer", "").startswith("ipv4:127.0.0.1:") for record in admitted)
    assert all(getattr(record, "protocol", "") == "inference" for record in admitted)
