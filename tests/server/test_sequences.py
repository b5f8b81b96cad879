"""Streams as sequences of the Open Inference Protocol, through Triton's own client."""

from __future__ import annotations

import asyncio
import json
import queue
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import asdict
from typing import Any

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from tests.patience import PATIENCE_S
from tests.virtual_time import DAY_S, HeldTimers
from wavetile.clients import StreamClient
from wavetile.proto.inference.v2 import inference_pb2 as pb

from .fakes import HOP, GainModel, RowSumModel
from .gates import Turnstile
from .running import audio_of, process, serving, until
from .triton_client import connected, tensor


def signal(seed: int, samples: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, samples).astype(np.float32)


def in_parts(samples: np.ndarray, seed: int) -> list[np.ndarray]:
    """Return chunks of many lengths, an empty one and some of many hops among them."""
    random = np.random.default_rng(seed)
    sizes = random.choice([0, 1, 37, HOP, 3 * HOP, 50 * HOP], size=200)
    return np.split(samples, np.minimum(np.cumsum(sizes), len(samples)))


def request(
    number: int | str, parts: Sequence[np.ndarray], index: int, model: str = "gain", name: str = "audio", **more: Any
) -> dict[str, Any]:
    """Return the arguments of one request of a sequence."""
    return {
        "model_name": model,
        "inputs": [tensor(name, parts[index], "FP32")],
        "request_id": f"{number}/{index}",
        "sequence_id": number,
        "sequence_start": index == 0,
        "sequence_end": index == len(parts) - 1,
        **more,
    }


async def aiter_of(requests: Sequence[dict[str, Any]]) -> AsyncIterator[dict[str, Any]]:
    """Yield the requests."""
    for one in requests:
        yield one


async def exchange(client: Any, requests: Sequence[dict[str, Any]]) -> list[Any]:
    """Send requests in one ModelStreamInfer call; return (result, error) of each answer, one a request."""
    async with asyncio.timeout(PATIENCE_S):
        got = [answer async for answer in client.stream_infer(aiter_of(requests))]
    assert len(got) == len(requests)
    return got


async def expected(address: str, samples: np.ndarray, **config: Any) -> tuple[np.ndarray, np.ndarray]:
    """Audio and peaks as wavetile's own client gets them."""
    async with StreamClient(address) as client:
        results = await process(client, samples, 1000, **config)
    return audio_of(results), np.concatenate([result.values["peak"] for result in results])


async def test_sequences_that_are_interleaved_in_one_call_are_streams_of_their_own() -> None:
    model = GainModel()
    async with serving({"gain": model}) as server, connected(server) as client:
        signals = {number: signal(index, 4000 + 777 * index) for index, number in enumerate((1, 2, "text", 2**40))}
        parts = {number: in_parts(samples, len(samples)) for number, samples in signals.items()}
        requests = [
            request(number, chunks, index)
            for index in range(max(map(len, parts.values())))
            for number, chunks in parts.items()
            if index < len(chunks)
        ]
        answers: dict[str, Any] = {}
        for result, error in await exchange(client, requests):
            assert error is None
            response = result.get_response()
            assert response.parameters["triton_final_response"].bool_param
            answers[response.id] = result
        for number, samples in signals.items():
            mine = [answers[f"{number}/{index}"] for index in range(len(parts[number]))]
            audio, peaks = await expected(server.address, samples)
            np.testing.assert_array_equal(np.concatenate([one.as_numpy("audio") for one in mine]), audio)
            np.testing.assert_array_equal(np.concatenate([one.as_numpy("peak") for one in mine]), peaks)
            fed = 0
            for index, chunk in enumerate(parts[number][:-1]):  # each request has what it completed
                before, fed = fed // HOP, fed + len(chunk)
                assert mine[index].as_numpy("peak").shape == (fed // HOP - before,)
        await until(lambda: model.open_sessions == 0 and server.live_streams == 0)


async def test_a_sequence_lives_from_call_to_call_of_a_connection() -> None:
    samples = signal(5, 5000)
    parts = np.array_split(samples, 7)
    async with serving({"gain": GainModel()}) as server, connected(server) as client:
        for number in (9, "nine", 9):  # an id may be used again
            results = []
            for index in range(len(parts)):
                results.append(await client.infer(**request(number, parts, index)))
                assert server.live_streams == (index < len(parts) - 1)
            audio, peaks = await expected(server.address, samples)
            np.testing.assert_array_equal(np.concatenate([one.as_numpy("audio") for one in results]), audio)
            np.testing.assert_array_equal(np.concatenate([one.as_numpy("peak") for one in results]), peaks)
        await client.infer(**request(3, parts, 0))
        again = [await client.infer(**request(3, parts, index)) for index in range(len(parts))]  # started afresh
        np.testing.assert_array_equal(np.concatenate([one.as_numpy("audio") for one in again]), audio)
        stats = (await client.get_inference_statistics("gain")).model_stats[0]
        frames = 4 * 2 * len(peaks) + len(parts[0]) // HOP
        assert stats.inference_stats.success.count == 4 * len(parts) + 1
        assert stats.inference_count == stats.inference_stats.queue.count > frames // 2
        assert stats.execution_count == sum(batch.compute_infer.count for batch in stats.batch_stats)


def stream(address: str, requests: Sequence[dict[str, Any]], on_answer: Callable[[], None] = lambda: None) -> list[Any]:
    """Return the answers that Triton's synchronous client gets, up to the last of each request."""
    answers: queue.Queue[Any] = queue.Queue()
    got: list[Any] = []
    client: Any = triton.InferenceServerClient(address)

    def take(result: Any, error: Any) -> None:
        answers.put((result, error))
        on_answer()

    with client:
        client.start_stream(take)
        for one in requests:
            client.async_stream_infer(**one)
        finals = 0
        while finals < len(requests):
            result, error = answers.get(timeout=PATIENCE_S)
            assert error is None
            got.append(result)
            finals += result.get_response().parameters["triton_final_response"].bool_param
        client.stop_stream()
    return got


async def test_the_synchronous_client_streams() -> None:
    samples = signal(6, 3000)
    parts = np.array_split(samples, 5)
    async with serving({"gain": GainModel()}) as server:
        got = await asyncio.to_thread(stream, server.address, [request(1, parts, index) for index in range(5)])
        audio, _ = await expected(server.address, samples)
    np.testing.assert_array_equal(np.concatenate([result.as_numpy("audio") for result in got]), audio)


async def test_rates_channels_and_features_go_in_by_shape_and_parameter() -> None:
    samples = signal(7, 6000).reshape(3000, 2)
    rows = signal(8, 300).reshape(100, 3)
    async with serving({"gain": GainModel(), "rows": RowSumModel()}) as server, connected(server) as client:
        parts = np.array_split(samples, 4)
        results = [
            await client.infer(**request(1, parts, index, parameters={"sample_rate_hz": 48000} if index == 0 else None))
            for index in range(4)
        ]
        audio, _ = await expected(server.address, samples, sample_rate_hz=48000, channels=2)
        np.testing.assert_array_equal(np.concatenate([one.as_numpy("audio") for one in results]), audio)
        parts = np.array_split(rows, 6)
        results = [await client.infer(**request("r", parts, index, "rows", "features")) for index in range(6)]
        np.testing.assert_array_equal(np.concatenate([one.as_numpy("sum") for one in results]), rows.sum(axis=1))


async def test_events_come_as_texts() -> None:
    samples = np.repeat(np.array([0, 0.75, 0, 0.6, 0, 0.9], np.float32), 3 * HOP)
    parts = [samples[:HOP], samples[HOP : 11 * HOP], samples[11 * HOP :]]
    async with serving({"gain": GainModel()}) as server, connected(server) as client:
        async with StreamClient(server.address) as own:
            theirs = [event for result in await process(own, samples, 1000) for event in result.events]
        whole = [await client.infer(**request(1, parts, index)) for index in range(3)]
        asked = [triton.InferRequestedOutput("events")]
        alone = [await client.infer(**request(2, parts, index, outputs=asked)) for index in range(3)]
        requests = [request(3, parts, index, enable_empty_final_response=True) for index in range(3)]
        answers = await asyncio.to_thread(stream, server.address, requests)
    each = [result for result in answers if result.get_response().outputs]
    assert [len(result.as_numpy("events")) for result in whole] == [0, 3, 3]
    for results in (whole, alone, each):
        texts = [text for result in results for text in result.as_numpy("events")]
        assert [json.loads(text) for text in texts] == [asdict(event) for event in theirs]
    assert [one.name for one in alone[0].get_response().outputs] == ["events"]


async def test_results_can_leave_as_they_are_computed() -> None:
    samples = signal(9, 40 * HOP)
    parts = [samples[:1], samples[1 : 30 * HOP], samples[30 * HOP :]]
    requests = [request(1, parts, index, enable_empty_final_response=True) for index in range(3)]
    turnstile = Turnstile()
    turnstile.turn()  # and then the next frame is computed when an answer has come
    model = GainModel(go_on=turnstile)
    async with serving({"gain": model}) as server:
        got = await asyncio.to_thread(stream, server.address, requests, turnstile.turn)
        model.go_on = None
        audio, _ = await expected(server.address, samples)
    by_request = {one["request_id"]: [r for r in got if r.get_response().id == one["request_id"]] for one in requests}
    assert [len(answers) > 8 for answers in by_request.values()] == [False, True, True]
    for answers in by_request.values():
        finals = [one.get_response().parameters["triton_final_response"].bool_param for one in answers]
        assert finals == [False] * (len(answers) - 1) + [True]
        assert not answers[-1].get_response().outputs
    pieces = [one.as_numpy("audio") for answers in by_request.values() for one in answers[:-1]]
    np.testing.assert_array_equal(np.concatenate(pieces), audio)


async def test_an_error_is_a_message_and_the_stream_goes_on() -> None:
    samples = signal(10, 1600)
    parts = np.array_split(samples, 4)
    bad = samples[:200].copy()
    bad[150] = np.nan
    requests = [
        request(1, parts, 0),
        request(1, [bad] * 3, 1, request_id="nan"),
        request(1, [samples.reshape(-1, 2)] * 3, 1, request_id="channels"),
        request(2, parts, 1, request_id="unknown"),
        request(1, parts, 1, priority=4, request_id="priority"),
        request(1, parts, 1, name="sound", request_id="name"),
        request(1, parts, 1, model="other", request_id="model"),
        request(0, parts, 1, request_id="none"),
        *(request(1, parts, index) for index in (1, 2, 3)),
    ]
    async with serving({"gain": GainModel()}) as server, connected(server) as client:
        got = await exchange(client, requests)
        audio, _ = await expected(server.address, samples)
    errors = sorted(str(error) for _, error in got if error is not None)
    assert len(errors) == 7
    for error, words in zip(
        errors,
        (
            "a chunk of 2 channel(s) in a sequence of 1",
            "input 'sound' for model 'gain'; 'audio' alone would work",
            "'gain' is a stream, whose requests belong to a sequence; with sequence_id",
            "no model 'other'",
            "priority is 4; 1 (first) to 3 would work",
            "sequence 2 of model 'gain' is not open here",
            "the chunk holds nan at sample",
        ),
        strict=True,
    ):
        assert words in error
    good = {result.get_response().id: result for result, error in got if error is None}
    pieces = [good[f"1/{index}"].as_numpy("audio") for index in range(4)]
    np.testing.assert_array_equal(np.concatenate(pieces), audio)


async def test_a_sequence_is_its_connections_alone_and_ends_with_its_call(monkeypatch: pytest.MonkeyPatch) -> None:
    model = GainModel()
    parts = np.array_split(signal(11, 1600), 4)
    timers = HeldTimers(monkeypatch)
    async with serving({"gain": model}, sequence_idle_s=DAY_S) as server, connected(server) as client:
        await exchange(client, [request(1, parts, 0), request(2, parts, 0), request(1, parts, 1)])
        await until(lambda: model.open_sessions == 0)  # its client has half-closed
        with pytest.raises(InferenceServerException, match="sequence 1 of model 'gain' is not open here"):
            await client.infer(**request(1, parts, 1))
        await client.infer(**request(1, parts, 0))
        assert server.live_streams == 1
        timers.fire()  # nothing came for a day
        assert server.live_streams == model.open_sessions == 0
        with pytest.raises(InferenceServerException, match="sequence 1 of model 'gain' is not open here"):
            await client.infer(**request(1, parts, 1))


async def test_sequences_count_as_streams() -> None:
    parts = np.array_split(signal(12, 1600), 4)
    async with serving({"gain": GainModel(max_sessions=3)}, max_streams=2) as server, connected(server) as client:
        for number in (1, 2):
            await client.infer(**request(number, parts, 0))
        with pytest.raises(InferenceServerException, match="the server has 2 streams") as caught:
            await client.infer(**request(3, parts, 0))
        assert "RESOURCE_EXHAUSTED" in str(caught.value.status())
        for number in (1, 2):
            await client.infer(**request(number, parts, 3))
        await client.infer(**request(3, parts, 0))
        assert server.live_streams == 1
    assert server.live_streams == 0


async def test_a_request_that_waits_too_long_takes_nothing() -> None:
    samples = signal(13, 30 * HOP)
    parts = [samples[: 28 * HOP], samples[28 * HOP : 29 * HOP], samples[29 * HOP :]]
    go_on = threading.Event()
    requests = [
        request(1, parts, 0),
        request(1, parts, 1, timeout=20_000),
        request(1, parts, 1),
        request(1, parts, 2),
    ]
    got: list[Any] = []
    async with serving({"gain": GainModel(go_on=go_on)}) as server, connected(server) as client:
        async with asyncio.timeout(PATIENCE_S):
            async for answer in client.stream_infer(aiter_of(requests)):
                got.append(answer)
                go_on.set()  # the first answer is to the request that does not wait for the one before it
        assert got[0][1] is not None
        audio, _ = await expected(server.address, samples)
    errors = [str(error) for _, error in got if error is not None]
    assert len(errors) == 1
    assert "waited longer than its timeout of 0.02 s" in errors[0]
    pieces = [result.as_numpy("audio") for result, error in got if error is None]
    np.testing.assert_array_equal(np.concatenate(pieces), audio)


async def test_a_failed_step_ends_the_sequence() -> None:
    model = GainModel(step_error=RuntimeError("secret"))
    parts = np.array_split(signal(14, 1600), 4)
    async with serving({"gain": model}) as server, connected(server) as client:
        with pytest.raises(InferenceServerException, match="the server failed to process") as caught:
            await client.infer(**request(1, parts, 0))
        assert "INTERNAL" in str(caught.value.status())
        assert model.open_sessions == server.live_streams == 0


async def test_a_client_that_goes_leaves_nothing_behind() -> None:
    go_on = threading.Event()
    model = GainModel(go_on=go_on)
    parts = np.array_split(signal(15, 60 * HOP), 3)
    async with serving({"gain": model}) as server, connected(server) as client:
        for number in range(1, 6):  # a call that is cancelled while its frames are computed ends its sequence
            call = asyncio.create_task(client.infer(**request(number, parts, 0)))
            await until(lambda: model.open_sessions == 1)
            call.cancel()
            await until(lambda: server.live_streams == 0)
            go_on.set()  # until here the first of its frames is being computed
            await until(lambda: model.open_sessions == 0)
            go_on.clear()
        answers = client.stream_infer(aiter_of([request(number, parts, 0) for number in range(1, 5)]))
        await until(lambda: model.open_sessions == 4)
        answers.cancel()
        await until(lambda: server.live_streams == 0)
        go_on.set()
        await until(lambda: model.open_sessions == 0)
        await client.infer(**request(7, parts, 0))
    assert model.open_sessions == 0  # the server has stopped


async def test_a_client_that_does_not_read_loses_its_call() -> None:
    model = GainModel()
    second = pb.ModelInferRequest(model_name="gain", raw_input_contents=[bytes(4 * 16000)])
    second.inputs.add(name="audio", datatype="FP32", shape=[16000])
    second.parameters["sequence_id"].int64_param = 1
    first = pb.ModelInferRequest()
    first.CopyFrom(second)
    first.parameters["sequence_start"].bool_param = True
    async with (
        serving({"gain": model}, slow_client_timeout_s=0.5) as server,
        grpc.aio.insecure_channel(server.address, options=[("grpc.use_local_subchannel_pool", 1)]) as channel,
    ):
        call: Any = channel.stream_stream(
            "/inference.GRPCInferenceService/ModelStreamInfer",
            request_serializer=pb.ModelInferRequest.SerializeToString,
            response_deserializer=pb.ModelStreamInferResponse.FromString,
        )()

        async def send() -> None:
            await call.write(first)
            while True:
                await call.write(second)

        sender = asyncio.create_task(send())
        await until(lambda: model.open_sessions == 1)
        await until(lambda: model.open_sessions == server.live_streams == 0)
        sender.cancel()
        call.cancel()


async def test_what_is_no_message_is_an_invalid_argument() -> None:
    model = GainModel()
    async with serving({"gain": model}) as server, grpc.aio.insecure_channel(server.address) as channel:
        call: Any = channel.stream_stream("/inference.GRPCInferenceService/ModelStreamInfer")()
        await call.write(b"\xff\xff\xff")
        assert await call.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert await call.details() == "a request is not a valid message of inference"


async def test_requests_before_what_is_no_message_are_answered_first() -> None:
    """The call ends with its status, though an answer was being written when the damaged message came."""
    model = GainModel(step_s=0.05)
    request = pb.ModelInferRequest(model_name="gain", raw_input_contents=[bytes(4 * 160)])
    request.inputs.add(name="audio", datatype="FP32", shape=[160])
    request.parameters["sequence_id"].int64_param = 1
    request.parameters["sequence_start"].bool_param = True
    async with serving({"gain": model}) as server, grpc.aio.insecure_channel(server.address) as channel:
        call: Any = channel.stream_stream("/inference.GRPCInferenceService/ModelStreamInfer")()
        await call.write(request.SerializeToString())
        await call.write(b"\xff\xff\xff")
        answer = pb.ModelStreamInferResponse.FromString(await call.read())
        assert answer.infer_response.model_name == "gain"
        assert await call.code() is grpc.StatusCode.INVALID_ARGUMENT
        await until(lambda: model.open_sessions == server.live_streams == 0)
