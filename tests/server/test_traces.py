"""Spans of streams, image parts and evaluations, as OpenTelemetry's own in-memory exporter gets them."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import grpc
import numpy as np
import pytest

from tests.server.fakes import HOP, Doubled, GainModel, InvertModel
from tests.server.running import process, serving, until
from wavetile.clients import StreamClient
from wavetile.engine.errors import ServerError, WavetileError
from wavetile.engine.server.telemetry import OpenTelemetry, from_environment
from wavetile.proto.inference.v2 import inference_pb2 as inference
from wavetile.proto.v1 import wavetile_pb2 as pb
from wavetile.proto.v1 import wavetile_pb2_grpc as pb_grpc

pytest.importorskip("opentelemetry.sdk", reason="the extra 'telemetry' is not installed")

TRACE, PARENT = 0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331
METADATA = (("traceparent", f"00-{TRACE:032x}-{PARENT:016x}-01"),)


class Kept:
    """Tracing whose spans stay here."""

    def __init__(self) -> None:
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

        self._exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracing = OpenTelemetry(provider)

    def named(self, name: str) -> list[Any]:
        return [span for span in self._exporter.get_finished_spans() if span.name == name]


@pytest.fixture
def kept() -> Kept:
    return Kept()


async def test_a_stream_is_a_span_with_its_numbers(kept: Kept) -> None:
    async with (
        serving({"gain": GainModel()}, tracing=kept.tracing) as server,
        StreamClient(server.address) as client,
    ):
        await process(client, np.ones((3 * HOP, 2), np.float32), HOP, sample_rate_hz=48_000, channels=2)
        with pytest.raises(ServerError):
            async with client.stream("gain", sample_rate_hz=1):
                pass
        await until(lambda: len(kept.named("wavetile.v1 stream")) == 2)
    good, bad = kept.named("wavetile.v1 stream")
    expected = {"model": "gain", "protocol": "wavetile.v1", "sample_rate_hz": 48_000, "channels": 2, "frames": 4}
    outcomes = {"frames.late": 0, "frames.skipped": 0, "frames.bypassed": 0}
    assert {name: good.attributes[f"wavetile.{name}"] for name in expected} == expected
    assert {name: good.attributes[f"wavetile.{name}"] for name in outcomes} == outcomes
    assert (good.kind.name, good.parent, good.status.is_ok) == ("SERVER", None, True)
    assert (bad.status.is_ok, bad.status.description) == (False, "signal")


async def test_spans_are_in_the_trace_of_the_client(kept: Kept) -> None:
    models = {"invert": InvertModel()}
    async with serving(models, networks={"doubled": Doubled()}, tracing=kept.tracing) as server:
        async with grpc.aio.insecure_channel(server.address) as channel:
            call = pb_grpc.StreamServiceStub(channel).Stream(metadata=METADATA)
            image = pb.ImageConfig(height=4, width=6, pixel_type=pb.PIXEL_TYPE_FLOAT32)
            await call.write(pb.StreamRequest(config=pb.StreamConfig(model="invert", image=image)))
            await call.read()
            for _ in range(2):
                tile = pb.ImageTile(height=4, width=6, data=np.zeros(24, np.float32).tobytes())
                await call.write(pb.StreamRequest(tile=tile))
                await call.read()
            await call.done_writing()
            await call.read()
            infer = channel.unary_unary(
                "/inference.GRPCInferenceService/ModelInfer",
                request_serializer=inference.ModelInferRequest.SerializeToString,
                response_deserializer=inference.ModelInferResponse.FromString,
            )
            request = inference.ModelInferRequest(model_name="doubled", raw_input_contents=[b"\0" * 8])
            request.inputs.add(name="x", datatype="FP32", shape=[2])
            await infer(request, metadata=METADATA)
        await until(lambda: len(kept.named("wavetile.v1 stream")) == 1)
    (stream,), (evaluation,) = kept.named("wavetile.v1 stream"), kept.named("inference evaluation")
    for span in (stream, evaluation):
        assert (span.context.trace_id, span.parent.span_id) == (TRACE, PARENT)
    parts = kept.named("image part")
    assert [part.parent.span_id for part in parts] == [stream.context.span_id] * 2
    assert all(stream.start_time <= part.start_time <= part.end_time <= stream.end_time for part in parts)
    (compute,) = kept.named("compute")
    assert compute.parent.span_id == evaluation.context.span_id
    assert evaluation.attributes["wavetile.model"] == "doubled"


def test_exporters_are_chosen_by_the_standard_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "ward-7")
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
    tracing = from_environment("1.2.3")
    about = tracing._provider.resource.attributes
    assert (about["service.name"], about["service.version"]) == ("ward-7", "1.2.3")
    tracing.close()
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "nowhere")
    with pytest.raises(WavetileError, match="no exporter of traces is called 'nowhere'; there are: console"):
        from_environment("")
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "otlp")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "pigeon")
    with pytest.raises(WavetileError, match="OTLP over 'pigeon' is not known; grpc or http/protobuf would work"):
        from_environment("")


def test_nothing_is_imported_where_nothing_is_traced_or_shown() -> None:
    code = "import sys, wavetile.engine.server; print([name for name in sys.modules if name.split('.')[0] in %r])"
    extras = ("opentelemetry", "aiohttp", "prometheus_client", "grpc_channelz")
    said = subprocess.run([sys.executable, "-c", code % (extras,)], capture_output=True, text=True, check=True)
    assert said.stdout == "[]\n"
