"""Images and volumes in parts over gRPC, on real networks: what comes back is what the whole would give."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import wavetile
from tests.patience import PATIENCE_S
from tests.plan.mutations_images import nothing_from_above
from tests.plan.networks import parse, run_onnxruntime, signal
from tests.server.running import serving
from wavetile.clients import ClientStream, Part, StreamClient, StreamResult
from wavetile.engine.commands.served import Served, served
from wavetile.engine.errors import ServerError
from wavetile.engine.models import proofs
from wavetile.engine.pixels import PercentileRange

SEGMENTER = parse(
    "(float[1,2,H,W] x) => (float[1,3,H,W] y, float[1,1,P,Q] z) { a = Conv<pads=[1,1,1,1]>(x, k) b = Relu(a) "
    "y = Conv<pads=[2,2,2,2], dilations=[2,2]>(b, l) z = Conv<strides=[2,2]>(b, m) }",
    constants={"k": signal((4, 2, 3, 3), 1), "l": signal((3, 4, 3, 3), 2), "m": signal((1, 4, 2, 2), 3)},
)
VOLUME = parse(
    "(float[1,1,D,6,5] x) => (float[1,2,D,6,5] y) { a = Conv<pads=[1,1,1,1,1,1]>(x, k) b = Relu(a) "
    "y = Conv<pads=[2,2,2,2,2,2], dilations=[2,2,2]>(b, l) }",
    constants={"k": signal((3, 1, 3, 3, 3), 1), "l": signal((2, 3, 3, 3, 3), 2)},
)
POOLED = parse("(float[1,1,H,W] x) => (float[1,1,H,W] y) { a = GlobalAveragePool(x) y = Sub(x, a) }", constants={})
HEIGHT, WIDTH, TILE = 21, 35, 8


def carded(folder: Path, name: str, network: onnx.ModelProto) -> Served:
    """The network as an image model with a card of its own."""
    content = network.SerializeToString()
    (folder / f"{name}.onnx").write_bytes(content)
    (folder / f"{name}.toml").write_text(
        f"""name = "{name}"
        title = "Made for a test"
        task = "segment"
        licence = "Apache-2.0"
        attribution = "-"
        budget_ms = 1000.0
        signal = {{ kind = "image", pixels = {{ rule = "percentiles", low = 2, high = 98.0 }} }}
        [networks.net]
        file = "{name}.onnx"
        sha256 = "{hashlib.sha256(content).hexdigest()}"
        source = "{name}.onnx"
        """
    )
    return served(wavetile.load(folder / f"{name}.toml"))


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[StreamClient]:
    networks = {"segmenter": SEGMENTER, "volume": VOLUME, "pooled": POOLED}
    models = {name: carded(tmp_path, name, network) for name, network in networks.items()}
    async with (
        serving(models, max_message_bytes=70_000, max_image_bytes=1 << 20) as server,
        StreamClient(server.address) as client,
    ):
        yield client


async def sent(stream: ClientStream, parts: list[Part]) -> list[StreamResult]:
    """All results of a stream to which these parts are sent."""

    async def source() -> AsyncIterator[Part]:
        for part in parts:
            yield part

    async with asyncio.timeout(PATIENCE_S):
        return [result async for result in stream.exchange(source())]


def assembled(results: list[StreamResult], expected: dict[str, np.ndarray], image: int = 0) -> None:
    """Check that the finished pixels are those of the whole image, each of them once."""
    made = {name: np.full(array.shape[1:], np.nan, np.float32) for name, array in expected.items()}
    for result in results:
        for tile in result.tiles:
            if result.image_index != image:
                continue
            pixels = np.moveaxis(tile.pixels, -1, 0)
            starts = (tile.z, tile.y, tile.x)[-pixels.ndim + 1 :]
            place = made[tile.name][
                (
                    slice(None),
                    *(slice(start, start + size) for start, size in zip(starts, pixels.shape[1:], strict=True)),
                )
            ]
            assert np.isnan(place).all(), "a pixel came twice"
            place[:] = pixels
    for name, array in expected.items():
        np.testing.assert_allclose(made[name], array[0], atol=1e-4, err_msg=name)


def squares(image: np.ndarray, order: str) -> list[Part]:
    """The image's tiles, `[rows, columns, channels]`, in raster order or in any."""
    parts = [
        Part(image[y : y + TILE, x : x + TILE], y, x) for y in range(0, HEIGHT, TILE) for x in range(0, WIDTH, TILE)
    ]
    return parts if order == "raster" else [parts[index] for index in np.random.default_rng(3).permutation(len(parts))]


@pytest.mark.parametrize("order", ["raster", "any"])
async def test_tiles_of_several_images_are_the_wholes(client: StreamClient, order: str) -> None:
    images = np.random.default_rng(0).integers(0, 255, (2, HEIGHT, WIDTH, 2)).astype(np.uint8)
    scale, offset = 1 / 64, -0.75
    async with client.stream_images(
        "segmenter", height=HEIGHT, width=WIDTH, channels=2, pixel_type="uint8", order=order, tile_pixels=TILE,
        scale=scale, offset=offset,
    ) as stream:  # fmt: skip
        y, z = stream.info.image_outputs
        assert (y.name, y.height, y.width, y.depth, y.channels) == ("y", HEIGHT, WIDTH, 0, 3)
        assert (z.name, z.height, z.width, z.channels) == ("z", HEIGHT // 2, WIDTH // 2, 1)
        # One row below for the first convolution, two for the dilated one.
        assert (y.delay_rows, y.delay_columns, y.delay_slices) == (3, 3, 0)
        assert HEIGHT * 2 * 4 < stream.info.kept_bytes <= 40 * WIDTH * 4 * 4
        parts = [part for image in images for part in squares(image, order)]
        results = await sent(stream, parts)
    assert [result.sequence_number for result in results] == list(range(len(results)))
    assert [result.first_frame_index for result in results if result.frame_count] == list(range(len(parts)))
    assert all(result.compute_time_ns > 0 for result in results if result.frame_count)
    for number, image in enumerate(images):
        x = np.moveaxis(image, -1, 0)[None].astype(np.float32) * np.float32(scale) + np.float32(offset)
        assembled(results, dict(zip("yz", run_onnxruntime(SEGMENTER, {"x": x}), strict=True)), number)
        shares = [result.finished_share for result in results if result.image_index == number]
        assert shares == sorted(shares)
        assert [share == 1.0 for share in shares] == [False] * (len(shares) - 1) + [True]


@pytest.mark.parametrize("height", [0, HEIGHT])
async def test_rows_are_the_whole_also_where_nobody_knows_how_many_come(client: StreamClient, height: int) -> None:
    x = signal((1, 2, HEIGHT, WIDTH), 5)
    rows = np.moveaxis(x[0], 0, -1)
    parts = [Part(rows[start:stop], y=start) for start, stop in ((0, 1), (1, 2), (2, 2), (2, 13), (13, HEIGHT))]
    async with client.stream_images("segmenter", height=height, width=WIDTH, channels=2, order="rows") as stream:
        assert [(one.height, one.delay_rows) for one in stream.info.image_outputs if one.name == "y"] == [(height, 3)]
        results = await sent(stream, parts)
    assembled(results, dict(zip("yz", run_onnxruntime(SEGMENTER, {"x": x}), strict=True)))
    assert results[-1].finished_share == 1.0
    assert np.isnan(results[0].finished_share) == (height == 0)
    assert sum(result.frame_count for result in results) == len(parts)


@pytest.mark.parametrize("depth", [0, 11])
async def test_slices_are_the_whole_volume(client: StreamClient, depth: int) -> None:
    x = signal((1, 1, 11, 6, 5), 7)
    async with client.stream_images("volume", height=6, width=5, depth=depth, order="slices") as stream:
        (output,) = stream.info.image_outputs
        assert (output.depth, output.height, output.width, output.delay_slices) == (depth, 6, 5, 3)
        results = await sent(stream, [Part(x[0, 0, start : start + 3], z=start) for start in range(0, 11, 3)])
    assembled(results, dict(zip("y", run_onnxruntime(VOLUME, {"x": x}), strict=True)))


async def test_a_whole_volume_is_an_answer(client: StreamClient) -> None:
    x = signal((1, 1, 4, 6, 5), 7)
    async with client.stream_images("volume", height=6, width=5, depth=4) as stream:
        results = await sent(stream, [Part(x[0, 0])])
    assembled(results, dict(zip("y", run_onnxruntime(VOLUME, {"x": x}), strict=True)))


async def test_what_is_finished_is_cut_to_fit_into_messages(client: StreamClient) -> None:
    """Three outputs of 4 bytes a pixel come of one pixel of 2 bytes."""
    x = np.random.default_rng(0).integers(0, 9, (60, 120, 2)).astype(np.uint8)
    async with client.stream_images(
        "segmenter", height=60, width=120, channels=2, pixel_type="uint8", order="rows", tile_pixels=60
    ) as stream:
        results = await sent(stream, [Part(x)])
    assert [result.frame_count for result in results] == [1] + [0] * (len(results) - 1)
    assert len(results) > 2
    whole = run_onnxruntime(SEGMENTER, {"x": np.moveaxis(x, -1, 0)[None].astype(np.float32)})
    assembled(results, dict(zip("yz", whole, strict=True)))


async def test_a_model_says_how_pixels_are_to_be_scaled(client: StreamClient) -> None:
    assert (await client.describe_model("segmenter")).pixels == PercentileRange(2.0, 98.0)


IMAGE: dict[str, Any] = {"height": HEIGHT, "width": WIDTH, "channels": 2, "tile_pixels": TILE}
REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "channels": ("segmenter", {**IMAGE, "order": "raster", "channels": 3}, "takes 2 channels, not 3"),
    "no width": ("segmenter", {**IMAGE, "order": "rows", "width": 0}, "width is 0; at least 1"),
    "no height": ("segmenter", {**IMAGE, "order": "raster", "height": 0}, "height is 0; at least 1"),
    "tile": ("segmenter", {**IMAGE, "order": "raster", "tile_pixels": 7}, "tile is 7; multiples of 2 would work"),
    "a volume in rows": ("volume", {"height": 6, "width": 5, "depth": 3, "order": "rows"}, "volumes come whole or in"),
    "an image in slices": ("segmenter", {**IMAGE, "order": "slices"}, "which is no volume"),
    "a volume as image": ("volume", {"height": 6, "width": 5, "order": "raster"}, "which is no image"),
    "what can not stream": ("pooled", {"height": 8, "width": 8, "order": "rows"}, "what works: Model.run"),
    "too much to keep": ("segmenter", {**IMAGE, "order": "any", "width": 99999, "tile_pixels": 8}, "narrower image"),
    "too wide": ("segmenter", {**IMAGE, "order": "raster", "width": 2**30, "height": 2**30}, "narrower image"),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_what_can_not_be_streamed_is_refused_before_the_first_tile(client: StreamClient, case: str) -> None:
    model, config, words = REFUSED[case]
    with pytest.raises(ServerError) as caught:
        async with client.stream_images(model, **config):
            pass
    assert caught.value.code == "INVALID_ARGUMENT"
    assert words in caught.value.message
    assert "/" not in caught.value.message


async def test_a_plan_whose_proof_fails_serves_no_tile(
    client: StreamClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proofs, "certificate_folder", lambda: tmp_path / "certificates")
    nothing_from_above(monkeypatch)
    for _ in range(2):  # a failure is not kept as a proof
        with pytest.raises(ServerError, match="differs from the whole"):
            async with client.stream_images("segmenter", order="raster", **IMAGE):
                pass
    assert not (tmp_path / "certificates").exists()


WRONG: dict[str, tuple[str, list[Part], str]] = {
    "out of order": ("raster", [Part(np.zeros((8, 8, 2)), 0, 8)], "the next one begins at (0, 0)"),
    "size": ("raster", [Part(np.zeros((8, 7, 2)))], "[1, 2, 8, 8] would work"),
    "twice": ("any", [Part(np.zeros((8, 8, 2)))] * 2, "(0, 0) has come"),
    "rows missing": ("rows", [Part(np.zeros((3, WIDTH, 2))), Part(np.zeros((3, WIDTH, 2)), 4)], "the next one is 3"),
    "too many rows": ("rows", [Part(np.zeros((22, WIDTH, 2)))], "the image has 21"),
    "width of rows": ("rows", [Part(np.zeros((2, 7, 2)))], "would work"),
    "rows from the middle": ("rows", [Part(np.zeros((2, WIDTH, 2)), 0, 4)], "column 4"),
    "incomplete": ("raster", [Part(np.zeros((8, 8, 2)))], "before image 0 is complete"),
    "incomplete rows": ("rows", [Part(np.zeros((8, WIDTH, 2)))], "after 8 of its 21 lines"),
    "a volume": ("rows", [Part(np.zeros((8, WIDTH, 2)), z=1)], "slice 1"),
}


@pytest.mark.parametrize("case", WRONG)
async def test_wrong_parts_end_the_stream_with_a_clear_word(client: StreamClient, case: str) -> None:
    order, parts, words = WRONG[case]
    with pytest.raises(ServerError) as caught:
        async with client.stream_images("segmenter", order=order, **IMAGE) as stream:
            await sent(stream, parts)
    assert (caught.value.code, words in caught.value.message) == ("INVALID_ARGUMENT", True), caught.value.message
