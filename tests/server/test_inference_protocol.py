"""The Open Inference Protocol through Triton's own client: what the server says of itself, evaluations, refusals."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import onnx
import pytest
import tritonclient.grpc as triton
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from tritonclient.grpc import model_config_pb2 as config_messages
from tritonclient.grpc import service_pb2 as service_messages
from tritonclient.grpc import service_pb2_grpc
from tritonclient.utils import InferenceServerException

import wavetile
from tests.patience import PATIENCE_S
from wavetile.engine.commands.served import evaluated
from wavetile.engine.server import TensorDescription
from wavetile.proto.inference.v2 import inference_pb2 as pb

from .fakes import GainModel, InvertModel, RowSumModel
from .running import serving, until
from .triton_client import client_of, connected, tensor

# Generated code, of which no types are known.
model_config_pb2: Any = config_messages
service_pb2: Any = service_messages

NETWORK = """<ir_version: 8, opset_import: ["" : 17]>
small (float[batch, 4] x, float[4] b, int64[1] n) => (float[batch, 4] y, int64[1] m, bool[batch, 4] positive) {
    t = Tanh (x)
    y = Add (t, b)
    m = Add (n, n)
    zero = Constant <value = float {0}> ()
    positive = Greater (y, zero)
}"""


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a network's file."""
    path = tmp_path_factory.mktemp("networks") / "small.onnx"
    onnx.save(onnx.parser.parse_model(NETWORK), path)
    return path


@pytest.fixture(scope="module")
def networks(path: Path) -> Mapping[str, Any]:
    """Return the network as the command `serve` serves it."""
    return evaluated(wavetile.load(path))


class Slow:
    """A network that says in which order it was asked, and takes as long as it is told."""

    inputs = (TensorDescription("x", "float32", ("n",)),)
    outputs = (TensorDescription("y", "complex64", ("n",)), TensorDescription("z", "float32", ("n",)))

    def __init__(self) -> None:
        self.order: list[float] = []
        self.go = threading.Event()

    def run(self, inputs: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        self.order.append(float(inputs["x"][0]))
        assert self.go.wait(PATIENCE_S)
        return {"y": inputs["x"].astype(np.complex64), "z": inputs["x"]}


def arguments(rows: int = 2) -> dict[str, np.ndarray]:
    random = np.random.default_rng(rows)
    return {
        "x": random.standard_normal((rows, 4)).astype(np.float32),
        "b": random.standard_normal(4).astype(np.float32),
        "n": np.array([21], np.int64),
    }


def tensors(arrays: Mapping[str, np.ndarray]) -> list[triton.InferInput]:
    return [tensor(name, array, {"f": "FP32", "i": "INT64"}[array.dtype.kind]) for name, array in arrays.items()]


def by_onnxruntime(path: Path, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(arrays)), strict=True))


def test_the_messages_are_the_protocols() -> None:
    """Every field here has the name, number, type and label that it has in Triton's own definition."""
    theirs = {**service_pb2.DESCRIPTOR.message_types_by_name, **model_config_pb2.DESCRIPTOR.message_types_by_name}

    def compare(ours: Any, other: Any) -> None:
        for field in ours.fields:
            known = other.fields_by_name[field.name]
            assert (field.number, field.type, field.is_repeated) == (known.number, known.type, known.is_repeated), field
            if field.message_type is not None:
                assert field.message_type.name == known.message_type.name
        for nested in ours.nested_types:
            compare(nested, other.nested_types_by_name[nested.name])

    for name, message in pb.DESCRIPTOR.message_types_by_name.items():
        compare(message, theirs[name])
    types = model_config_pb2.DESCRIPTOR.enum_types_by_name["DataType"].values_by_name
    for value in pb.DataType.DESCRIPTOR.values:
        assert types[value.name].number == value.number


async def test_the_server_says_what_it_is_and_has(networks: Mapping[str, Any]) -> None:
    models = {"gain": GainModel(), "invert": InvertModel(), "rows": RowSumModel()}
    async with client_of(networks, models, version="1.2.3") as client:
        assert await client.is_server_live()
        assert await client.is_server_ready()
        assert await client.is_model_ready("small")
        assert await client.is_model_ready("small", "1")
        assert not await client.is_model_ready("small", "2")
        assert not await client.is_model_ready("other")
        about = await client.get_server_metadata()
        assert (about.name, about.version) == ("wavetile", "1.2.3")
        assert "sequence" in about.extensions
        assert not any("memory" in extension for extension in about.extensions)
        index = await client.get_model_repository_index()
        assert [(model.name, model.version, model.state) for model in index.models] == [
            (name, "1", "READY") for name in ("gain", "rows", "small")
        ]


async def test_metadata_and_config_have_names_types_and_shapes(networks: Mapping[str, Any]) -> None:
    async with client_of(networks, {"gain": GainModel(), "rows": RowSumModel()}) as client:
        about = await client.get_model_metadata("small", as_json=True)
        assert about["versions"] == ["1"]
        assert about["inputs"] == [
            {"name": "x", "datatype": "FP32", "shape": ["-1", "4"]},
            {"name": "b", "datatype": "FP32", "shape": ["4"]},
            {"name": "n", "datatype": "INT64", "shape": ["1"]},
        ]
        assert [(one["name"], one["datatype"]) for one in about["outputs"]] == [
            ("y", "FP32"),
            ("m", "INT64"),
            ("positive", "BOOL"),
        ]
        config = (await client.get_model_config("small")).config
        assert (config.name, config.backend, config.max_batch_size) == ("small", "wavetile", 0)
        assert [(one.name, one.data_type, list(one.dims)) for one in config.input] == [
            ("x", model_config_pb2.TYPE_FP32, [-1, 4]),
            ("b", model_config_pb2.TYPE_FP32, [4]),
            ("n", model_config_pb2.TYPE_INT64, [1]),
        ]
        assert config.output[2].data_type == model_config_pb2.TYPE_BOOL
        assert config.WhichOneof("scheduling_choice") is None
        stream = await client.get_model_metadata("gain", as_json=True)
        assert stream["inputs"] == [{"name": "audio", "datatype": "FP32", "shape": ["-1"]}]
        assert stream["outputs"] == [
            {"name": "audio", "datatype": "FP32", "shape": ["-1"]},
            {"name": "peak", "datatype": "FP32", "shape": ["-1"]},
            {"name": "events", "datatype": "BYTES", "shape": ["-1"]},
        ]
        rows = await client.get_model_metadata("rows", as_json=True)
        assert rows["inputs"] == [{"name": "features", "datatype": "FP32", "shape": ["-1", "3"]}]
        assert rows["outputs"] == [{"name": "sum", "datatype": "FP32", "shape": ["-1"]}]
        config = (await client.get_model_config("gain")).config
        assert [one.data_type for one in config.output] == [
            model_config_pb2.TYPE_FP32,
            model_config_pb2.TYPE_FP32,
            model_config_pb2.TYPE_STRING,
        ]
        assert config.sequence_batching.max_sequence_idle_microseconds == 60_000_000
        assert config.parameters["hop_samples"].string_value == "160"


async def test_an_evaluation_gives_onnxruntimes_numbers(networks: Mapping[str, Any], path: Path) -> None:
    async with client_of(networks) as client:
        for rows in (1, 3, 2):
            arrays = arguments(rows)
            result = await client.infer("small", tensors(arrays), request_id=f"r{rows}")
            expected = by_onnxruntime(path, arrays)
            assert result.get_response().id == f"r{rows}"
            np.testing.assert_allclose(result.as_numpy("y"), expected["y"], rtol=1e-6, atol=1e-6)
            np.testing.assert_array_equal(result.as_numpy("m"), expected["m"])
            np.testing.assert_array_equal(result.as_numpy("positive"), expected["positive"])
        asked = [triton.InferRequestedOutput("m"), triton.InferRequestedOutput("y")]
        response = (await client.infer("small", tensors(arguments()), outputs=asked)).get_response()
        assert [output.name for output in response.outputs] == ["m", "y"]


async def test_the_synchronous_client_infers_in_the_background_too(networks: Mapping[str, Any]) -> None:
    def work(address: str) -> Iterator[np.ndarray]:
        answers: list[Any] = []
        done = threading.Event()

        def keep(result: Any, error: Any) -> None:
            answers.append((result, error))
            if len(answers) == 4:
                done.set()

        client: Any = triton.InferenceServerClient(address)
        with client:
            yield client.infer("small", tensors(arguments())).as_numpy("y")
            for _ in range(4):
                client.async_infer("small", tensors(arguments()), keep)
            assert done.wait(PATIENCE_S)
        for result, error in answers:
            assert error is None
            yield result.as_numpy("y")

    async with serving({}, networks=networks) as server:
        first, *others = await asyncio.to_thread(lambda: list(work(server.address)))
    for other in others:
        np.testing.assert_array_equal(other, first)


async def test_typed_contents_are_read(networks: Mapping[str, Any]) -> None:
    arrays = arguments()
    request = service_pb2.ModelInferRequest(model_name="small")
    for name, field in (("x", "fp32_contents"), ("b", "fp32_contents"), ("n", "int64_contents")):
        array = arrays[name]
        one = request.inputs.add(name=name, datatype="INT64" if name == "n" else "FP32", shape=array.shape)
        getattr(one.contents, field).extend(array.ravel().tolist())
    async with serving({}, networks=networks) as server, grpc.aio.insecure_channel(server.address) as channel:
        stub: Any = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        response = await stub.ModelInfer(request)
        y = np.frombuffer(response.raw_output_contents[0], "<f4").reshape(2, 4)
        np.testing.assert_array_equal(y, networks["small"].run(arrays)["y"])
        request.inputs[2].contents.int_contents.append(1)
        with pytest.raises(grpc.RpcError, match="int_contents; int64_contents would work"):
            await stub.ModelInfer(request)
        request.raw_input_contents.append(b"")
        with pytest.raises(grpc.RpcError, match="1 raw_input_contents for 3 inputs"):
            await stub.ModelInfer(request)


async def refusal(client: Any, *args: Any, **more: Any) -> tuple[str, str]:
    """The status and the message of a refused request."""
    with pytest.raises(InferenceServerException) as caught:
        await client.infer(*args, **more)
    return str(caught.value.status()).removeprefix("StatusCode."), str(caught.value.message())


async def test_what_is_wrong_with_a_request_is_said(networks: Mapping[str, Any]) -> None:
    good = arguments()
    async with client_of(networks) as client:
        for inputs, options, code, message in (
            ({"x": good["x"]}, {}, "INVALID_ARGUMENT", "input 'b' of network 'small' is missing"),
            ({**good, "q": good["b"]}, {}, "INVALID_ARGUMENT", "has no input 'q'"),
            ({**good, "x": good["b"]}, {}, "INVALID_ARGUMENT", "the shape [4] does not fit"),
            ({**good, "b": good["n"]}, {}, "INVALID_ARGUMENT", "an array of int64 was given"),
            (
                good,
                {"sequence_id": 7, "sequence_start": True},
                "INVALID_ARGUMENT",
                "keeps nothing between requests; without sequence_id",
            ),
            (good, {"priority": 9}, "INVALID_ARGUMENT", "priority is 9; 1"),
            (good, {"timeout": -1}, "INVALID_ARGUMENT", "timeout is -1; 0"),
            (good, {"parameters": {"top": 3}}, "INVALID_ARGUMENT", "'top' is unknown; sequence_id"),
            (good, {"model_version": "4"}, "NOT_FOUND", "'small' has no version '4'; '1'"),
            (good, {"outputs": [triton.InferRequestedOutput("w")]}, "INVALID_ARGUMENT", "no output 'w'; its outputs"),
            (
                good,
                {"outputs": [triton.InferRequestedOutput("y", class_count=2)]},
                "INVALID_ARGUMENT",
                "'y' has the parameter 'classification'",
            ),
        ):
            status, said = await refusal(client, "small", tensors(inputs), **options)
            assert (status, message in said) == (code, True), said
        assert await refusal(client, "other", tensors(good)) == (
            "NOT_FOUND",
            "no model 'other' for this protocol; this server has small",
        )
        text = triton.InferInput("x", [1], "BYTES")
        text.set_data_from_numpy(np.array([b"text"], dtype=object))
        code, message = await refusal(client, "small", [text])
        assert (code, message[:18]) == ("UNIMPLEMENTED", "input 'x' is BYTES")
        with pytest.raises(InferenceServerException, match="no model 'other'") as caught:
            await client.get_model_metadata("other")
        assert "NOT_FOUND" in str(caught.value.status())


async def test_memory_of_the_server_is_not_for_clients(networks: Mapping[str, Any]) -> None:
    async with client_of(networks) as client:
        for call in (
            client.get_system_shared_memory_status(),
            client.register_system_shared_memory("region", "/dev/shm/key", 64),
            client.unregister_system_shared_memory(),
            client.get_cuda_shared_memory_status(),
            client.register_cuda_shared_memory("region", b"aGFuZGxl", 0, 64),
            client.unregister_cuda_shared_memory(),
            client.load_model("small"),
            client.unload_model("small"),
            client.get_trace_settings(),
            client.update_log_settings({"log_verbose_level": 3}),
        ):
            with pytest.raises(InferenceServerException, match=r"clients|who starts the server") as caught:
                await call
            assert "UNIMPLEMENTED" in str(caught.value.status())
        x, *others = tensors(arguments())
        x.set_shared_memory("region", 32)
        code, message = await refusal(client, "small", [x, *others])
        assert (code, "shared memory" in message) == ("UNIMPLEMENTED", True)
        y = triton.InferRequestedOutput("y")
        y.set_shared_memory("region", 32)
        assert (await refusal(client, "small", tensors(arguments()), outputs=[y]))[0] == "UNIMPLEMENTED"


async def test_priorities_and_timeouts_are_kept() -> None:
    slow = Slow()

    async def ask(number: int, **options: Any) -> Any:
        return await client.infer("slow", [tensor("x", np.array([number], np.float32), "FP32")], **options)

    z = [triton.InferRequestedOutput("z")]
    async with (
        serving({}, networks={"slow": slow}, max_queued_evaluations=4) as server,
        connected(server) as client,
    ):
        turns = server._inference._turns
        tasks = [asyncio.create_task(ask(0, outputs=z))]
        await until(lambda: bool(slow.order))
        for number, priority in ((1, 3), (2, 0), (3, 1)):
            tasks.append(asyncio.create_task(ask(number, priority=priority, outputs=z)))
        await until(lambda: turns.waiting == 3)
        with pytest.raises(InferenceServerException, match=r"waited longer than its timeout of 0\.02 s") as caught:
            await ask(4, timeout=20_000)
        assert "DEADLINE_EXCEEDED" in str(caught.value.status())
        tasks.append(asyncio.create_task(ask(5, outputs=z)))
        await until(lambda: turns.waiting == 4)
        with pytest.raises(InferenceServerException, match="4 evaluations wait") as caught:
            await ask(6)
        assert "RESOURCE_EXHAUSTED" in str(caught.value.status())
        tasks.pop().cancel()
        await until(lambda: turns.waiting == 3)
        slow.go.set()
        await asyncio.gather(*tasks)
        assert slow.order == [0, 3, 2, 1]
        with pytest.raises(InferenceServerException, match="'y' is complex64, which the protocol does not carry"):
            await ask(7)


async def test_statistics_count_what_was_done(networks: Mapping[str, Any]) -> None:
    async with client_of(networks, {"gain": GainModel()}) as client:
        for _ in range(3):
            await client.infer("small", tensors(arguments()))
        with pytest.raises(InferenceServerException):
            await client.infer("small", [])
        (model,) = (await client.get_inference_statistics("small")).model_stats
        stats = model.inference_stats
        assert (model.inference_count, model.execution_count) == (3, 3)
        assert (stats.success.count, stats.fail.count) == (3, 1)
        parts = (stats.queue, stats.compute_input, stats.compute_infer, stats.compute_output)
        assert all(part.count == 3 and part.ns > 0 for part in parts)
        assert stats.success.ns >= sum(part.ns for part in parts)
        assert model.last_inference > 1_600_000_000_000
        everything = (await client.get_inference_statistics()).model_stats
        assert [one.name for one in everything] == ["gain", "small"]
        assert everything[0].inference_count == 0


async def test_reflection_has_the_protocol_by_its_own_names() -> None:
    async with serving({}) as server, grpc.aio.insecure_channel(server.address) as channel:
        stub: Any = reflection_pb2_grpc.ServerReflectionStub(channel)  # pyright: ignore[reportArgumentType] - typed for the sync API
        call = stub.ServerReflectionInfo()
        await call.write(reflection_pb2.ServerReflectionRequest(list_services=""))
        assert "inference.GRPCInferenceService" in {
            service.name for service in (await call.read()).list_services_response.service
        }
        await call.write(
            reflection_pb2.ServerReflectionRequest(file_containing_symbol="inference.GRPCInferenceService")
        )
        (file,) = (await call.read()).file_descriptor_response.file_descriptor_proto
        await call.done_writing()
    assert b".inference.ModelInferRequest" in file
    assert b"wavetile" not in file.partition(b"\x12")[2]


async def test_a_draining_server_is_not_ready(networks: Mapping[str, Any]) -> None:
    async with serving({}, networks=networks) as server, connected(server) as client:
        assert await client.is_server_ready()
        server._admission.drain()
        assert await client.is_server_live()
        assert not await client.is_server_ready()
        assert not await client.is_model_ready("small")
        index = await client.get_model_repository_index()
        assert {model.state for model in index.models} == {"UNAVAILABLE"}
