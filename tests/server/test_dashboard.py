"""The dashboard: who may see it, what its data says, what a look costs a stream, and the page in a real browser."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.server.browser import opened
from tests.server.fakes import HOP, GainModel, InvertModel
from tests.server.guards import make_files, write_tokens
from tests.server.running import exchange, serving, until
from tests.server.shelf import NAME, Shelf, serves, shelf_client, versions
from tests.virtual_time import DAY_S, HeldTimers
from wavetile.clients import Part, StreamClient
from wavetile.engine.server import Security, WebAddress
from wavetile.engine.server.web.dashboard import looking
from wavetile.engine.server.web.dashboard.signal_tap import KEPT_S, SignalTap
from wavetile.engine.server.web.dashboard.spectrum import BANDS, COLUMNS_PER_SECOND, Spectrum, band_edges_hz

aiohttp = pytest.importorskip("aiohttp", reason="the extra 'dashboard' is not installed")

HERE = WebAddress("127.0.0.1", 0)
RATE_HZ = 16_000


async def get(url: str, *, token: str = "", **options: Any) -> tuple[int, Any, Any]:
    """Status, headers, and JSON or text."""
    headers = {**({"Authorization": f"Bearer {token}"} if token else {}), **options.pop("headers", {})}
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers, **options) as response:
        said = await (response.json() if response.content_type == "application/json" else response.text())
        return response.status, response.headers, said


def tone(hertz: float, seconds: float) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * RATE_HZ)) / RATE_HZ)).astype(np.float32)


# Who may see it.


async def test_the_page_is_open_and_its_data_is_the_administrators(tmp_path: Path) -> None:
    tokens = write_tokens(tmp_path / "tokens", ada="stream administer", bob="stream infer")
    security = Security(tokens=tmp_path / "tokens")
    async with serving({"gain": GainModel()}, dashboard=HERE, metrics=HERE, security=security) as server:
        url, metrics = server.urls["dashboard"], f"{server.urls['metrics']}/metrics"
        for path in ("", "/page.css", "/page.js", "/charts.js", "/icon.svg"):
            status, headers, _ = await get(f"{url}{path}")
            assert status == 200
            assert headers["Content-Security-Policy"].startswith("default-src 'self'; ")
            assert (headers["X-Content-Type-Options"], headers["Cache-Control"]) == ("nosniff", "no-store")
        for path in ("/api/overview", "/api/streams/none"):
            status, headers, said = await get(f"{url}{path}")
            assert (status, headers["WWW-Authenticate"], said) == (401, "Bearer", "Unauthorized\n")
            assert (await get(f"{url}{path}", token="wrong"))[0] == 401
            assert (await get(f"{url}{path}", token=tokens["bob"]))[0] == 403
        assert (await get(f"{url}/api/overview", token=tokens["ada"]))[0] == 200
        assert (await get(f"{url}/api/streams/none", token=tokens["ada"]))[0] == 404
        assert (await get(metrics))[0] == 401
        assert (await get(metrics, token=tokens["bob"]))[0] == 200


async def test_a_page_from_elsewhere_can_not_name_this_machine() -> None:
    async with serving({"gain": GainModel()}, dashboard=HERE) as server:
        url = f"{server.urls['dashboard']}/api/overview"
        for host, expected in (("localhost:1", 200), ("127.0.0.1", 200), ("[::1]:9", 200), ("evil.example", 403)):
            assert (await get(url, headers={"Host": host}))[0] == expected
        async with aiohttp.ClientSession() as session, session.post(url) as response:
            assert response.status == 405


async def test_the_certificates_of_the_grpc_port_guard_it_too(tmp_path: Path) -> None:
    import ssl

    files = make_files(tmp_path)
    async with serving({}, dashboard=HERE, security=files.tls(client_ca=files.client_ca)) as server:
        url = server.urls["dashboard"]
        assert url.startswith("https://127.0.0.1:")
        context = ssl.create_default_context(cafile=files.server_ca)
        with pytest.raises(aiohttp.ClientError):
            await get(url, ssl=context)
        context.load_cert_chain(files.client_cert, files.client_key)
        assert (await get(url, ssl=context))[0] == 200


# What the data says.


async def test_versions_that_drain_are_there_as_long_as_they_have_streams() -> None:
    shelf = Shelf(overlap={1: 1.0})
    async with shelf_client(shelf, dashboard=HERE) as (server, client):
        url = server.urls["dashboard"]
        async with client.stream(NAME) as stream:
            shelf.models[NAME][2] = 1.0
            server.reread()
            await until(lambda: serves(server, "2"))
            _, _, seen = await get(f"{url}/api/overview")
            (model,), (row,) = seen["models"], seen["streams"]
            assert (model["version"], model["draining"]) == ("2", [{"version": "1", "uses": 1}])
            assert (row["model_version"], model["active"]) == ("1", 1)
            assert (await get(f"{url}/api/streams/{stream.info.stream_id}"))[0] == 200
        await until(lambda: versions(server) == ["2"])
        _, _, seen = await get(f"{url}/api/overview")
        assert [(one["version"], one["draining"]) for one in seen["models"]] == [("2", [])]
        assert [one["name"] for one in seen["networks"]] == ["overlap.network"]


async def test_the_numbers_are_the_servers() -> None:
    models = {"gain": GainModel(), "invert": InvertModel()}
    async with serving(models, dashboard=HERE, version="1.2.3") as server, StreamClient(server.address) as client:
        async with client.stream("gain", sample_rate_hz=48_000, channels=2) as stream:
            await stream.send(np.ones((3 * HOP, 2), np.float32))
            await until(lambda: [one.frames for one in server.activity.open.values()] == [3])
            _, _, seen = await get(f"{server.urls['dashboard']}/api/overview")
        gain, invert = seen["models"]
        assert (gain["name"], gain["active"], gain["frames"], gain["hop_ms"]) == ("gain", 1, 3, 10)
        assert sum(gain["outcomes"].values()) == 3
        assert sum(gain["times"]["end_to_end"]["counts"]) == 3
        assert sum(int(size) * number for size, number in gain["batches"].items()) == 3
        assert (invert["kind"], invert["frames"], invert["outcomes"]) == ("image", 0, {})
        (row,) = seen["streams"]
        assert row["id"] == stream.info.stream_id
        assert (row["model"], row["sample_rate_hz"], row["channels"], row["frames"]) == ("gain", 48_000, 2, 3)
        assert (seen["server"]["version"], seen["stream_count"]) == ("1.2.3", 1)
        assert seen["server"]["memory_bytes"] > 1e6


async def test_a_chosen_stream_is_seen_in_and_out_until_nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "LOOK_S", DAY_S)
    timers = HeldTimers(monkeypatch)
    async with serving({"gain": GainModel()}, dashboard=HERE) as server, StreamClient(server.address) as client:
        async with client.stream("gain", sample_rate_hz=RATE_HZ) as stream:
            (live,) = server.activity.open.values()
            url = f"{server.urls['dashboard']}/api/streams/{live.stream_id}"
            assert live.tap is None
            _, _, seen = await get(url)
            assert (live.tap is not None, seen["columns"], seen["values"]) == (True, {}, {})
            await stream.send(tone(1000.0, 0.5))
            await until(lambda: live.frames == 50)
            _, _, seen = await get(url)
            for side in ("sent", "answered"):
                part = seen["columns"][side]
                columns = np.frombuffer(base64.b64decode(part["data"]), np.uint8).reshape(-1, BANDS)
                assert (part["first"], part["next"]) == (0, len(columns))
                assert len(columns) == 0.5 * COLUMNS_PER_SECOND - 1
                assert abs(band_edges_hz(RATE_HZ)[1 + columns[5].argmax()] - 1000.0) < 60.0
            assert len(seen["values"]["peak"]["data"]) == 50
            known = {"sent": 24, "answered": 24, "values.peak": 48}
            _, _, seen = await get(url, params=known)
            assert [seen["columns"][side]["data"] for side in ("sent", "answered")] == ["", ""]
            assert len(seen["values"]["peak"]["data"]) == 2
            assert (await get(url, params={"sent": "-1"}))[0] == 400
            timers.fire()
            assert live.tap is None
        await until(lambda: not server.activity.open)
        assert (await get(url))[0] == 404


async def test_a_look_does_not_change_what_a_stream_gives() -> None:
    samples = np.random.default_rng(3).uniform(-1, 1, 40 * HOP).astype(np.float32)
    async with serving({"gain": GainModel()}, dashboard=HERE) as server, StreamClient(server.address) as client:
        given = []
        for looks in (False, True):
            async with client.stream("gain", sample_rate_hz=RATE_HZ) as stream:
                if looks:
                    await get(f"{server.urls['dashboard']}/api/streams/{stream.info.stream_id}")
                results = await exchange(stream, samples, 100, 7)
                given.append(np.concatenate([one.samples for one in results if one.samples is not None]))
        np.testing.assert_array_equal(*given)


async def test_parts_of_an_image_are_seen_as_they_finish() -> None:
    pixels = np.arange(4 * 6, dtype=np.float32).reshape(4, 6) / 24
    async with (
        serving({"invert": InvertModel()}, dashboard=HERE) as server,
        StreamClient(server.address) as client,
        client.stream_images("invert", height=4, width=6, pixel_type="float32") as stream,
    ):
        url = f"{server.urls['dashboard']}/api/streams/{stream.info.stream_id}"
        await get(url)
        await stream.send(Part(pixels))
        await anext(stream)
        _, _, seen = await get(url)
        assert (seen["height"], seen["width"], seen["step"], seen["finished_share"]) == (4, 6, 1, 1.0)
        assert [patch["name"] for patch in seen["patches"]["data"]] == ["sent", "mask"]
        for patch, expected in zip(seen["patches"]["data"], (pixels, 1 - pixels), strict=True):
            shown = np.frombuffer(base64.b64decode(patch["data"]), "<f4").reshape(patch["height"], patch["width"])
            np.testing.assert_array_equal(shown, expected)
        _, _, seen = await get(url, params={"patches": seen["patches"]["next"]})
        assert seen["patches"]["data"] == []


def test_spectra_do_not_depend_on_the_chunks() -> None:
    signal = np.random.default_rng(4).normal(0, 0.1, RATE_HZ).astype(np.float32)
    whole = Spectrum(RATE_HZ).columns([signal])
    parts = Spectrum(RATE_HZ)
    columns = [parts.columns([chunk]) for chunk in np.array_split(signal, 37)]
    np.testing.assert_array_equal(np.concatenate(columns), whole)


async def test_a_tap_that_nobody_reads_stays_small() -> None:
    tap = SignalTap(RATE_HZ, 100.0)
    for _ in range(600):
        tap.sent(np.zeros(RATE_HZ // 10, np.float32))
    seen = await tap.read({})
    assert 0 < seen["columns"]["sent"]["next"] <= 2 * COLUMNS_PER_SECOND
    assert len(base64.b64decode(seen["columns"]["sent"]["data"])) / BANDS <= KEPT_S * COLUMNS_PER_SECOND


# The page.


async def test_the_page_shows_a_server_that_streams(tmp_path: Path) -> None:
    tokens = write_tokens(tmp_path / "tokens", ada="stream administer", bob="stream")
    models = {"gain": GainModel(), "invert": InvertModel()}
    security = Security(tokens=tmp_path / "tokens")
    async with (
        serving(models, dashboard=HERE, security=security) as server,
        StreamClient(server.address, token=tokens["ada"]) as client,
        client.stream("gain", sample_rate_hz=RATE_HZ) as stream,
        client.stream_images("invert", height=4, width=6, pixel_type="float32") as images,
        opened(server.urls["dashboard"], tmp_path / "profile") as page,
    ):
        sending = asyncio.create_task(_send_for_ever(stream))
        try:
            await page.until("!document.querySelector('#login').hidden")
            await _log_in(page, tokens["bob"])
            await page.until("document.querySelector('#refused').textContent.includes('may not see')")
            assert await page.value("document.querySelector('#main').hidden")
            page.errors.clear()  # of the two refusals
            await _log_in(page, tokens["ada"])
            await page.until("Number.parseInt(document.querySelector('#rate').textContent) > 50")
            assert await page.value("document.querySelector('#streams').textContent") == "2"
            assert await page.value(
                "[...document.querySelectorAll('#models tr')].map((row) => row.cells[0].textContent)"
            ) == [
                "gain",
                "invert",
            ]
            await page.value(f"{row_of('gain')}.querySelector('button').click()")
            await page.until("document.querySelectorAll('#watch canvas').length === 3")
            await page.until(f"{INK} > 500")
            await page.value(f"{row_of('invert')}.querySelector('button').click()")
            await until(lambda: server.activity.open[images.info.stream_id].tap is not None)
            await images.send(Part(np.zeros((4, 6), np.float32)))
            await page.until('document.querySelectorAll(\'#watch canvas.picture[width="6"][height="4"]\').length === 2')
            await page.until("document.querySelector('#watch').textContent.includes('100 % finished')")
            assert tokens["ada"] not in await page.value("document.documentElement.outerHTML")
            assert page.errors == []
        finally:
            sending.cancel()


INK = """(() => {
  const canvas = document.querySelector('#watch canvas');
  const pixels = new Uint32Array(canvas.getContext('2d').getImageData(60, 0, canvas.width - 60, 100).data.buffer);
  return pixels.filter((one) => one !== pixels[0]).length;
})()"""
"""Pixels of the first picture that are not its ground."""


def row_of(model: str) -> str:
    """The row of a model's stream."""
    return f"[...document.querySelectorAll('#table tr')].find((row) => row.cells[1].textContent === '{model}')"


async def _log_in(page: Any, token: str) -> None:
    await page.value(f"document.querySelector('#token').value = '{token}'")
    await page.value("document.querySelector('#login').requestSubmit()")


async def _send_for_ever(stream: Any) -> None:
    """A tone, faster than in real time for machines that are slow; what comes back is read and dropped."""

    async def read() -> None:
        async for _ in stream:
            pass

    async with asyncio.TaskGroup() as group:
        group.create_task(read())
        while True:
            await stream.send(tone(1000.0, 0.1))
            await asyncio.sleep(0.02)
