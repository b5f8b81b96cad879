"""Versions that change while streams run: each stream stays with its own, bit for bit, and old ones leave nothing."""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tritonclient.utils import InferenceServerException

from tests.server.fakes import GainModel
from tests.server.guards import write_tokens
from tests.server.running import in_chunks, serving, until
from tests.server.shelf import NAME, Shelf, exchanged, rest_of, serves, shelf_client, undisturbed, versions
from tests.server.triton_client import connected, tensor
from wavetile.clients import StreamClient, StreamResult
from wavetile.engine.errors import ModelError, ServerError, WavetileError
from wavetile.engine.server import Loaded, Security

SIGNAL = np.random.default_rng(3).uniform(-1, 1, 160 * 60).astype(np.float32)
FIRST, REST = SIGNAL[: 160 * 30], SIGNAL[160 * 30 :]


@pytest.fixture
def no_collector() -> Iterator[None]:
    """`wavetile serve` keeps the collector from what it has loaded: what goes has to go without it."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def only(version: int) -> str:
    """What Triton's clients say to have this version."""
    return json.dumps({"version_policy": {"specific": {"versions": [version]}}})


async def index(client: Any) -> list[tuple[str, str, str]]:
    """Name, version and state of each version."""
    answer = await client.get_model_repository_index()
    return [(one.name, one.version, one.state) for one in answer.models]


async def test_a_stream_stays_with_its_version_and_new_ones_get_the_new_one(no_collector: None) -> None:
    shelf = Shelf(overlap={1: 1.0})
    results: list[StreamResult] = []
    async with shelf_client(shelf) as (server, client), connected(server) as triton:
        async with client.stream(NAME) as old:
            await exchanged(old, FIRST, results)
            shelf.models[NAME][2] = 0.5
            server.reread()
            await until(lambda: serves(server, "2"))
            assert versions(server) == ["2", "1"]
            assert (NAME, "1", "UNLOADING") in await index(triton)
            async with client.stream(NAME) as new:
                assert (old.info.model_version, new.info.model_version) == ("1", "2")
                assert [one.version for one in await client.list_models()] == ["2"]
                loud = await rest_of(new, [result async for result in new.exchange(in_chunks(SIGNAL, 999))])
            await exchanged(old, REST, results)
            assert not shelf.gone.is_gone("overlap 1")
            audio = await rest_of(old, results)
        np.testing.assert_array_equal(audio, await undisturbed(1.0, SIGNAL))
        np.testing.assert_array_equal(loud, await undisturbed(0.5, SIGNAL))
        await until(lambda: versions(server) == ["2"])
        await until(lambda: shelf.gone.is_gone("overlap 1"))
        assert await index(triton) == [
            (NAME, "1", "UNAVAILABLE"),
            (NAME, "2", "READY"),
            ("overlap.network", "2", "READY"),
        ]


async def test_a_rollback_is_the_same_and_what_still_drains_is_not_loaded_again() -> None:
    shelf = Shelf(overlap={1: 1.0, 2: 0.5})
    async with shelf_client(shelf) as (server, client), connected(server) as triton:
        assert versions(server) == ["2"]
        await triton.load_model(NAME, config=only(1))
        assert versions(server) == ["1"]
        async with client.stream(NAME) as stream:
            shelf.models[NAME][3] = 0.25
            server.reread()  # which leaves alone what was chosen
            await triton.load_model(NAME)
            assert versions(server) == ["3", "1"]
            await triton.load_model(NAME, config=only(1))
            assert versions(server) == ["1"]
            assert shelf.loaded == [(NAME, 2), (NAME, 1), (NAME, 3)]
            audio = await rest_of(stream, [result async for result in stream.exchange(in_chunks(SIGNAL, 999))])
        np.testing.assert_array_equal(audio, await undisturbed(1.0, SIGNAL))
        await triton.load_model(NAME, config=json.dumps({"version_policy": {"latest": {"num_versions": 1}}}))
        assert versions(server) == ["3"]
        del shelf.models[NAME][3]  # the folder's way to roll back
        server.reread()
        await until(lambda: versions(server) == ["2"])


def refusing(error: Exception) -> Any:
    def load() -> Loaded:
        raise error

    return load


@pytest.mark.parametrize(
    "error", [ModelError("node 'x' is wrong in secret/net.onnx"), ZeroDivisionError("secret/net.onnx")]
)
async def test_a_version_that_can_not_be_served_is_refused_and_the_old_one_goes_on(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    shelf = Shelf(overlap={1: 1.0})
    async with shelf_client(shelf) as (server, client), connected(server) as triton:
        async with client.stream(NAME) as stream:
            shelf.models[NAME][2] = refusing(error)
            with pytest.raises(InferenceServerException, match=r"2 of .* is refused .* version 1 goes on") as caught:
                await triton.load_model(NAME)
            assert "FAILED_PRECONDITION" in str(caught.value.status())
            assert "secret" not in str(caught.value)
            assert f"version 2 is refused: {error}; version 1 goes on" in caplog.text
            assert versions(server) == ["1"]
            (refused,) = [one for one in (await triton.get_model_repository_index()).models if one.version == "2"]
            assert refused.state == "UNAVAILABLE"
            assert "refused" in refused.reason
            assert "secret" not in refused.reason
            audio = await rest_of(stream, [result async for result in stream.exchange(in_chunks(SIGNAL, 999))])
        np.testing.assert_array_equal(audio, await undisturbed(1.0, SIGNAL))
        shelf.models[NAME][2] = 0.5  # mended
        server.reread()
        await until(lambda: versions(server) == ["2"])


async def test_a_server_starts_with_the_highest_version_that_can_be_served(caplog: pytest.LogCaptureFixture) -> None:
    shelf = Shelf(overlap={9: 1.0, 10: refusing(ModelError("no"))}, broken={1: refusing(ModelError("never"))})
    async with shelf_client(shelf) as (server, client), connected(server) as triton:
        assert versions(server) == ["9"]
        assert "model 'broken': version 1 is refused: never; nothing is served of it" in caplog.text
        with pytest.raises(ServerError, match=r"NOT_FOUND.*'10'; '9', or none given, would work"):
            async with client.stream(NAME, model_version="10"):
                pass
        async with client.stream(NAME, model_version="9") as named, client.stream(NAME) as unnamed:
            assert named.info.model_version == unnamed.info.model_version == "9"
        assert await triton.is_model_ready(NAME, "9")
        assert not await triton.is_model_ready(NAME, "10")
        assert list((await triton.get_model_metadata(NAME)).versions) == ["9"]
        with pytest.raises(ServerError, match="no model 'broken'; this server has overlap"):
            async with client.stream("broken"):
                pass


async def test_an_unloaded_model_is_not_found_until_it_is_loaded_again(no_collector: None) -> None:
    shelf = Shelf(overlap={1: 1.0})
    results: list[StreamResult] = []
    async with shelf_client(shelf) as (server, client), connected(server) as triton:
        async with client.stream(NAME) as stream:
            await exchanged(stream, FIRST, results)
            await triton.unload_model(NAME)
            for name in (NAME, "overlap.network"):
                with pytest.raises(InferenceServerException, match="no model"):
                    await triton.infer(name, [tensor("x", SIGNAL, "FP32")])
            with pytest.raises(ServerError, match="NOT_FOUND"):
                async with client.stream(NAME):
                    pass
            server.reread()  # which brings nothing back that was unloaded
            await exchanged(stream, REST, results)
            audio = await rest_of(stream, results)
        np.testing.assert_array_equal(audio, await undisturbed(1.0, SIGNAL))
        await until(lambda: versions(server) == [] and shelf.gone.is_gone("overlap 1"))
        await triton.load_model(NAME)
        async with client.stream(NAME) as stream:
            assert stream.info.model_version == "1"
        await triton.unload_model(NAME)
        await triton.unload_model(NAME)  # already is
        for call in (triton.unload_model("other"), triton.load_model("other"), triton.load_model(NAME, config=only(7))):
            with pytest.raises(InferenceServerException) as caught:
                await call
            assert "NOT_FOUND" in str(caught.value.status())


@pytest.mark.parametrize(
    "config",
    [
        "{",
        "[]",
        '{"max_batch_size": 3}',
        '{"version_policy": {"all": {}}}',
        '{"version_policy": {"specific": {"versions": [1, 2]}}}',
        '{"version_policy": {"specific": {"versions": [true]}}}',
        '{"version_policy": {"latest": {"num_versions": 2}}}',
        '{"version_policy": {"latest": {}}, "backend": "python"}',
        "[" * 100_000,
    ],
)
async def test_no_more_than_a_version_can_be_asked_for(config: str) -> None:
    async with shelf_client(Shelf(overlap={1: 1.0})) as (server, _), connected(server) as triton:
        with pytest.raises(InferenceServerException, match="would work") as caught:
            await triton.load_model(NAME, config=config)
        assert "INVALID_ARGUMENT" in str(caught.value.status())
        with pytest.raises(InferenceServerException, match=r"'file:1/model\.onnx' is unknown"):
            await triton.load_model(NAME, config=only(1), files={"file:1/model.onnx": b"x"})


async def test_a_watched_repository_is_left_alone_while_it_is_written() -> None:
    shelf = Shelf(overlap={1: 1.0})

    writing = iter(["a part", "more", "nearly all"])
    async with shelf_client(shelf, watch_repository_s=0.01) as (server, client):
        shelf.marks[NAME, 2] = lambda: next(writing, "all")
        shelf.models[NAME][2] = 0.5
        await until(lambda: serves(server, "2"))
        assert server.models.find(NAME).mark == "all"
        assert shelf.loaded == [(NAME, 1), (NAME, 2)]
        async with client.stream(NAME) as stream:
            shelf.marks[NAME, 2] = lambda: "changed"  # other files under the same number: another version all the same
            await until(lambda: versions(server) == ["2", "2"])
            audio = await rest_of(stream, [result async for result in stream.exchange(in_chunks(SIGNAL, 999))])
        np.testing.assert_array_equal(audio, await undisturbed(0.5, SIGNAL))
        shelf.models[NAME][3] = refusing(ModelError("no"))
        await until(lambda: (NAME, 3) in shelf.loaded)
        looks = shelf.looks
        await until(lambda: shelf.looks > looks + 5)
        assert shelf.loaded.count((NAME, 3)) == 1  # until its files change
        del shelf.models[NAME]
        await until(lambda: versions(server) == [])


async def test_sequences_stay_with_their_version_too() -> None:
    shelf = Shelf(overlap={1: 1.0})
    parts = np.split(SIGNAL, [160 * 10, 160 * 30, 160 * 31])

    def ask(number: int, part: int, **more: Any) -> Any:
        audio = [tensor("audio", parts[part], "FP32")]
        start, end = part == 0, part == len(parts) - 1
        return client.infer(NAME, audio, sequence_id=number, sequence_start=start, sequence_end=end, **more)

    async with shelf_client(shelf) as (server, _), connected(server) as client:
        answers = [await ask(1, 0), await ask(1, 1)]
        shelf.models[NAME][2] = 0.5
        await client.load_model(NAME)
        others = [await ask(2, 0)]
        answers += [await ask(1, 2, model_version="1")]
        with pytest.raises(InferenceServerException, match="has no version '2'; '1', or none given"):
            await ask(1, 3, model_version="2")
        by_version = {one.version: one for one in (await client.get_inference_statistics(NAME)).model_stats}
        assert {version: one.inference_stats.success.count for version, one in by_version.items()} == {"1": 3, "2": 1}
        answers += [await ask(1, 3)]
        others += [await ask(2, part) for part in (1, 2, 3)]
        assert {one.get_response().model_version for one in answers} == {"1"}
        assert {one.get_response().model_version for one in others} == {"2"}
        for gain, got in ((1.0, answers), (0.5, others)):
            audio = np.concatenate([one.as_numpy("audio") for one in got])
            np.testing.assert_array_equal(audio, await undisturbed(gain, SIGNAL))
        await until(lambda: versions(server) == ["2"])


@pytest.mark.usefixtures("unwatched")
async def test_the_load_of_each_version_is_counted_for_as_long_as_it_is_there() -> None:
    def costing(seconds: float) -> Any:
        return lambda: Loaded(GainModel(costs_s={1: seconds, 16: 16 * seconds}))

    shelf = Shelf(gain={1: costing(0.001)})
    async with shelf_client(shelf, max_load=0.7) as (server, client):
        capacity = server.admission.capacity
        async with client.stream("gain"), client.stream("gain"):
            before = capacity.load().compute
            assert before > 0
            shelf.models["gain"][2] = costing(0.002)
            server.reread()
            await until(lambda: serves(server, "2", "gain"))
            async with client.stream("gain"):
                assert len(capacity.models) == 2
                assert capacity.load().compute > before
        await until(lambda: server.live_streams == 0)
        assert [model.name for model in capacity.models] == ["gain"]
        assert capacity.load().compute == 0
    assert server.activity.of("gain").opened == 3


async def test_counts_go_on_over_an_update() -> None:
    shelf = Shelf(overlap={1: 1.0})
    async with shelf_client(shelf) as (server, client):
        for version in (1, 2):
            shelf.models[NAME][version] = 1.0
            server.reread()
            await until(lambda version=version: versions(server) == [str(version)])
            async with client.stream(NAME) as stream:
                await rest_of(stream, [result async for result in stream.exchange(in_chunks(FIRST, 999))])
        await until(lambda: server.live_streams == 0)
        scheduler = server._scheduler
        of_both, of_last = scheduler.counts(NAME), scheduler.counts_of(server.models.find(NAME).scheduled)
        assert of_both.frames == 2 * of_last.frames > 0
        assert of_both.end_to_end.count == of_both.frames
        assert scheduler.names == (NAME,)


async def test_models_are_changed_by_administrators_alone_and_where_there_is_a_repository(tmp_path: Path) -> None:
    tokens = write_tokens(tmp_path / "tokens", ada="administer", bob="stream infer")
    shelf = Shelf(overlap={1: 1.0, 2: 0.5})
    security = Security(tokens=tmp_path / "tokens")
    async with shelf_client(shelf, security=security) as (server, _), connected(server) as triton:
        for call, status in (
            (triton.unload_model(NAME, headers={"authorization": f"Bearer {tokens['bob']}"}), "PERMISSION_DENIED"),
            (triton.load_model(NAME), "UNAUTHENTICATED"),
        ):
            with pytest.raises(InferenceServerException) as caught:
                await call
            assert status in str(caught.value.status())
        assert versions(server) == ["2"]
        headers = {"authorization": f"Bearer {tokens['ada']}"}
        await triton.load_model(NAME, headers=headers, config=only(1))
        assert versions(server) == ["1"]
    async with serving({}, repository=shelf, shares_port=True) as server, connected(server) as triton:
        with pytest.raises(InferenceServerException, match=r"several processes, .* SIGHUP would work"):
            await triton.load_model(NAME)


async def test_names_that_are_served_from_elsewhere_are_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    shelf = Shelf(gain={7: 1.0}, overlap={1: 1.0})
    async with serving({"gain": GainModel()}, repository=shelf) as server, connected(server) as triton:
        server.reread()
        await triton.load_model(NAME)
        assert caplog.text.count("model 'gain' is served from elsewhere") == 1
        with pytest.raises(InferenceServerException, match="no model 'gain' in the repository; it has overlap"):
            await triton.load_model("gain")
        async with StreamClient(server.address) as client, client.stream("gain") as stream:
            assert stream.info.model_version == "1"


async def test_a_repository_that_can_not_be_read_stops_the_start_and_nothing_else(
    caplog: pytest.LogCaptureFixture,
) -> None:
    shelf = Shelf(overlap={1: 1.0})
    look = shelf.look

    def fail() -> Any:
        raise OSError("the disk is away")

    async with shelf_client(shelf, watch_repository_s=0.01) as (server, client):
        shelf.look = fail
        server.reread()
        await until(lambda: caplog.text.count("can not be read: the disk is away") >= 2)
        async with client.stream(NAME):
            pass
        shelf.models[NAME][2] = 0.5
        shelf.look = look
        await until(lambda: serves(server, "2"))
    shelf.look = fail
    with pytest.raises(WavetileError, match="the model repository can not be read: the disk is away"):
        async with serving({}, repository=shelf):
            await asyncio.sleep(0)
