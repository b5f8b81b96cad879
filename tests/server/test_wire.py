"""Requests made of more parts than any use needs, and what requests cost by their bytes on the wire."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import numpy as np
import pytest
from google.protobuf.message import DecodeError, Message

from wavetile.engine.errors import SignalError
from wavetile.engine.server.inference.tensors import read_inputs, requested_outputs
from wavetile.engine.server.parsing import MAX_FIELDS, parse
from wavetile.engine.server.status import MAX_QUOTED_CHARACTERS, TooManyFieldsError, quoted
from wavetile.engine.server.wire import has_more_fields
from wavetile.proto.inference.v2 import inference_pb2 as inference
from wavetile.proto.v1 import wavetile_pb2 as pb
from wavetile.proto.v1 import wavetile_pb2_grpc as pb_grpc

from .fakes import GainModel
from .running import serving

INFER = "/inference.GRPCInferenceService/ModelInfer"
STREAM_INFER = "/inference.GRPCInferenceService/ModelStreamInfer"
STREAM = "/wavetile.v1.StreamService/Stream"
DESCRIBE = "/wavetile.v1.StreamService/DescribeModel"
METADATA = "/inference.GRPCInferenceService/ModelMetadata"

MANY = MAX_FIELDS + 1
BOMBS: Mapping[str, bytes] = {
    "inputs": b"\x2a\x00" * MANY,
    "outputs": b"\x32\x00" * MANY,
    "texts of one input": inference.ModelInferRequest(
        inputs=[
            inference.ModelInferRequest.InferInputTensor(
                contents=inference.InferTensorContents(bytes_contents=[b""] * MANY)
            )
        ]
    ).SerializeToString(),
    "integers of one input": inference.ModelInferRequest(
        inputs=[
            inference.ModelInferRequest.InferInputTensor(
                contents=inference.InferTensorContents(int64_contents=[1] * (MAX_FIELDS * 1024))
            )
        ]
    ).SerializeToString(),
    "sizes of one input": inference.ModelInferRequest(
        inputs=[inference.ModelInferRequest.InferInputTensor(shape=[1] * (MAX_FIELDS * 1024))]
    ).SerializeToString(),
    "unknown fields": b"\xf8\x01\x00" * MANY,
    "unknown groups": b"\xa3\x06\xa4\x06" * MANY,
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_message_of_too_many_parts_is_not_parsed(bomb: str) -> None:
    with pytest.raises(TooManyFieldsError, match=f"a request has more than {MAX_FIELDS} fields"):
        parse(inference.ModelInferRequest, BOMBS[bomb])


def test_many_numbers_are_few_fields() -> None:
    contents = inference.InferTensorContents(fp32_contents=np.ones(1_000_000), int64_contents=[1] * 1_000_000)
    tensor = inference.ModelInferRequest.InferInputTensor(contents=contents)
    request = inference.ModelInferRequest(inputs=[tensor], raw_input_contents=[bytes(8_000_000)])
    assert parse(inference.ModelInferRequest, request.SerializeToString()) == request


def fields_of(message: Message) -> int:
    """How many fields a message has, those of messages inside it counted too."""
    count = 0
    for field, value in message.ListFields():
        values = value if field.is_repeated else [value]
        if field.message_type is None:
            count += len(values) if field.is_repeated and not field.is_packed else 1
        else:
            count += sum(1 + fields_of(one) for one in values)
    return count


def made(rng: random.Random) -> inference.ModelInferRequest:
    """Return a request of some fields of most kinds."""
    request = inference.ModelInferRequest(model_name="gain", raw_input_contents=[bytes(rng.randrange(300))] * 3)
    for _ in range(rng.randrange(20)):
        tensor = request.inputs.add(name="x" * rng.randrange(1, 200), shape=[rng.randrange(1, 2**40)] * 3)
        tensor.contents.fp32_contents.extend([1.0] * rng.randrange(1, 100))
        tensor.contents.bytes_contents.extend([b"text"] * rng.randrange(5))
    return request


def test_fields_are_counted_as_the_parser_finds_them() -> None:
    rng = random.Random(0)
    for _ in range(100):
        request = made(rng)
        data, count = request.SerializeToString(), fields_of(request)
        assert not has_more_fields(type(request), data, count)
        assert has_more_fields(type(request), data, count - 1)


def test_what_is_damaged_is_the_parsers_to_refuse() -> None:
    """What the parser takes has as many fields as are counted; what it does not take makes no trouble."""
    rng = random.Random(1)
    taken = 0
    for _ in range(2000):
        data = bytearray(made(rng).SerializeToString())
        for _ in range(rng.randrange(3)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        if rng.random() < 0.3:
            data = data[: rng.randrange(len(data) + 1)]
        try:
            request = inference.ModelInferRequest.FromString(bytes(data))
        except DecodeError:
            has_more_fields(inference.ModelInferRequest, bytes(data), 50)
            continue
        taken += 1
        count = fields_of(request)
        assert count == 0 or has_more_fields(type(request), bytes(data), count - 1)
    assert taken > 100


async def test_calls_with_too_many_parts_are_refused_and_the_next_ones_answered() -> None:
    async with serving({"gain": GainModel()}) as server, grpc.aio.insecure_channel(server.address) as channel:
        with pytest.raises(grpc.aio.AioRpcError, match=f"more than {MAX_FIELDS} fields") as refused:
            await channel.unary_unary(INFER)(BOMBS["inputs"])
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        for method in (STREAM, STREAM_INFER):
            call: Any = channel.stream_stream(method)()
            await call.write(b"\xf8\x01\x00" * MANY)
            assert await call.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert f"more than {MAX_FIELDS} fields" in await call.details()
        about = await channel.unary_unary(DESCRIBE)(pb.DescribeModelRequest(model="gain").SerializeToString())
        assert pb.DescribeModelResponse.FromString(about).model.name == "gain"


def test_errors_quote_a_little_of_what_a_client_calls_things() -> None:
    assert quoted("a\n") == r"'a\n'"
    long = "x" * 1_000_000
    assert len(quoted(long)) == MAX_QUOTED_CHARACTERS + 5
    request = inference.ModelInferRequest(model_name=long)
    request.outputs.add(name=long)
    with pytest.raises(SignalError, match="has no output") as said:
        requested_outputs(request, ["audio"])
    assert len(str(said.value)) < 400
    request.inputs.add(name=long, datatype=long)
    with pytest.raises(SignalError, match="is unknown") as said:
        read_inputs(request)
    assert len(str(said.value)) < 500


def test_outputs_are_counted_before_they_are_read() -> None:
    request: Any = SimpleNamespace(outputs=range(3), model_name="gain")  # no one of which can be read
    with pytest.raises(SignalError, match="3 outputs are asked for; each of audio, peak once would work"):
        requested_outputs(request, ["audio", "peak"])


async def test_a_callers_quota_is_of_bytes_on_the_wire(tmp_path: Path) -> None:
    """Whatever the bytes are: configs, questions, or fields that a later one takes the place of."""
    quotas = tmp_path / "quotas.toml"
    quotas.write_text("[default]\nmessage_bytes = 1000")
    long = "x" * 2000
    audio = pb.AudioConfig(sample_rate_hz=16000, channels=1, encoding=pb.AUDIO_ENCODING_PCM_F32LE)
    config = pb.StreamRequest(config=pb.StreamConfig(model="gain", audio=audio)).SerializeToString()
    twice = pb.StreamRequest(audio=bytes(2000)).SerializeToString() + pb.StreamRequest(audio=b"").SerializeToString()
    assert len(pb.StreamRequest.FromString(twice).SerializeToString()) < 10
    async with (
        serving({"gain": GainModel()}, quotas=quotas) as server,
        grpc.aio.insecure_channel(server.address) as channel,
    ):
        for path, question in (
            (DESCRIBE, pb.DescribeModelRequest(model=long)),
            (METADATA, inference.ModelMetadataRequest(name=long)),
            (INFER, inference.ModelInferRequest(model_name=long)),
        ):
            with pytest.raises(grpc.aio.AioRpcError, match=r"a message of 200\d bytes; this caller's quota is 1000"):
                await channel.unary_unary(path)(question.SerializeToString())
        long_config = pb.StreamRequest(config=pb.StreamConfig(model=long)).SerializeToString()
        for messages in ([long_config], [config, twice]):
            call: Any = channel.stream_stream(STREAM)()
            await call.write(messages[0])
            for message in messages[1:]:
                await call.read()
                await call.write(message)
            assert await call.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert "this caller's quota is 1000" in await call.details()
        stub: Any = pb_grpc.StreamServiceStub(channel)
        assert (await stub.DescribeModel(pb.DescribeModelRequest(model="gain"))).model.name == "gain"
