"""The image client over a real server: files of all kinds through networks in parts, written as they are finished."""

from __future__ import annotations

import asyncio
import threading
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wavetile
from tests.clients.image_models import smoothing_card
from tests.clients.image_regions import pixels_of, write_in_regions
from tests.patience import PATIENCE_S
from tests.server.fakes import InvertModel
from tests.server.running import serving, until
from wavetile.clients import StreamClient, StreamResult
from wavetile.clients.image import process_image
from wavetile.clients.image_options import ImageOptions, ImageOrder
from wavetile.clients.image_writer import ImageReport
from wavetile.clients.images import ImageSource, open_image
from wavetile.clients.images.parts import PART_BYTES, SAMPLED_PIXELS, parts, sample
from wavetile.clients.images.sink import ArraySink
from wavetile.clients.images.source import ArraySource
from wavetile.engine.commands.served import served
from wavetile.engine.errors import ServerError, SignalError, WavetileError
from wavetile.engine.models.model import Model
from wavetile.engine.pixels import PercentileRange

pytest.importorskip("tifffile", reason="the extra `images` is not installed")

TOLERANCE = 1e-5
"""Of streams and the whole, relative to the largest number."""


async def through_server(
    model: Model, source: Path, target: Path, on_result: Callable[[StreamResult], None] | None = None, **options: Any
) -> ImageReport:
    """Process a file on a server of the test's own."""
    async with serving({model.name: served(model)}) as server, StreamClient(server.address) as client:
        return await process_image(client, model.name, source, target, ImageOptions(**options), on_result=on_result)


def whole(model: Model, pixels: np.ndarray) -> np.ndarray:
    """Return `[(depth,) height, width, channels]` of what the network makes of pixels at once."""
    (made,) = model.run({"image": np.ascontiguousarray(np.moveaxis(pixels, -1, 0))[None].astype(np.float32)}).values()
    return np.moveaxis(made[0], 0, -1)


def listing(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def read(path: Path) -> np.ndarray:
    with open_image(path) as source:
        return source.read()


@pytest.mark.parametrize("order", ["whole", "raster", "any", "rows"])
@pytest.mark.parametrize("ending", [".tif", ".ome.zarr", ".npy"])
async def test_every_order_writes_what_the_whole_image_gives(tmp_path: Path, order: ImageOrder, ending: str) -> None:
    pixels = np.random.default_rng(1).integers(0, 4096, (150, 210, 3)).astype(np.uint16)
    write_in_regions(tmp_path / "in.tif", pixels)
    model = wavetile.load(smoothing_card(tmp_path, spatial=2, channels=3))
    target = tmp_path / f"mask{ending}"
    shares: list[float] = []
    report = await through_server(
        model,
        tmp_path / "in.tif",
        target,
        order=order,
        tile=64,
        on_result=lambda one: shares.append(one.finished_share),
    )
    assert (shares, shares[-1]) == (sorted(shares), 1.0)
    expected = whole(model, pixels)
    assert np.abs(read(target) - expected).max() <= TOLERANCE * np.abs(expected).max()
    assert (report.order, report.input_shape, report.output_shape) == (order, (150, 210, 3), (150, 210, 1))
    assert (report.scale, report.offset, report.output_name) == (1.0, 0.0, "mask")
    count = {"whole": 1, "raster": 12, "any": 12, "rows": 3}[order]
    assert len(report.latencies_s) == count
    assert 1 <= report.max_in_flight <= count
    assert 0 < report.first_pixel_s <= report.wall_s
    assert (report.low, report.high) == pytest.approx((expected.min(), expected.max()), rel=TOLERANCE)


@pytest.mark.parametrize("order", ["whole", "raster"])
async def test_an_image_of_any_size_is_continued_and_cut_back(tmp_path: Path, order: ImageOrder) -> None:
    pixels = np.random.default_rng(1).integers(0, 200, (150, 211, 1)).astype(np.uint8)
    write_in_regions(tmp_path / "in.tif", pixels)
    model = wavetile.load(smoothing_card(tmp_path, spatial=2))
    report = await through_server(model, tmp_path / "in.tif", tmp_path / "mask.tif", order=order, tile=64, multiple=32)
    assert (report.input_shape, report.output_shape) == ((160, 224, 1), (150, 211, 1))
    expected = whole(model, np.pad(pixels, [(0, 10), (0, 13), (0, 0)], mode="symmetric"))[:150, :211]
    assert np.abs(read(tmp_path / "mask.tif") - expected).max() <= TOLERANCE * np.abs(expected).max()


async def test_a_large_tiff_goes_through_in_little_memory(tmp_path: Path) -> None:
    height, width = 2000, 3000
    rng = np.random.default_rng(2)
    pixels = rng.integers(100, 4000, (height, width, 1)).astype(np.uint16)
    write_in_regions(tmp_path / "slide.tif", pixels, side=1000)
    card = smoothing_card(tmp_path, spatial=2, pixels='[signal.pixels]\nrule = "percentiles"\nlow = 1.0\nhigh = 99.0')
    model = wavetile.load(card)
    async with serving({model.name: served(model)}) as server, StreamClient(server.address) as client:
        # Once for the plan and the kernels, which stay.
        await process_image(client, model.name, tmp_path / "slide.tif", tmp_path / "mask.tif")
        tracemalloc.start()
        report = await process_image(client, model.name, tmp_path / "slide.tif", tmp_path / "mask.tif")
        _, peak_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert (report.order, len(report.latencies_s)) == ("raster", 8 * 12)
    assert peak_bytes < 0.5 * height * width * (2 + 4)  # of the image and the mask, by client and server together
    scaled = pixels * np.float32(report.scale) + np.float32(report.offset)
    expected = whole(model, scaled)
    assert np.abs(read(tmp_path / "mask.tif") - expected).max() <= TOLERANCE * np.abs(expected).max()
    assert np.percentile(scaled, [1, 99]) == pytest.approx([0, 1], abs=0.01)  # measured on a sixth of it
    assert report.first_pixel_s < 0.5 * report.wall_s


async def test_a_nifti_goes_through_slice_by_slice(tmp_path: Path) -> None:
    nibabel = pytest.importorskip("nibabel")
    scan = np.random.default_rng(3).integers(0, 200, (40, 36, 24)).astype(np.uint8)  # columns, rows, slices
    affine = np.array([[0, -2.0, 0, 10], [1.5, 0, 0, -20], [0, 0, 3, 5], [0, 0, 0, 1]])
    nibabel.Nifti1Image(scan, affine).to_filename(tmp_path / "scan.nii.gz")
    card = smoothing_card(tmp_path, spatial=3, pixels='[signal.pixels]\nrule = "standard_score"')
    model = wavetile.load(card)
    report = await through_server(model, tmp_path / "scan.nii.gz", tmp_path / "mask.nii.gz", order="slices")
    pixels = scan.transpose(2, 1, 0)[..., None]
    expected = whole(model, (pixels - pixels.mean()) / pixels.std())
    assert (report.input_shape, len(report.latencies_s)) == ((24, 36, 40, 1), 24)
    mask = nibabel.load(tmp_path / "mask.nii.gz")
    assert np.array_equal(mask.affine, affine)
    difference = np.asarray(mask.dataobj).transpose(2, 1, 0) - expected[..., 0]
    assert np.abs(difference).max() <= TOLERANCE * np.abs(expected).max()


async def test_a_volume_goes_through_whole_too(tmp_path: Path) -> None:
    pixels = np.random.default_rng(4).random((10, 12, 14, 1)).astype(np.float32)
    write_in_regions(tmp_path / "in.npy", pixels)
    model = wavetile.load(smoothing_card(tmp_path, spatial=3))
    report = await through_server(model, tmp_path / "in.npy", tmp_path / "mask.tif", normalise=(2.0, -1.0))
    expected = whole(model, 2 * pixels - 1)
    assert report.order == "whole"
    assert np.abs(read(tmp_path / "mask.tif") - expected).max() <= TOLERANCE * np.abs(expected).max()


async def test_an_output_that_is_no_image_goes_into_an_array(tmp_path: Path) -> None:
    pixels = pixels_of((4, 6, 2), np.uint8)
    write_in_regions(tmp_path / "in.tif", pixels)
    async with serving({"invert": InvertModel()}) as server, StreamClient(server.address) as client:

        async def run(target: str, **options: Any) -> ImageReport:
            chosen = ImageOptions(**options)
            return await process_image(client, "invert", tmp_path / "in.tif", tmp_path / target, chosen)

        report = await run("mean.npy", output="mean", normalise=(1.0, 0.0))
        assert report.output_shape == (1, 2)
        np.testing.assert_allclose(np.load(tmp_path / "mean.npy"), pixels.mean(axis=(0, 1))[None], rtol=1e-6)
        with pytest.raises(WavetileError, match="gave no output maks for the image; mask, mean would work"):
            await run("mask.npy", output="maks")
        with pytest.raises(SignalError, match=r"an output of shape \[1, 2\] is no image; \.npy takes it"):
            await run("mean.tif", output="mean")
        await run("mask.tif", normalise=(1.0, 0.0))
        assert np.array_equal(read(tmp_path / "mask.tif"), 1 - pixels.astype(np.float32))
        write_in_regions(tmp_path / "odd.tif", pixels[:3])
        with pytest.raises(ServerError, match="must be even"):
            await process_image(client, "invert", tmp_path / "odd.tif", tmp_path / "none.tif")
    assert listing(tmp_path) == ["in.tif", "mask.tif", "mean.npy", "odd.tif"]


async def test_a_stream_that_breaks_off_leaves_what_was_finished(tmp_path: Path) -> None:
    pixels = np.random.default_rng(5).random((600, 600, 1)).astype(np.float32)
    pixels[500, 500] = np.nan
    write_in_regions(tmp_path / "in.tif", pixels)
    model = wavetile.load(smoothing_card(tmp_path, spatial=2))
    with pytest.raises(ServerError, match="NaN") as caught:
        await through_server(model, tmp_path / "in.tif", tmp_path / "mask.tif", order="raster", tile=100)
    growing = tmp_path / "mask.partial.tif"
    assert caught.value.__notes__ == [f"what was finished is in {growing}"]
    expected = whole(model, np.nan_to_num(pixels))[:300, :300]
    assert np.abs(read(growing)[:300, :300] - expected).max() <= TOLERANCE * np.abs(expected).max()


async def test_refusals_come_before_a_file_is_made(tmp_path: Path) -> None:
    write_in_regions(tmp_path / "in.tif", pixels_of((64, 64, 3), np.uint8))
    model = wavetile.load(smoothing_card(tmp_path, spatial=2))
    write_in_regions(tmp_path / "holes.npy", np.full((64, 64, 1), np.nan, np.float32))
    before = listing(tmp_path)
    with pytest.raises(ServerError, match="takes 1 channels, not 3"):
        await through_server(model, tmp_path / "in.tif", tmp_path / "mask.tif", order="raster")
    with pytest.raises(SignalError, match=r"holes\.npy: has pixels that are NaN or infinite"):
        await through_server(model, tmp_path / "holes.npy", tmp_path / "mask.tif", normalise=PercentileRange(1, 99))
    with pytest.raises(SignalError, match=r"order is 'slices'; an image goes whole or in raster, any, rows"):
        await through_server(model, tmp_path / "in.tif", tmp_path / "mask.tif", order="slices")
    with pytest.raises(SignalError, match=r"mask\.xyz: an image is written as \.npy"):
        await through_server(model, tmp_path / "in.tif", tmp_path / "mask.xyz")
    assert listing(tmp_path) == before


def test_a_sample_stands_for_a_large_image(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    ramp = np.linspace(0, 50_000, 2200)[:, None] + rng.normal(0, 500, (2200, 1800))
    write_in_regions(tmp_path / "ramp.npy", ramp[..., None].astype(np.float32), side=500)
    write_in_regions(tmp_path / "volume.npy", ramp.reshape(44, 50, 1800, 1).astype(np.float32), side=500)
    write_in_regions(tmp_path / "small.npy", ramp[:100, :100, None].astype(np.float32))
    for name in ("ramp.npy", "volume.npy"):
        with open_image(tmp_path / name) as source:
            sampled = sample(source)
            assert 0.5 * SAMPLED_PIXELS <= sampled.size <= SAMPLED_PIXELS, name
            scale, offset = PercentileRange(1, 99).scale_and_offset(sampled)
        mapped = np.percentile(ramp, [1, 99]) * scale + offset
        assert mapped == pytest.approx([0, 1], abs=0.05)
    with open_image(tmp_path / "small.npy") as source:
        assert np.array_equal(np.sort(sample(source)), np.sort(source.read().ravel()))


async def test_a_caller_that_fails_ends_the_reading_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever is told of results may raise: nobody reads from the file any more once that has come out."""
    write_in_regions(tmp_path / "in.npy", pixels_of((400, 400, 1)))
    model = wavetile.load(smoothing_card(tmp_path, spatial=2))
    tasks: list[set[str]] = []
    monkeypatch.setattr(ImageSource, "close", lambda _: tasks.append({task.get_name() for task in asyncio.all_tasks()}))

    def fail(_: object) -> None:
        tasks.append({task.get_name() for task in asyncio.all_tasks()})
        raise RuntimeError("no more of this")

    with pytest.raises(RuntimeError, match="no more of this"):
        await through_server(model, tmp_path / "in.npy", tmp_path / "mask.npy", order="raster", tile=16, on_result=fail)
    during, after = tasks
    assert len(during) > len(after & during)


@pytest.mark.parametrize("what", ["read", "write"])
async def test_a_file_is_closed_when_its_last_thread_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """Ctrl-C cancels the task, and a thread that reads or writes goes on to its end: the file is open until then."""
    pixels = pixels_of((40, 40, 1))
    write_in_regions(tmp_path / "in.npy", pixels)
    model = wavetile.load(smoothing_card(tmp_path, spatial=2))
    begun, go_on = threading.Event(), threading.Event()
    happened: list[str] = []
    subject, name = {"read": (ArraySource, "_read"), "write": (ArraySink, "_write")}[what]
    take = getattr(subject, name)

    def slow(self: Any, *arguments: Any) -> Any:
        begun.set()
        assert go_on.wait(PATIENCE_S)
        result = take(self, *arguments)
        happened.append("done")
        return result

    def close(_: object, *__: object) -> None:
        happened.append("closed")

    processing = asyncio.create_task(
        through_server(model, tmp_path / "in.npy", tmp_path / "out.npy", order="raster", tile=16, normalise=(1.0, 0.0))
    )
    monkeypatch.setattr(subject, name, slow)
    monkeypatch.setattr(subject, "__exit__", close)
    await until(begun.is_set)
    processing.cancel()
    go_on_later = asyncio.get_running_loop().call_later(0.05, go_on.set)
    with pytest.raises(asyncio.CancelledError):
        await processing
    go_on_later.cancel()
    assert happened == ["done", "closed"]


async def test_a_map_that_leaves_nothing_is_refused(tmp_path: Path) -> None:
    write_in_regions(tmp_path / "in.npy", pixels_of((8, 8, 1)))
    async with serving({"invert": InvertModel()}) as server, StreamClient(server.address) as client:
        for pixel_map in ((0.0, 1.0), (np.inf, 0.0), (1.0, np.nan)):
            options = ImageOptions(normalise=pixel_map)
            with pytest.raises(SignalError, match=r"scale is .* and offset .*; finite numbers, the scale not 0, would"):
                await process_image(client, "invert", tmp_path / "in.npy", tmp_path / "out.npy", options)
        with pytest.raises(SignalError, match="scale is 0, which leaves nothing of the pixels"):
            async with client.stream_images("invert", height=2, width=2, scale=0.0):
                pass
        async with client.stream_images("invert", height=2, width=2, pixel_type="uint8") as stream:
            with pytest.raises(SignalError, match="pixels of type uint16; this stream takes uint8"):
                await stream.send(np.full((2, 2), 300, np.uint16))
    assert listing(tmp_path) == ["in.npy"]


def test_rows_fit_into_messages_whatever_the_file_holds(tmp_path: Path) -> None:
    """Signed bytes travel as float32: a part has four times the file's bytes."""
    np.save(tmp_path / "in.npy", np.zeros((3000, 4000), np.int8))
    with open_image(tmp_path / "in.npy") as source:
        boxes = list(parts(source, "rows", 2000))
    assert max(box.height * box.width for box in boxes) * 4 <= PART_BYTES
    assert sum(box.height for box in boxes) == 3000
