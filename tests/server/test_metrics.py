"""What Prometheus reads of a server, by its own parser."""

from __future__ import annotations

from pathlib import Path

import grpc
import numpy as np
import pytest

from tests.server.fakes import HOP, Doubled, GainModel, InvertModel
from tests.server.guards import write_tokens
from tests.server.running import process, serving, until
from tests.server.shelf import NAME, Shelf, exchanged, serves, shelf_client, versions
from wavetile.clients import Part, StreamClient
from wavetile.engine.errors import ServerError, WavetileError
from wavetile.engine.server import Security, WebAddress
from wavetile.proto.inference.v2 import inference_pb2

pytest.importorskip("aiohttp", reason="the extra 'metrics' is not installed")
parser = pytest.importorskip("prometheus_client.parser", reason="the extra 'metrics' is not installed")

HERE = WebAddress("127.0.0.1", 0)


async def scrape(url: str, token: str = "") -> dict[tuple[str, ...], float]:
    """(Sample's name, its labels' values in the order of their names) -> value."""
    import aiohttp

    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with aiohttp.ClientSession() as session, session.get(f"{url}/metrics", headers=headers) as response:
        assert response.status == 200
        text = await response.text()
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in parser.text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_frames_streams_and_batches_are_counted_by_model() -> None:
    models = {"gain": GainModel(), "invert": InvertModel()}
    async with (
        serving(models, metrics=HERE, max_streams=2, version="1.2.3") as server,
        StreamClient(server.address) as client,
    ):
        before = await scrape(server.urls["metrics"])
        assert before["wavetile_frames_total", "gain"] == 0
        await process(client, np.ones(5 * HOP, np.float32), HOP, sample_rate_hz=16_000)
        async with client.stream("gain", sample_rate_hz=16_000, channels=3) as stream:
            with pytest.raises(ServerError):
                async with client.stream("gain", sample_rate_hz=1):
                    pass
            await stream.send(np.ones((HOP, 3), np.float32))
            await until(lambda: [one.frames for one in server.activity.open.values()] == [1])
            async with client.stream_images("invert", height=4, width=6, pixel_type="float32") as images:
                await images.send(Part(np.zeros((4, 6), np.float32)))
                await anext(images)
                await until(lambda: server.activity.of("invert").parts.compute.count == 1)
                seen = await scrape(server.urls["metrics"])
    frames = 5 + 1 + 1  # the flush's, and the other stream's
    assert seen["wavetile_frames_total", "gain"] == frames
    for part in ("queue", "compute", "end_to_end"):
        assert seen[f"wavetile_frame_{part}_seconds_count", "gain"] == frames
        assert seen[f"wavetile_frame_{part}_seconds_bucket", "+Inf", "gain"] == frames
        assert 0 < seen[f"wavetile_frame_{part}_seconds_sum", "gain"] < 60
    buckets = [value for (name, *_), value in seen.items() if name == "wavetile_frame_end_to_end_seconds_bucket"]
    assert buckets == sorted(buckets)
    assert seen["wavetile_batch_frames_sum", "gain"] == frames
    assert seen["wavetile_streams_active", "gain"] == seen["wavetile_streams_active", "invert"] == 1
    assert seen["wavetile_state_bytes", "gain"] == 3 * 640
    assert seen["wavetile_streams_opened_total", "gain"] == 2
    assert seen["wavetile_streams_ended_total", "ok", "gain"] == 1
    assert seen["wavetile_streams_refused_total", "gain", "signal"] == 1
    assert seen["wavetile_image_part_compute_seconds_count", "invert"] == 1
    assert (seen["wavetile_streams_limit",], seen["wavetile_info", "1.2.3"]) == (2, 1)
    assert seen["process_resident_memory_bytes",] > 1e6


@pytest.mark.usefixtures("unwatched")
async def test_the_measured_load_is_told() -> None:
    async with (
        serving({"gain": GainModel(step_s=0.001)}, metrics=HERE, max_load=0.9) as server,
        StreamClient(server.address) as client,
        client.stream("gain", sample_rate_hz=16_000),
    ):
        seen = await scrape(server.urls["metrics"])
    assert seen["wavetile_admission_limit_ratio",] == 0.9
    assert seen["wavetile_admitted_load_ratio",] > 0.0


async def test_what_is_refused_is_counted_by_reason(tmp_path: Path) -> None:
    tokens = write_tokens(tmp_path / "tokens", ada="administer", bob="infer")
    security = Security(tokens=tmp_path / "tokens")
    async with serving({}, networks={"doubled": Doubled()}, metrics=HERE, security=security) as server:
        async with grpc.aio.insecure_channel(server.address) as channel:
            infer = channel.unary_unary(
                "/inference.GRPCInferenceService/ModelInfer",
                request_serializer=inference_pb2.ModelInferRequest.SerializeToString,
                response_deserializer=inference_pb2.ModelInferResponse.FromString,
            )
            for token in ("", tokens["ada"], tokens["bob"]):
                metadata = (("authorization", f"Bearer {token}"),)
                with pytest.raises(grpc.aio.AioRpcError):
                    await infer(inference_pb2.ModelInferRequest(model_name="doubled"), metadata=metadata)
        seen = await scrape(server.urls["metrics"], tokens["bob"])
    assert seen["wavetile_calls_refused_total", "UNAUTHENTICATED"] == 1
    assert seen["wavetile_calls_refused_total", "PERMISSION_DENIED"] == 1
    assert seen["wavetile_evaluations_failed_total", "doubled", "signal"] == 1
    assert seen["wavetile_evaluation_compute_seconds_count", "doubled"] == 0
    assert seen["wavetile_draining",] == 0


async def test_metrics_keep_the_rules_of_the_grpc_port() -> None:
    with pytest.raises(WavetileError, match=r"needs TLS .* --metrics 127.0.0.1 would work"):
        async with serving({}, metrics=WebAddress("0.0.0.0", 0)):
            pass
    with pytest.raises(WavetileError, match="--tokens or --jwks besides would work"):
        async with serving({}, dashboard=WebAddress("0.0.0.0", 0), security=Security(insecure=True)):
            pass


async def test_a_port_that_is_taken_is_an_error() -> None:
    async with serving({}, metrics=HERE) as server:
        taken = int(server.urls["metrics"].rpartition(":")[2])
        with pytest.raises(WavetileError, match=f"can not listen on 127.0.0.1:{taken}"):
            async with serving({}, metrics=WebAddress("127.0.0.1", taken)):
                pass


async def test_each_version_says_how_many_use_it_and_counts_go_on() -> None:
    shelf = Shelf(overlap={1: 1.0})
    async with shelf_client(shelf, metrics=HERE) as (server, client):
        async with client.stream(NAME) as old:
            await exchanged(old, np.ones(4 * HOP, np.float32), [])
            shelf.models[NAME][2] = 1.0
            server.reread()
            await until(lambda: serves(server, "2"))
            both = await scrape(server.urls["metrics"])
        await until(lambda: versions(server) == ["2"])
        after = await scrape(server.urls["metrics"])
    name = "wavetile_version_uses"
    assert {key[2:]: value for key, value in both.items() if key[0] == name} == {
        ("serving", "2"): 0,
        ("draining", "1"): 1,
    }
    assert {key[2:]: value for key, value in after.items() if key[0] == name} == {("serving", "2"): 0}
    # Who leaves may have the rest of its signal computed before the server knows it.
    assert both["wavetile_frames_total", NAME] == 4 <= after["wavetile_frames_total", NAME]
    assert after["wavetile_streams_opened_total", NAME] == 1
